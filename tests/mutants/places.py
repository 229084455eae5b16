# SPDX-License-Identifier: BSD-3-Clause
"""The places where the product is broken, and the copy of it in which that is done."""

import dataclasses
import fnmatch
import re
import shutil
import subprocess
import tomllib

# Many files, which neither the build nor a named test needs.
_LEFT_OUT = ("tests/fuzz/corpus/", "bench/results/")


class Unfit(Exception):
    """An entry of the list, or a tree, that nothing can be learned from."""


@dataclasses.dataclass(frozen=True)
class Mutant:
    """In `function` the expression `take` stands once, and `give` takes its place."""

    name: str
    function: str
    take: str
    give: str
    why: str  # What holds because of it.
    unit: str = ""  # Unit test program that is expected to notice.
    # System tests that are tried when no unit test notices.
    system: list = dataclasses.field(default_factory=list, hash=False)

    @property
    def subject(self):
        return self.name.partition("-")[0]


def read_list(path):
    """{name: Mutant}, in the order of the file."""
    needed = {"function", "take", "give", "why"}
    try:
        entries = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise Unfit(f"{path}: {error}") from None
    for name, entry in entries.items():
        wrong = needed - entry.keys() or entry.keys() - needed - {"unit", "system"}
        if wrong or not entry.keys() & {"unit", "system"}:
            raise Unfit(f"{path}: [{name}] has {', '.join(entry)}; it takes "
                        f"{', '.join(sorted(needed))} and unit or system")
    return {name: Mutant(name, **entry) for name, entry in entries.items()}


def check_units(mutants, units):
    """Those that are expected to notice must exist."""
    for mutant in mutants:
        if mutant.unit and mutant.unit not in units:
            raise Unfit(f"[{mutant.name}] names {mutant.unit}, which is no unit test")


def choose(mutants, wanted):
    """Those that are asked for, by name, subject or pattern; all when nothing is."""
    chosen = {}
    for pattern in wanted or ["*"]:
        found = [name for name, mutant in mutants.items()
                 if pattern == mutant.subject or fnmatch.fnmatchcase(name, pattern)]
        if not found:
            raise Unfit(f"no mutant is called '{pattern}'; --list shows the names")
        chosen.update((name, mutants[name]) for name in found)
    return list(chosen.values())


# ---- The copy ----


def copy_tree(top, to):
    """Make `to` the tree that git knows of at `top`, with what is new. What is the same stays as it
    is, so that little is built again."""
    listed = subprocess.run(["git", "-c", f"safe.directory={top}", "-C", top, "ls-files", "-z",
                             "--cached", "--others", "--exclude-standard"],
                            check=True, capture_output=True, text=True).stdout
    files = {name for name in listed.split("\0") if name and not name.startswith(_LEFT_OUT)
             and (top / name).is_file()}
    for path in [path for path in to.rglob("*") if path.is_file()]:
        if str(path.relative_to(to)) not in files:
            path.unlink()
    for name in files:
        target = to / name
        if not target.exists() or target.read_bytes() != (top / name).read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(top / name, target)
        shutil.copymode(top / name, target)


def _bodies(text, function):
    """(begin, end) of each function of that name that the text defines."""
    definition = re.compile(rf"^{re.escape(function)}\([^;{{]*?\)\n\{{\n(.*?)^\}}$", re.M | re.S)
    return [found.span(1) for found in definition.finditer(text)]


def _pattern(expression):
    """Whatever blanks and line breaks lie between its words."""
    words = re.findall(r"\w+|[^\w\s]", expression)
    pattern = r"\s*".join(map(re.escape, words))
    begin = r"(?<!\w)" if re.match(r"\w", words[0]) else ""
    end = r"(?!\w)" if re.match(r"\w", words[-1]) else ""
    return re.compile(begin + pattern + end)


class Broken:
    """A source file of the copy with the mutant in it, within a `with`."""

    def __init__(self, tree, mutant):
        places, functions = [], 0
        for path in sorted([*tree.rglob("*.c"), *tree.rglob("*.h")]):
            if path.relative_to(tree).parts[0] in ("tests", "bench"):
                continue
            text = path.read_text()
            for begin, end in _bodies(text, mutant.function):
                functions += 1
                places += [(path, text, *found.span())
                           for found in _pattern(mutant.take).finditer(text, begin, end)]
        if functions == 0:
            raise Unfit(f"no function {mutant.function}()")
        if len(places) != 1:
            raise Unfit(f"'{mutant.take}' stands {len(places)} times in {mutant.function}()")
        self._path, self._text, begin, end = places[0]
        self._mutated = self._text[:begin] + mutant.give + self._text[end:]

    def __enter__(self):
        self._path.write_text(self._mutated)

    def __exit__(self, *_):
        self._path.write_text(self._text)
