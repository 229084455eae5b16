# SPDX-License-Identifier: BSD-3-Clause
"""The shortest way through both programs."""

import os

from support import frames
from support.segment import Status, objects


def test_help_and_version_need_neither_root_nor_huge_pages(start, build):
    for program in (build.forwarder, build.agent):
        for option in ("--help", "--version"):
            asked = start([program, option], user=65534, group=65534, extra_groups=[])
            assert asked.wait_exit() == 0, asked.report()
            assert asked.raw("stdout") != b"" and asked.raw("stderr") == b""


def test_a_typo_gets_one_line_and_exit_2(start, build):
    for argv in ([build.forwarder, "--", "--chek-period", "5"], [build.agent, "--folow"]):
        wrong = start(argv)
        assert wrong.wait_exit() == 2
        assert len(wrong.lines(stream="stderr")) == 1 and wrong.lines(stream="stdout") == []
        assert argv[-2 if len(argv) > 2 else -1] in wrong.text()


def test_frames_cross_and_sigterm_ends_in_good_order(forwarder, agent, tmp_path):
    sent = [frames.udp_frame(number) for number in range(100)]
    source, sink = tmp_path / "in.pcap", tmp_path / "out.pcap"
    frames.write_pcap(source, sent)
    fwd = forwarder(["-p", "3", "-K", "5"],
                    vdevs=[f"net_pcap0,rx_pcap={source},tx_pcap={tmp_path}/back.pcap",
                           f"net_pcap1,rx_pcap={frames.write_pcap(tmp_path / 'none', [])},"
                           f"tx_pcap={sink}"])
    segment = fwd.segment()
    watcher = agent(forwarder=fwd)
    now = segment.wait(lambda now: now.monitor.ticks > 20, "20 pings")
    assert now.monitor.status == Status.RUNNING and now.identity.pid == fwd.pid
    assert list(now.watched()) == [fwd.worker_of(port=0)]

    assert fwd.terminate() == 0
    assert watcher.wait_exit() == 0
    assert segment.snapshot().monitor.status == Status.STOPPED
    assert objects() == []
    received = frames.read_pcap(sink)
    assert [frame[12:] for frame in received] == [frame[12:] for frame in sent]
    assert {frame[:6] for frame in received} == {bytes([2, 0, 0, 0, 0, 1])}


def test_pings_cross_two_namespaces_through_taps(forwarder, tap_path):
    fwd = forwarder(["-p", "3", "-K", "5"], vdevs=tap_path.vdevs)
    tap_path.attach()
    assert tap_path.ping(count=20) == (20, 20)
    assert fwd.terminate() == 0


def test_pings_cross_two_namespaces_through_veths(forwarder, veth_path):
    fwd = forwarder(["-p", "3", "-K", "5"], vdevs=veth_path.vdevs)
    veth_path.wait_open()
    assert veth_path.ping(count=20) == (20, 20)
    assert fwd.terminate() == 0


def test_the_agent_needs_no_dpdk(build):
    maps = os.popen(f"ldd {build.agent}").read()
    assert "libc.so" in maps and "rte_" not in maps and "numa" not in maps
