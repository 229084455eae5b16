# SPDX-License-Identifier: BSD-3-Clause
"""Both programs work with the capabilities that doc/security.md names for them, and no other."""

import os
import re
import shutil
from pathlib import Path

import pytest

from test_traffic import connect

# What a sanitizer takes is not what the program takes.
pytestmark = pytest.mark.once

NOBODY = 65534

PAGE = Path(__file__).parents[2] / "doc/security.md"


def named(what):
    """Capabilities of a row of the page's table, as setpriv names them."""
    row = re.search(rf"(?m)^\| {re.escape(what)} \| ([^|]*) \|", PAGE.read_text())
    assert row, f"{what} is not in the table"
    return [name.lower() for name in re.findall(r"CAP_(\w+)", row[1])]


def only(capabilities, user=None, group=None):
    """A command in front of another that leaves it these capabilities, also beyond an exec.

    group: one more that it is in.
    """
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv")
    sets = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    command = ["setpriv", f"--bounding-set={sets}", "--inh-caps=-all", "--no-new-privs"]
    if user is not None:
        command += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    if group is not None:
        command += [f"--groups={group}"]
    return command


def left(process):
    """The capabilities that it may use."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"CapEff:\s+(\w+)", status)[1], 16)


def test_software_ports_take_no_capability_at_all(forwarder, agent):
    fwd = forwarder(["-p", "3", "-K", "5", "--demo-lifetime", "0.5"],
                    before=only(named("net_null, net_ring, net_pcap, net_memif")))
    assert left(fwd) == 0
    watcher = agent(forwarder=fwd)
    watcher.wait_line("^1 dead cores: 1,", count=2)
    assert fwd.terminate() == 0


def test_the_agent_takes_no_capability_at_all(forwarder, start, build):
    fwd = forwarder(["-p", "3", "-K", "5", "--demo-lifetime", "0.5"])
    watcher = start([*only(named("ka-agent")), build.agent, "-n", fwd.shm_name, "-v"])
    watcher.wait_line("^1 dead cores: 1,", count=2)
    assert left(watcher) == 0
    assert fwd.terminate() == 0
    assert watcher.wait_exit() == 0


@pytest.mark.parametrize("kind, path", [("net_tap", "tap_path"), ("net_af_packet", "veth_path")])
def test_ports_of_the_kernel_take_what_is_named_and_no_less(forwarder, request, kind, path):
    """Pings cross with these; with one of them missing there are no ports, or none that work."""
    path = request.getfixturevalue(path)
    needed = named(kind)
    for name in needed:
        fwd = forwarder(["-p", "3"], vdevs=path.vdevs, started=False,
                        before=only([other for other in needed if other != name]))
        assert fwd.wait_exit() != 0, name
    fwd = forwarder(["-p", "3", "-K", "5"], vdevs=path.vdevs, before=only(needed))
    connect(path)
    assert path.ping(count=3) == (3, 3)
    assert fwd.terminate() == 0


def test_a_user_like_any_other_forwards_without_huge_pages(forwarder, tmp_path):
    runtime = tmp_path / "run"
    runtime.mkdir()
    for path in [tmp_path, *tmp_path.parents][:3]:
        path.chmod(0o755)
    os.chown(runtime, NOBODY, NOBODY)
    fwd = forwarder(["-p", "3", "-K", "5", "--demo-lifetime", "0.5"], before=only([], NOBODY),
                    env={"XDG_RUNTIME_DIR": str(runtime)})
    assert left(fwd) == 0
    fwd.wait_line("^Dead core 1 - restarting", count=2)
    assert fwd.terminate() == 0


def test_root_without_chown_gives_the_segment_to_a_group_of_its_own_only(forwarder):
    """As the unit has it: without the group it is refused and told why, with it the group has it."""
    args = ["-p", "3", "-K", "5", "--shm-mode", "0660", "--shm-group", str(NOBODY)]
    fwd = forwarder(args, started=False, before=only([]))
    assert fwd.wait_exit() == 1
    fwd.wait_line(rf"--shm-group: this user may not give the segment to group {NOBODY}: "
                  "become a member of it, or run with CAP_CHOWN$")
    fwd = forwarder(args, before=only([], group=NOBODY))
    about = Path(f"/dev/shm{fwd.shm_name}").stat()
    assert (about.st_gid, about.st_mode & 0o777) == (NOBODY, 0o660)
    assert fwd.terminate() == 0
