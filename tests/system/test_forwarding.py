# SPDX-License-Identifier: BSD-3-Clause
"""Frames: what becomes of each byte, where each frame goes, and that every one is accounted for."""

import errno
import itertools
import os
import random
import re
import socket

import pytest

from support import frames
from support.deadline import wait_until
from support.hook import Mode
from support.network import link, run
from support.tables import last_table, tables, wait_table

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, LLC, STP, Dot1AD, Dot1Q, Ether

# Size of a pcap file's header, and of the header of each of its frames.
PCAP_HEADER = 24
PCAP_FRAME_HEADER = 16

NOT_BACK = "did not come back"


class PcapPort:
    """A port that receives what a file holds and sends into another one."""

    def __init__(self, directory, port, sent=()):
        self.port = port
        self.sent = list(sent)
        self.source = frames.write_pcap(directory / f"in{port}.pcap", self.sent)
        self.sink = directory / f"out{port}.pcap"

    @property
    def vdev(self):
        return f"net_pcap{self.port},rx_pcap={self.source},tx_pcap={self.sink}"

    def wait_received(self, expected):
        """Wait until the sink holds frames of the size of the expected ones; net_pcap flushes."""
        size = PCAP_HEADER + sum(PCAP_FRAME_HEADER + len(frame) for frame in expected)
        wait_until(lambda: self.sink.exists() and self.sink.stat().st_size >= size,
                   f"{len(expected)} frames ({size} bytes) out of port {self.port}")

    def assert_received(self, expected):
        """The sink holds these frames, in this order, and nothing else."""
        got = frames.read_pcap(self.sink)
        for number, (one, other) in enumerate(zip(got, expected)):
            assert one.hex(" ") == other.hex(" "), (
                f"frame {number} out of port {self.port} of {len(other)} bytes differs")
        assert len(got) == len(expected), f"frames out of port {self.port}"


def macs(forwarder):
    """{port: MAC address as bytes} by the forwarder's own lines."""
    said = forwarder.lines(r"L2FWD: Port (\d+), MAC address: ([0-9A-Fa-f:]{17})")
    return {int(line.match[1]): bytes.fromhex(line.match[2].replace(":", "")) for line in said}


def expect(sent, tx_port, mac):
    """What must come out of tx_port; of a frame too short for both addresses, what there is."""
    return [frames.rewritten(frame, tx_port, mac)[:len(frame)] for frame in sent]


def workers(forwarder):
    """{lcore: [ports]} by the lines of the workers."""
    result = {}
    for line in forwarder.lines(r"L2FWD:  -- lcoreid=(\d+) portid=(\d+)$"):
        result.setdefault(int(line.match[1]), []).append(int(line.match[2]))
    return {lcore: sorted(ports) for lcore, ports in result.items()}


def every_kind():
    """Frames of many protocols, addressed to one, to many and to all."""
    ip = IP(src="10.0.0.1", dst="10.0.0.2")
    ip6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
    kinds = [
        ARP(psrc="10.0.0.1", pdst="10.0.0.2"), ip / ICMP() / b"ping", ip / TCP(flags="S"),
        ip / UDP() / bytes(18), ip6 / UDP() / b"six", ip6 / TCP(flags="FPU"),
        Dot1Q(vlan=100, prio=7) / ip / UDP(), Dot1AD(vlan=4094) / Dot1Q(vlan=1) / ip6 / TCP(),
        LLC() / STP(), IP(src="10.0.0.1", dst="10.0.0.2", flags="MF", frag=185) / bytes(64),
    ]
    addresses = [("02:11:11:11:11:11", "02:22:22:22:22:22"),
                 ("02:11:11:11:11:11", "ff:ff:ff:ff:ff:ff"),
                 ("02:11:11:11:11:11", "01:00:5e:00:00:fb"),
                 ("ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00")]
    found = [bytes(Ether(src=source, dst=destination) / kind)
             for kind in kinds for source, destination in addresses]
    odd_types = (0x0000, 0x05dc, 0x88cc, 0x8863, 0xffff)
    return found + [bytes(12) + kind.to_bytes(2, "big") + bytes(46) for kind in odd_types]


def every_size(seed, first=14, last=1514):
    """One frame of each size, with random bytes all over."""
    dice = random.Random(seed)
    return [dice.randbytes(size) for size in range(first, last + 1)]


def stream(count, size=60):
    """Many frames that differ in their number; building each from its layers would take long."""
    first = frames.udp_frame(0, size)
    return [first[:-4] + number.to_bytes(4, "big") for number in range(count)]


# ---- What becomes of a frame ----


