# SPDX-License-Identifier: BSD-3-Clause
"""The build under test: where its binaries are and how they must be started."""

import functools
import json
import os
import re
import subprocess
from pathlib import Path


class Build:
    """A meson build directory, as run.sh shows it to every user under `world`."""

    def __init__(self, world):
        self.world = Path(world)
        self.directory = self.world / "build"
        self.reports = self.world / "sanitizer"
        self.forwarder = self.directory / "l2fwd-keepalive"
        self.agent = self.directory / "ka-agent"
        self.segment_tool = self.directory / "tests/segment_tool"

    @functools.cached_property
    def sanitizer(self):
        """Value of b_sanitize: "none", "address,undefined", ..."""
        options = json.loads((self.directory / "meson-info/intro-buildoptions.json").read_text())
        value = next(option["value"] for option in options if option["name"] == "b_sanitize")
        # Later mesons have a list.
        return value if isinstance(value, str) else ",".join(value) or "none"

    @property
    def sanitized(self):
        return self.sanitizer != "none"

    @functools.cached_property
    def _runtime(self):
        """The ASan library that the forwarder is linked to: it must be the first one loaded."""
        out = subprocess.run(["ldd", self.forwarder], capture_output=True, text=True).stdout
        found = re.search(r"libasan\S* => (\S+)", out)
        return [found[1]] if found else []

    def environment(self, preload=(), extra=None):
        """Environment for a program of this build; sanitizer reports go to self.reports."""
        env = dict(os.environ)
        if preload:
            env["LD_PRELOAD"] = ":".join(str(path) for path in [*self._runtime, *preload])
        common = f"halt_on_error=1:exitcode=99:log_path={self.reports}/report"
        env["ASAN_OPTIONS"] = f"{common}:detect_leaks=1"
        env["UBSAN_OPTIONS"] = f"{common}:print_stacktrace=1"
        env["LSAN_OPTIONS"] = f"suppressions={self.world}/leaks.supp:print_suppressions=0"
        env.update(extra or {})
        return env
