# SPDX-License-Identifier: BSD-3-Clause
"""A program under test: started, listened to line by line, signalled, always ended and reaped."""

import dataclasses
import errno
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import threading
import time
from pathlib import Path

from .deadline import PATIENCE

# Of a thread that was joined and that the kernel has not yet put away. A leak has a report of its own.
LEAKS_UNSURE = re.compile(
    r"(?m)^==\d+==Running thread \d+ was not suspended\. False leaks are possible\.\n?")

SANITIZER_REPORT = re.compile(
    r"(ERROR|WARNING): (Address|Leak|Thread|Memory)Sanitizer|runtime error:")


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of output. `time` is time.monotonic() when it was read, the clock of the segment."""

    index: int
    time: float
    stream: str
    text: str
    match: re.Match = dataclasses.field(default=None, compare=False, repr=False)


class _Stream:
    """One of a process's outputs, read by a thread of its own."""

    def __init__(self, owner, name, fd):
        self.owner = owner
        self.name = name
        self.fd = fd
        self.raw = bytearray()
        self._rest = b""
        self._reading = threading.Event()
        self._reading.set()
        self._busy = threading.Lock()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def pause(self):
        self._reading.clear()
        with self._busy:
            pass

    def resume(self):
        self._reading.set()

    def _run(self):
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        while True:
            self._reading.wait()
            if not poll.poll(20):
                continue
            with self._busy:
                if not self._reading.is_set():
                    continue
                data = self._read()
            if not data:
                break
            self._take(data)
        if self._rest:
            self.owner._add_lines(self.name, [self._rest])

    def _read(self):
        try:
            return os.read(self.fd, 65536)
        except OSError as error:
            if error.errno == errno.EIO:  # How a terminal says that its last user has gone.
                return b""
            raise

    def _take(self, data):
        self.raw += data
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.owner._add_lines(self.name, lines)


def _open_terminal(columns, rows):
    """A pseudo terminal that changes no byte of what is written to it."""
    master, slave = pty.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    termios.tcsetwinsize(slave, (rows, columns))
    return master, slave


