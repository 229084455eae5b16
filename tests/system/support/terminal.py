# SPDX-License-Identifier: BSD-3-Clause
"""A terminal with a shell in it, by tmux: keys go in, and what a person would see comes out."""

import os
import re
import subprocess

from .deadline import PATIENCE, wait_until

PROMPT = "ready>"


class Terminal:
    """A shell on a screen of its own size."""

    def __init__(self, socket, *, columns=130, rows=30):
        self._socket = socket
        env = {"PATH": os.environ["PATH"], "HOME": "/"}
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", rows, "sh",
                   env=env)
        # Its own line at the bottom, and a size that follows no client.
        self._tmux("set-option", "-g", "status", "off")
        self._tmux("set-option", "-g", "window-size", "manual")
        self.resize(columns, rows)
        self.wait_line("[#$]")
        self._type(f"PS1='{PROMPT}'")

    def _tmux(self, *args, env=None):
        done = subprocess.run(["tmux", "-S", self._socket, *map(str, args)], env=env, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0, f"tmux {args}: {done.stderr}"
        return done.stdout

    def resize(self, columns, rows):
        self._tmux("resize-window", "-x", columns, "-y", rows)

    def keys(self, *names):
        """Press keys by tmux's names for them: "q", "C-z", "Up"."""
        self._tmux("send-keys", *names)

    def _type(self, text):
        self._tmux("send-keys", "-l", text)
        self.keys("Enter")

    def command(self, text):
        """Type a line for the shell, once it asks for one: what is typed before is echoed in front
        of the prompt, and what the command says then begins in the prompt's line."""
        self.wait(lambda lines: lines[-1].strip() == PROMPT, "the prompt of the shell")
        self._type(text)

    def lines(self):
        """What is on the screen, from the top."""
        return self._tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def state(self):
        """(whether the other screen is shown, whether the cursor is)."""
        flags = self._tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}").split()
        return flags[0] == "1", flags[1] == "1"

    def wait(self, predicate, what, timeout=PATIENCE):
        """The first screen that predicate(lines) accepts."""
        def look():
            lines = self.lines()
            return lines if predicate(lines) else None
        try:
            return wait_until(look, what, timeout)
        except AssertionError as error:
            screen = "\n".join(self.lines())
            raise AssertionError(f"{error}\nthe screen:\n{screen}") from None

    def wait_line(self, regex, timeout=PATIENCE):
        """The match of a line on the screen."""
        pattern = re.compile(regex)
        lines = self.wait(lambda lines: any(map(pattern.search, lines)), f"a line {regex!r}",
                          timeout)
        return next(filter(None, map(pattern.search, lines)))

    def close(self):
        """End it and what runs in it."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True,
                       timeout=PATIENCE)
