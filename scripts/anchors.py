#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Links of the *.md files: anchors.py writes their line numbers anew, anchors.py --check judges them.

A link to a line is written with any number, as [`rte_timer_reset`](../monitor.c#L1). The line is

  - of the first identifier in the link's text: where the file defines or declares it at the left
    margin; else the first line that calls it; else the first that has it, comments left out;
  - or, with a title, [the ping](../monitor.c#L1 "rte_keepalive_dispatch_pings(NULL"), the one line
    of the file that contains the title.

Every other link must lead to a file, and its #fragment to a heading, that is there. Links to other
hosts are left alone. --check says what is wrong, a line each, and exits 1; it changes nothing.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent

LINK = re.compile(r'\[(?P<text>[^\]\n]*)\]\((?P<path>[^()\s#]*)(?:#(?P<anchor>[^()\s]*))?'
                  r'(?: "(?P<title>[^"\n]*)")?\)')
FENCED = re.compile(r"^```.*?^```", re.M | re.S)
INDENTED = re.compile(r"^ {4}.*$", re.M)


class Complaint(Exception):
    """Why a link leads nowhere."""


def blank(match):
    """Spaces in place of what was matched, so that every line keeps its number and columns."""
    return re.sub(r"[^\n]", " ", match[0])


def line_of_title(lines, title):
    found = [number for number, line in enumerate(lines, 1) if title in line]
    if len(found) != 1:
        raise Complaint(f"{len(found)} lines contain '{title}', not one")
    return found[0]


def line_of_name(text, name):
    """See above; None when it is not there."""
    text = re.sub(r"/\*.*?\*/", blank, text, flags=re.S)
    for pattern in (rf"^(?:[A-Za-z_][\w \t*]*[ \t*])?{name}\(", rf"^#define {name}\b",
                    rf"^(?:struct|enum|union) {name} \{{", rf"(?<!\w){name}\(",
                    rf"(?<!\w){name}(?!\w)"):
        if found := re.search(pattern, text, re.M):
            return text.count("\n", 0, found.start()) + 1
    return None


def hint(name):
    """Where a function went whose file is not the one that it was in."""
    files = [str(path.relative_to(TOP)) for path in sorted([*TOP.glob("*.c"), *TOP.glob("*/*.c")])
             if re.search(rf"^{name}\(", path.read_text(), re.M)]
    return f", but in {' and '.join(files)}" if files else ""


def line_of(link, path):
    """The number of the line that a link is meant to lead to."""
    text = path.read_text()
    if link["title"]:
        return line_of_title(text.splitlines(), link["title"])
    name = re.search(r"[A-Za-z_]\w*", link["text"])
    if name is None:
        raise Complaint("its text has no identifier")
    number = line_of_name(text, name[0])
    if number is None:
        raise Complaint(f"'{name[0]}' is not in it{hint(name[0])}")
    return number


def headings(path):
    """Fragments of a page's headings, as the usual forges make them."""
    text = FENCED.sub(blank, path.read_text())
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def right_anchor(page, link):
    """What stands behind # when the link is right, None for nothing."""
    path = (page.parent / link["path"]).resolve() if link["path"] else page
    if not path.exists():
        raise Complaint("there is no such file")
    if link["anchor"] is None:
        return None
    if re.fullmatch(r"L\d+", link["anchor"]):
        return f"L{line_of(link, path)}"
    if link["anchor"] not in headings(path):
        raise Complaint(f"no heading makes '#{link['anchor']}'")
    return link["anchor"]


def look_at(page, check):
    """Complaints about one page; without `check` its line numbers are made right."""
    text = page.read_text()
    shown = INDENTED.sub(blank, FENCED.sub(blank, text))
    complaints, right, end = [], "", 0
    for link in LINK.finditer(shown):
        if re.match(r"[a-z]+:", link["path"]):
            continue
        where = f"{page.relative_to(TOP)}:{text.count(chr(10), 0, link.start()) + 1}: {link[0]}"
        try:
            anchor = right_anchor(page, link)
        except Complaint as complaint:
            complaints.append(f"{where}: {complaint}")
            continue
        if anchor == link["anchor"]:
            continue
        if check:
            complaints.append(f"{where}: it is {anchor} now; run scripts/anchors.py")
        right += text[end:link.start("anchor")] + anchor
        end = link.end("anchor")
    if not check and right:
        page.write_text(right + text[end:])
    return complaints


def pages():
    """The pages that belong to the project: those git knows or would take."""
    said = subprocess.run(["git", "-C", TOP, "ls-files", "--cached", "--others",
                           "--exclude-standard", "*.md"], capture_output=True, text=True)
    names = said.stdout.split("\n") if said.returncode == 0 else TOP.rglob("*.md")
    return sorted({TOP / name for name in names if name and (TOP / name).is_file()})


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(f"usage: {os.path.basename(sys.argv[0])} [--check]")
    complaints = [said for page in pages() for said in look_at(page, bool(sys.argv[1:]))]
    print("\n".join(complaints), end="\n" if complaints else "")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