def test_every_size_and_kind_is_rewritten_and_else_untouched_in_both_directions(
        forwarder, tmp_path):
    """All but the two addresses of a frame crosses as it was, in order, both ways at once."""
    runts = [bytes([0xa5]) * size for size in (1, 6, 12, 13)]
    jumbos = [random.Random(size).randbytes(size) for size in (1515, 1518, 2048, 2049, 9018)]
    a = PcapPort(tmp_path, 0, every_size(seed=1) + every_kind() + runts)
    b = PcapPort(tmp_path, 1, every_kind() + jumbos + list(reversed(every_size(seed=2))))
    fwd = forwarder(["-p", "3", "-K", "50", "-T", "10"], vdevs=[a.vdev, b.vdev])
    mac = macs(fwd)
    out_of_b, out_of_a = expect(a.sent, 1, mac[1]), expect(b.sent, 0, mac[0])
    b.wait_received(out_of_b)
    a.wait_received(out_of_a)
    assert fwd.terminate() == 0
    b.assert_received(out_of_b)
    a.assert_received(out_of_a)

    table = last_table(fwd)
    for there, back in ((a, b), (b, a)):
        counts = table[there.port]
        assert (counts.received, counts.sent, counts.dropped) == (
            len(there.sent), len(back.sent), 0), table
    assert table["total"].received == table["total"].sent == len(a.sent) + len(b.sent)
    assert not fwd.lines(NOT_BACK)


def test_no_mac_updating_leaves_every_byte(forwarder, tmp_path):
    """--no-mac-updating: nothing of a frame changes."""
    a = PcapPort(tmp_path, 0, every_size(seed=3, last=300) + every_kind())
    b = PcapPort(tmp_path, 1, every_kind())
    fwd = forwarder(["-p", "3", "-K", "50", "--no-mac-updating"], vdevs=[a.vdev, b.vdev])
    b.wait_received(a.sent)
    a.wait_received(b.sent)
    assert fwd.terminate() == 0
    b.assert_received(a.sent)
    a.assert_received(b.sent)


# ---- Where it goes ----


def numbered(port, count=100):
    """Frames that say which port they came in by."""
    return [frames.udp_frame(number, 60 + number, source=f"02:ee:00:00:00:{port:02x}")
            for number in range(count)]


def check_paths(fwd, ports, peers):
    """Frames of each port come out of its peer, rewritten for it, and out of no other."""
    mac = macs(fwd)
    expected = {port: [] for port in ports}
    for port, peer in peers.items():
        expected[peer] = expect(ports[port].sent, peer, mac[peer])
    for port, wanted in expected.items():
        if wanted:
            ports[port].wait_received(wanted)
    assert fwd.terminate() == 0, fwd.report()
    for port, wanted in expected.items():
        ports[port].assert_received(wanted)


def pcap_ports(directory, count):
    return {port: PcapPort(directory, port, numbered(port)) for port in range(count)}


def test_the_last_of_an_odd_number_of_ports_is_paired_with_itself(forwarder, tmp_path):
    """Three ports: 0 and 1 are a pair, 2 gets its own frames back, and a notice says so."""
    ports = pcap_ports(tmp_path, 3)
    fwd = forwarder(["-p", "7", "-K", "50"], vdevs=[port.vdev for port in ports.values()])
    assert [line.text for line in fwd.lines("Notice")] == [
        "Notice: odd number of ports in portmask."]
    check_paths(fwd, ports, {0: 1, 1: 0, 2: 2})


def test_ports_are_paired_in_the_order_of_the_mask(forwarder, tmp_path):
    """Bits that are not set are passed over: -p d pairs 0 with 2, and 3 with itself."""
    ports = pcap_ports(tmp_path, 4)
    fwd = forwarder(["-p", "d", "-K", "50"], vdevs=[port.vdev for port in ports.values()])
    unused = ports.pop(1)
    check_paths(fwd, ports, {0: 2, 2: 0, 3: 3})
    assert not unused.sink.exists() or frames.read_pcap(unused.sink) == []


def test_portmap_pairs_as_it_says(forwarder, tmp_path):
    """--portmap takes the place of pairing in order; there is no notice then."""
    ports = pcap_ports(tmp_path, 4)
    fwd = forwarder(["-K", "50", "--portmap", "(0,2)(1,3)"],
                    vdevs=[port.vdev for port in ports.values()])
    assert fwd.lines("Notice") == []
    check_paths(fwd, ports, {0: 2, 2: 0, 1: 3, 3: 1})


