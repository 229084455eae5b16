# SPDX-License-Identifier: BSD-3-Clause
"""Other processes of DPDK look in: dpdk-dumpcap takes frames, dpdk-proc-info reads counters.

A sanitizer lies where such processes expect the memory that they share: not in a sanitized build.
"""

import re

import pytest

from support import frames
from support.deadline import wait_until
from support.hugepages import HugePages
from support.network import mac_of_port, run

pytestmark = pytest.mark.once

# What the forwarder and dpdk-dumpcap take, of 2 MiB.
PAGES = 64


@pytest.fixture
def shared(_running, build, tmp_path):
    """EAL's options for memory that other processes can share."""
    if build.sanitized:
        pytest.skip("the shadow memory of a sanitizer is where the shared memory has to be")
    folder = tmp_path / "huge"
    folder.mkdir()
    _running.append(HugePages(folder, PAGES))
    return ["--huge-dir", folder, "-m", "64"]


def test_dumpcap_takes_forwarded_frames_and_proc_info_reads_counters(
        forwarder, start, shared, tap_path, tmp_path):
    fwd = forwarder(["-p", "3", "-K", "100"], memory=shared, vdevs=tap_path.vdevs)
    tap_path.attach()

    # It ends by itself when it has heard 100 frames at port 1: pings, and the answers to them.
    taken = tmp_path / "taken"
    capture = start(["dpdk-dumpcap", f"--file-prefix={fwd.file_prefix}", "-i", "1", "-c", "100",
                     "-P", "-w", taken])
    wait_until(lambda: tap_path.ping(count=20) == (20, 20) and not capture.running, "100 frames")
    assert capture.wait_exit() == 0
    mac = bytes.fromhex(fwd.wait_line(r"Port 1, MAC address: ([0-9A-F:]+)").match[1].replace(
        ":", ""))
    head = bytes.fromhex(mac_of_port(1).replace(":", "")) + mac + b"\x08\x00"
    captured = frames.read_pcap(taken)
    requests = [frame for frame in captured if frame.startswith(head)]
    assert len(captured) >= 100 and 45 <= len(requests) == len(set(requests))

    stats = run("dpdk-proc-info", f"--file-prefix={fwd.file_prefix}", "--", "--stats").stdout
    counted = re.findall(r"statistics for port (\d+) +#+\s+RX-packets: (\d+)[^#]*?TX-packets: (\d+)",
                         stats)
    assert [port for port, *_ in counted] == ["0", "1"], stats
    assert all(int(received) >= 50 and int(sent) >= 50 for _, received, sent in counted), stats
    assert fwd.segment().monitor().deaths == 0
    assert fwd.terminate() == 0
    assert fwd.lines("did not come back|captured") == []


def test_where_eal_serves_nobody_the_start_says_nothing_of_it(forwarder):
    """--no-shconf, as all tests but this one have it."""
    fwd = forwarder(["-p", "3", "-K", "100"])
    assert fwd.terminate() == 0
    assert fwd.lines("(?i)capture|pdump") == []
