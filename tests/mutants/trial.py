# SPDX-License-Identifier: BSD-3-Clause
"""Builds the copy of the product and runs tests on it."""

import hashlib
import re
import subprocess
import time
import xml.etree.ElementTree
from pathlib import Path

from places import Unfit

# What is longer hangs: the longest unit test takes 9 s, the named system tests of a mutant 60 s.
BUILD_LIMIT_S = 600
UNIT_LIMIT_S = 60
SYSTEM_LIMIT_S = 240

# What stands for the tests that did not come to their end.
TIME_LIMIT = f"time limit of {SYSTEM_LIMIT_S} s"

_SKIPPED = 77
_TIMED_OUT = 124
_NOT_RUN = (125, 126, 127)


class Trial:
    """The build of a tree."""

    def __init__(self, tree, directory):
        self.tree, self.directory = Path(tree), Path(directory)
        self.units = sorted(path.stem for path in self.tree.glob("tests/unit/test_*.c"))
        self.programs = ["l2fwd-keepalive", "ka-agent", "tests/segment_tool"]
        self._unbroken = None

    def _run(self, argv, limit_s, log, **options):
        """Exit status of a command; what it says is added to the log. It ends before we do. One
        that does not obey when its time is over is called timed out, too."""
        with open(log, "a") as out:
            print("$", *argv, file=out, flush=True)
            began = time.monotonic()
            child = subprocess.Popen(["timeout", "--foreground", "--kill-after=5", str(limit_s),
                                      *map(str, argv)], stdin=subprocess.DEVNULL, stdout=out,
                                     stderr=subprocess.STDOUT, **options)
            try:
                status = child.wait()
            except BaseException:
                child.terminate()
                child.wait()
                raise
        if status in _NOT_RUN:
            raise Unfit(f"cannot be run, status {status}: {log}")
        return _TIMED_OUT if time.monotonic() - began >= limit_s else status

    def _digests(self):
        paths = [*self.programs, *(f"tests/unit/{unit}" for unit in self.units)]
        return {path: hashlib.sha256((self.directory / path).read_bytes()).digest()
                for path in paths}

    def build(self, log):
        """Build what the tests need; returns the unit tests whose program is another than in the
        first build, which is that of the unbroken product."""
        if not (self.directory / "build.ninja").exists():
            if self._run(["meson", "setup", self.directory, self.tree], BUILD_LIMIT_S, log) != 0:
                raise Unfit(f"meson fails: {log}")
        targets = [*self.programs, *(f"tests/unit/{unit}" for unit in self.units)]
        if self._run(["ninja", "-C", self.directory, *targets], BUILD_LIMIT_S, log) != 0:
            raise Unfit(f"does not compile: {log}")
        now = self._digests()
        if self._unbroken is None:
            self._unbroken = now
            return self.units
        if now == self._unbroken:
            raise Unfit("changes no program: the compiler takes it for the same")
        return [unit for unit in self.units
                if now[f"tests/unit/{unit}"] != self._unbroken[f"tests/unit/{unit}"]]

    def unit(self, units, log):
        """Who notices, of these unit tests; None when nobody does."""
        for unit in units:
            before = log.stat().st_size
            status = self._run([self.tree / "tests/system/world.sh", self.directory,
                                self.directory / "tests/unit" / unit], UNIT_LIMIT_S, log)
            if status == _TIMED_OUT:
                return f"time limit of {UNIT_LIMIT_S} s ({unit})"
            if status not in (0, _SKIPPED):
                said = log.read_text(errors="replace")[before:]
                failed = re.search(r"\[  FAILED  \] (\w+)", said)
                return f"{unit}: {failed[1] if failed else f'status {status}'}"
        return None

    def system(self, tests, log, *options):
        """The same of system tests: a list. A test that cannot be run, or that the machine
        disturbed each time, tells nothing, and is an error."""
        report = log.with_suffix(".xml")
        report.unlink(missing_ok=True)
        status = self._run([self.tree / "tests/system/run.sh", self.directory, "-q", *options,
                            f"--junitxml={report}", *tests], SYSTEM_LIMIT_S, log)
        if status == _TIMED_OUT:
            return [TIME_LIMIT]
        if status not in (0, 1) or not report.exists():
            raise Unfit(f"the system tests cannot be run, status {status}: {log}")
        noticed = []
        cases = list(xml.etree.ElementTree.parse(report).iter("testcase"))
        for case in cases:
            name = f"{case.get('classname')}.py::{case.get('name')}"
            complaints = [*case.findall("failure"), *case.findall("error")]
            if any(complaint.get("message", "").startswith("failed on setup")
                   for complaint in complaints):
                raise Unfit(f"{name} fails before it begins: {log}")
            if case.find("skipped") is not None:
                raise Unfit(f"{name} is skipped here: {log}")
            if complaints and "disturbed" in [entry.get("name") for entry in case.iter("property")]:
                raise Unfit(f"{name} fails while the machine has no CPU: {log}")
            noticed += [name] if complaints else []
        if not cases:
            raise Unfit(f"no system test was run: {log}")
        return noticed