def test_frames_make_their_way_through_a_ring_and_back(forwarder, tmp_path):
    """A net_ring port receives what it is sent, so all frames come back, rewritten twice."""
    a = PcapPort(tmp_path, 0, every_size(seed=4, last=600))
    fwd = forwarder(["-p", "3", "-K", "50", "-T", "10"], vdevs=[a.vdev, "net_ring1"])
    back = expect(a.sent, 0, macs(fwd)[0])
    a.wait_received(back)
    assert fwd.terminate() == 0
    a.assert_received(back)
    table, count = last_table(fwd), len(a.sent)
    assert [(table[port].received, table[port].sent, table[port].dropped) for port in (0, 1)] == [
        (count, count, 0), (count, count, 0)]


# ---- Who polls it ----

TWO_WORKERS = "0@0,1@1,2@1"


@pytest.mark.parametrize(("count", "per_lcore", "spread"), [
    (4, None, {1: [0, 1], 2: [2, 3]}),
    (3, None, {1: [0, 1], 2: [2]}),
    (2, None, {1: [0], 2: [1]}),
    (1, None, {1: [0]}),
    (4, 2, {1: [0, 1], 2: [2, 3]}),
    (4, 3, {1: [0, 1, 2], 2: [3]}),
    (3, 16, {1: [0, 1, 2]}),
])
def test_ports_are_spread_over_workers(forwarder, tmp_path, count, per_lcore, spread):
    """Evenly over all workers, or as many a worker as -q says; frames cross either way."""
    ports = pcap_ports(tmp_path, count)
    many = [] if per_lcore is None else ["-q", per_lcore]
    fwd = forwarder(["-p", f"{2 ** count - 1:x}", "-K", "50", *many], lcores=TWO_WORKERS,
                    vdevs=[port.vdev for port in ports.values()])
    assert workers(fwd) == spread
    entered = fwd.lines(r"entering main loop on lcore (\d+)")
    assert sorted(int(line.match[1]) for line in entered) == sorted(spread)
    peers = {port: port ^ 1 if port ^ 1 < count else port for port in range(count)}
    check_paths(fwd, ports, peers)


# ---- Every frame is accounted for ----


def test_frames_that_a_full_queue_refuses_are_counted_and_freed(forwarder, hook, tmp_path):
    """O6, O8: what TX does not take is dropped by number, and its mbufs come back.

    Nobody empties the ring of port 1 while its worker sleeps, so that it takes what fits.
    """
    source = PcapPort(tmp_path, 0, stream(12000))
    hook.set(2, Mode.SLEEP)
    fwd = forwarder(["-p", "3", "-K", "2000", "-T", "1"], hook=hook, lcores=TWO_WORKERS,
                    vdevs=[source.vdev, "net_ring1"])
    assert workers(fwd) == {1: [0], 2: [1]}
    # More than the pool holds: if they were not freed, not all could be received.
    full = wait_table(fwd, lambda table: table[0].received == 12000, "all frames received")
    taken = full[1].sent
    assert 0 < taken < 12000 and full[1].dropped == 12000 - taken, full

    hook.release(2)
    back = expect(source.sent[:taken], 0, macs(fwd)[0])
    source.wait_received(back)
    assert fwd.terminate() == 0
    source.assert_received(back)
    table = last_table(fwd)
    assert (table[1].received, table[0].sent, table[0].dropped) == (taken, taken, 0), table
    assert table["total"].dropped == 12000 - taken
    assert not fwd.lines(NOT_BACK), fwd.report()


class RawEnd:
    """A kernel interface as a stack-free source and sink of whole frames."""

    def __init__(self, interface):
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        so_rcvbufforce = 33
        self._socket.setsockopt(socket.SOL_SOCKET, so_rcvbufforce, 16 << 20)
        self._socket.bind((interface, 0))
        self._socket.setblocking(False)
        self.received = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, frame):
        self._socket.send(frame)

    def take(self):
        """All frames that came in so far from the outside, in order."""
        outgoing = 4
        while True:
            try:
                frame, address = self._socket.recvfrom(65535)
            except BlockingIOError:
                return self.received
            except OSError as error:
                if error.errno != errno.ENETDOWN:  # Said once when the interface goes down.
                    raise
                continue
            if address[2] != outgoing:
                self.received.append(frame)


def tap_names(tag):
    return [f"{tag}{port}" for port in range(2)]


def tap_vdevs(names):
    return [f"net_tap{port},iface={name}" for port, name in enumerate(names)]


