# SPDX-License-Identifier: BSD-3-Clause
"""Huge pages in files, which is how processes of DPDK share their memory."""

from pathlib import Path

import pytest

from .network import run

_FOLDER = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


def _read(name):
    return int((_FOLDER / name).read_text())


class HugePages:
    """A hugetlbfs of our own in `path`, and `count` free pages; skips the test without."""

    def __init__(self, path, count):
        self._path = path
        self._before = None
        if not _FOLDER.exists():
            pytest.skip("the kernel has no huge pages of 2 MiB")
        missing = count - _read("free_hugepages")
        if missing > 0:
            self._before = _read("nr_hugepages")
            self._set(self._before + missing)
            if _read("free_hugepages") < count:
                self._set(self._before)
                pytest.skip(f"{count} free huge pages cannot be had")
        run("mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "hugetlbfs", path)

    @staticmethod
    def _set(count):
        try:
            (_FOLDER / "nr_hugepages").write_text(str(count))
        except OSError:
            pass  # Looked at behind.

    def close(self):
        run("umount", self._path)
        if self._before is not None:
            self._set(self._before)