class Process:
    """A running program.

    stdout, stderr: "pipe" (read from the start), "blocked" (a small pipe that nobody reads before
    resume_reading()), "pty" (a terminal), or a file descriptor or file to hand over as it is.
    Further keywords go to subprocess.Popen (user=, cwd=, preexec_fn=, ...).
    """

    def __init__(self, argv, *, name=None, env=None, stdout="pipe", stderr="pipe",
                 report_dir=None, **popen):
        self.argv = [str(arg) for arg in argv]
        self.name = name or Path(self.argv[0]).name
        self.report_dir = report_dir
        self.returncode = None
        self.ended_at = None
        self.core_dumped = None
        self._lines = []
        self._changed = threading.Condition()
        self._streams = {}
        self._terminal = None
        self._closed = False

        ends = {which: self._open(which, how)
                for which, how in (("stdout", stdout), ("stderr", stderr))}
        popen.setdefault("stdin", subprocess.DEVNULL)
        popen.setdefault("start_new_session", True)
        self.started_at = time.monotonic()
        try:
            self._popen = subprocess.Popen(self.argv, env=env, stdout=ends["stdout"][0],
                                           stderr=ends["stderr"][0], **popen)
        finally:
            for fd in {fd for fd, ours in ends.values() if ours}:
                os.close(fd)
        self.pid = self._popen.pid
        for stream in self._streams.values():
            stream.thread.start()
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._waiter.start()

    def _open(self, which, how):
        """Return the end for the child, and whether we are to close it after the start."""
        if how == "pty":
            if self._terminal is None:
                self._terminal = _open_terminal(columns=100, rows=40)
                self._streams["pty"] = _Stream(self, which, self._terminal[0])
            return self._terminal[1], True
        if how not in ("pipe", "blocked"):
            return how, False
        read_end, write_end = os.pipe()
        self._streams[which] = _Stream(self, which, read_end)
        if how == "blocked":
            fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
            self._streams[which].pause()
        return write_end, True

    def _wait(self):
        end = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        ended_at = time.monotonic()
        with self._changed:
            self.core_dumped = end.si_code == os.CLD_DUMPED
            # Reaped under the lock, so that a signal never goes to a reused pid.
            self.returncode = self._popen.wait()
            self.ended_at = ended_at
            self._changed.notify_all()

    def _add_lines(self, stream, lines):
        now = time.monotonic()
        with self._changed:
            for line in lines:
                text = line.decode("utf-8", "replace").removesuffix("\r")
                self._lines.append(Line(len(self._lines), now, stream, text))
            self._changed.notify_all()

    # ---- What it said ----

    def lines(self, regex="", stream=None, after=None):
        """Lines so far that `regex` is found in, in order; each with its .match."""
        pattern = re.compile(regex)
        first = 0 if after is None else after.index + 1
        with self._changed:
            lines = self._lines[first:]
        return [dataclasses.replace(line, match=match) for line in lines
                if stream in (None, line.stream) and (match := pattern.search(line.text))]

    def raw(self, stream="stdout"):
        """All bytes of a stream so far ("pty" for a terminal)."""
        return bytes(self._streams[stream].raw)

    def text(self):
        """All output so far as one string, for `assert "..." in`."""
        return "\n".join(line.text for line in self.lines())

    def wait_line(self, regex, timeout=PATIENCE, stream=None, after=None, count=1):
        """The first line that `regex` is found in (the count-th), past ones included.

        `after`, a Line, looks only behind that line. Fails at once when the process ended
        without saying it.
        """
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                # Asked before the lines are looked at: nothing can be added after a true answer.
                over = self._is_over()
                found = self.lines(regex, stream, after)
                if len(found) >= count:
                    return found[count - 1]
                left = end - time.monotonic()
                if over or left <= 0:
                    break
                self._changed.wait(min(left, 0.1))
        why = f"it ended with {self.returncode}" if over else f"not within {timeout:g} s"
        raise AssertionError(f"{self.name}: {count} x {regex!r} expected, {len(found)} found, {why}"
                             f"\n{self.report()}")

    def _is_over(self):
        return self.returncode is not None and not any(
            stream.thread.is_alive() for stream in self._streams.values())

    def pause_reading(self):
        """Read nothing more, so that the program's output blocks once its pipes are full."""
        for stream in self._streams.values():
            stream.pause()

    def resume_reading(self):
        for stream in self._streams.values():
            stream.resume()

    def type(self, keys):
        """Write bytes to the program's terminal, as b"\\x13" for Ctrl-S and b"\\x11" for Ctrl-Q."""
        os.write(self._terminal[0], keys)

    # ---- Whether it runs ----

    @property
    def running(self):
        return self.returncode is None

    def signal(self, number):
        """Send a signal; False when the program has already ended."""
        with self._changed:
            if self.returncode is not None:
                return False
            os.kill(self.pid, number)
            return True

    def freeze(self):
        """SIGSTOP, and wait until every thread has stopped."""
        self.signal(signal.SIGSTOP)
        end = time.monotonic() + PATIENCE
        while {state for state, _ in self.threads().values()} != {"T"}:
            assert time.monotonic() < end, f"{self.name} does not stop"
            time.sleep(0.001)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def wait_exit(self, timeout=PATIENCE):
        """Return the exit code (negative: the signal) with all output read."""
        end = time.monotonic() + timeout
        with self._changed:
            while self.returncode is None:
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{self.name} still runs after {timeout:g} s\n"
                                         f"{self.report()}")
                self._changed.wait(left)
        self.resume_reading()
        for stream in self._streams.values():
            stream.thread.join(max(0.1, end - time.monotonic()))
        return self.returncode

    def terminate(self, timeout=PATIENCE):
        """SIGTERM, then wait_exit()."""
        self.signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def kill(self):
        """SIGKILL, then wait_exit()."""
        self.signal(signal.SIGKILL)
        return self.wait_exit()

    def threads(self):
        """{thread id: (state letter, CPU seconds used)}; the main lcore's thread id is .pid."""
        result = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                fields = (task / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            ticks = int(fields[11]) + int(fields[12])
            result[int(task.name)] = (fields[0], ticks / os.sysconf("SC_CLK_TCK"))
        return result

    # ---- The end ----

    def close(self, patience=PATIENCE):
        """End and reap it, whatever state it is in. Returns complaints, [] in good order."""
        if self._closed:
            return []
        self._closed = True
        complaints = []
        if self.running:
            self.thaw()
            self.resume_reading()
            self.signal(signal.SIGTERM)
            try:
                self.wait_exit(patience)
            except AssertionError:
                complaints.append(f"{self.name} did not obey SIGTERM within {patience:g} s")
        try:
            os.killpg(self.pid, signal.SIGKILL)  # Children, and the hard way for itself.
        except ProcessLookupError:
            pass
        self.wait_exit()
        for stream in self._streams.values():
            stream.thread.join(1)
            if not stream.thread.is_alive():
                os.close(stream.fd)
        complaints += [f"sanitizer report of {self.name}:\n{text}" for text in self._sanitizer()]
        return complaints

    def _sanitizer(self):
        if self.report_dir is not None:
            # The sanitizers append the pid to the name that they were given.
            for path in Path(self.report_dir).glob(f"*.{self.pid}"):
                text = LEAKS_UNSURE.sub("", path.read_text(errors="replace"))
                if text.strip():
                    yield text
        said = self.lines(SANITIZER_REPORT)
        if said:
            yield "\n".join(line.text for line in self.lines()[said[0].index:])

    def report(self, last=60):
        """Command, state and the last lines, for a failure's message."""
        lines = self.lines()
        state = "running" if self.running else f"ended with {self.returncode}"
        head = [f"$ {' '.join(self.argv)}", f"[pid {self.pid}, {state}, {len(lines)} lines]"]
        return "\n".join(head + [
            f"{line.time - self.started_at:8.3f} {line.stream[3]} | {line.text}"
            for line in lines[-last:]])