def test_frames_for_an_interface_that_is_down_are_counted_as_dropped(forwarder):
    """The statistics name the frames that are missing, and forwarding goes on after it is up."""
    names = tap_names("down")
    fwd = forwarder(["-p", "3", "-K", "50", "-T", "1"], vdevs=tap_vdevs(names))
    mac = macs(fwd)[1]
    with RawEnd(names[0]) as a, RawEnd(names[1]) as b:
        sent = stream(300)
        for frame in sent[:100]:
            a.send(frame)
        wait_until(lambda: len(b.take()) >= 100, "100 frames across")
        run("ip", "link", "set", "dev", names[1], "down")
        for frame in sent[100:200]:
            a.send(frame)
        wait_table(fwd, lambda table: table[1].dropped == 100, "100 drops of port 1")
        run("ip", "link", "set", "dev", names[1], "up")
        for frame in sent[200:]:
            a.send(frame)
        wait_until(lambda: len(b.take()) >= 200, "200 frames across")
        assert b.take() == expect(sent[:100] + sent[200:], 1, mac)
    assert fwd.terminate() == 0
    table = last_table(fwd)
    assert (table[0].received, table[1].sent, table[1].dropped) == (300, 200, 100), table
    assert not fwd.lines(NOT_BACK), fwd.report()


def test_o11_counters_survive_deaths_and_each_frame_is_in_one(forwarder):
    """O11: the original wipes all counters again and again; ours only grow, and add up."""
    fwd = forwarder(["-p", "3", "-K", "5", "-T", "1", "--demo-lifetime", "0.2", "--seed", "7"])
    segment = fwd.segment()
    wait_table(fwd, lambda table: len(tables(fwd)) >= 2 and segment.monitor().restarts >= 5,
               "2 tables and 5 restarts")
    assert fwd.terminate() == 0
    found = tables(fwd)
    for before, after in itertools.pairwise(found):
        for port in (0, 1, "total"):
            assert after[port].received >= before[port].received > 0, (before, after)
            assert after[port].sent >= before[port].sent > 0, (before, after)
    table = found[-1]
    for port in (0, 1):
        peer = table[port ^ 1]
        assert table[port].received == peer.sent + peer.dropped, table
    assert table["total"].received == table[0].received + table[1].received
    assert not fwd.lines(NOT_BACK), fwd.report()


def test_no_frame_is_lost_by_deaths(forwarder, tmp_path):
    """Workers that die every other moment lose, double and reorder nothing of a long stream."""
    a = PcapPort(tmp_path, 0, stream(40001))
    b = PcapPort(tmp_path, 1, stream(40007, size=80))
    fwd = forwarder(["-p", "3", "-K", "1", "--demo-lifetime", "0.002", "--seed", "1", "-T", "10"],
                    vdevs=[a.vdev, b.vdev])
    segment = fwd.segment()
    mac = macs(fwd)
    out_of_b, out_of_a = expect(a.sent, 1, mac[1]), expect(b.sent, 0, mac[0])
    b.wait_received(out_of_b)
    a.wait_received(out_of_a)
    deaths = segment.monitor().deaths
    assert fwd.terminate() == 0
    assert deaths >= 5, f"{deaths} deaths are too few to show anything"
    b.assert_received(out_of_b)
    a.assert_received(out_of_a)
    table = last_table(fwd)
    assert (table[1].sent, table[0].sent, table["total"].dropped) == (40001, 40007, 0), table


# A demonstration's worker leaves its loop when its time has come and it has frames in hand: here,
# with the first ones it takes.
DIE_AT_ONCE = "0.000000001"


def test_o13_frames_in_the_buffer_of_a_dead_worker_leave_after_the_restart(forwarder):
    """O13: frames wait in the TX buffer of a dead worker, and the next life sends them."""
    names = tap_names("wait")
    fwd = forwarder(["-p", "3", "-K", "1", "--demo-lifetime", DIE_AT_ONCE],
                    vdevs=tap_vdevs(names))
    segment = fwd.segment()
    sent = stream(5)
    with RawEnd(names[0]) as a, RawEnd(names[1]) as b:
        for number, frame in enumerate(sent):
            a.send(frame)
            wait_until(lambda number=number: len(b.take()) > number, f"frame {number}")
        assert b.take() == expect(sent, 1, macs(fwd)[1])
    assert segment.monitor().deaths >= 5
    assert fwd.terminate() == 0


def test_o6_frames_in_a_buffer_at_the_end_are_sent(forwarder, tmp_path):
    """O6: the original drops what waits in its TX buffers when it ends.

    The worker leaves its loop with the first frames it takes, and the end comes long before a
    restart: these frames still wait when SIGTERM comes.
    """
    port = PcapPort(tmp_path, 0, numbered(0, count=5))
    fwd = forwarder(["-p", "1", "-K", "2000", "-T", "1", "--demo-lifetime", DIE_AT_ONCE],
                    vdevs=[port.vdev])
    segment = fwd.segment()
    table = wait_table(fwd, lambda table: table[0].received == 5, "5 frames received")
    assert (table[0].sent, table[0].dropped) == (0, 0), "the frames do not wait"
    assert fwd.terminate() == 0
    assert segment.snapshot().monitor.restarts == 0
    assert last_table(fwd)[0].sent == 5
    port.assert_received(expect(port.sent, 0, macs(fwd)[0]))


# ---- What ports are asked for ----


@pytest.mark.parametrize("wanted", [True, False])
def test_o9_promiscuous_mode_is_asked_for_unless_told_not_to(forwarder, wanted):
    """O9: on by default, which the kernel's side of a tap shows; --no-promiscuous does not ask."""
    names = tap_names("prom")
    fwd = forwarder(["-p", "3", "-K", "50", *([] if wanted else ["--no-promiscuous"])],
                    vdevs=tap_vdevs(names))
    flags = {name: link(name)["flags"] for name in names}
    assert ["PROMISC" in flags[name] for name in names] == [wanted, wanted], flags
    assert fwd.lines("promiscuous") == []
    assert fwd.terminate() == 0


@pytest.mark.parametrize("asked", [True, False])
def test_o9_a_device_that_refuses_promiscuous_mode_forwards(forwarder, hook, tmp_path, asked):
    """O9: the original gives up with such a device; ours warns, and forwards what comes."""
    hook.fail_promiscuous(errno.ENOTSUP)
    ports = pcap_ports(tmp_path, 2)
    fwd = forwarder(["-p", "3", "-K", "50", *([] if asked else ["--no-promiscuous"])], hook=hook,
                    vdevs=[port.vdev for port in ports.values()])
    warned = fwd.lines(r"L2FWD: Port (\d+) refuses promiscuous mode \((.*)\)")
    assert [(line.match[1], line.match[2]) for line in warned] == [
        (port, os.strerror(errno.ENOTSUP)) for port in "01" if asked]
    check_paths(fwd, ports, {0: 1, 1: 0})


# ---- Memory for them ----


def nic_notes(path):
    """What preload/nic_hook.c wrote: ([(socket, mbufs, cache)], {port: its numbers})."""
    text = path.read_text() if path.exists() else ""
    pools = [tuple(map(int, found)) for found in re.findall(
        r"^pool socket (\d+) mbufs (\d+) cache (\d+)$", text, re.M)]
    names = ("rx", "rx_size", "tx", "tx_size", "sent", "starved")
    ports = {int(found[0]): dict(zip(names, map(int, found[1:]))) for found in re.findall(
        r"^port (\d+) rx (\d+) of (\d+) tx (\d+) of (\d+) sent (\d+) starved (\d+)$", text, re.M)}
    return pools, ports


@pytest.mark.parametrize("sockets", [1, 2])
def test_o8_a_pool_per_socket_fills_all_descriptors(
        forwarder, preload, tmp_path, sockets):
    """O8: with every RX and TX descriptor of 4 ports holding an mbuf, no port is ever short of one.

    The original takes 3000 mbufs a port from one socket, whatever descriptors the device has.
    """
    log = tmp_path / "nic"
    fwd = forwarder(["-p", "f", "-K", "50", "-T", "1"], lcores=TWO_WORKERS,
                    vdevs=[f"net_null{port}" for port in range(4)],
                    preload=[preload("nic_hook")],
                    env={"NIC_LOG": str(log), "NIC_SOCKETS": str(sockets)})
    wait_table(fwd, lambda table: all(table[port].sent > 1 << 17 for port in range(4)),
               "every descriptor used many times over")
    assert fwd.terminate() == 0
    pools, ports = nic_notes(log)
    assert sorted(socket_id for socket_id, _, _ in pools) == list(range(sockets)), pools
    assert sorted(ports) == [0, 1, 2, 3]
    for port, nic in ports.items():
        assert nic["rx"] == nic["rx_size"] > 0 and nic["tx"] == nic["tx_size"] > 0, (port, nic)
        assert nic["starved"] == 0, (port, nic, pools)
    crossing = fwd.lines(r"lcore \d+ on socket \d+ polls port (\d+) on socket (\d+)")
    assert [int(line.match[1]) for line in crossing] == [
        port for port in range(4) if port % sockets != 0]
    assert not fwd.lines(NOT_BACK), fwd.report()
