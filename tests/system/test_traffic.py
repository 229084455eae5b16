# SPDX-License-Identifier: BSD-3-Clause
"""Real traffic of real programs, between two namespaces with the forwarder as the wire."""

import contextlib
import json

import pytest

from support.deadline import wait_until
from support.network import link
from support.tables import last_table

NOT_BACK = "did not come back"

TWO_WORKERS = "0@0,1@1,2@0"


@pytest.fixture(params=["tap", "veth"])
def path(request):
    """A path through net_tap and one through net_af_packet."""
    return request.getfixturevalue(f"{request.param}_path")


def connect(path):
    """Call once the forwarder runs: taps are made by it, veths were there before."""
    if hasattr(path, "attach"):
        path.attach()
    else:
        path.wait_open()


def iperf3(start, path, *options):
    """Run an iperf3 client in a against a server in b; its result."""
    server = start(path.b.command("iperf3", "--server", "--one-off", "--forceflush"),
                   name="iperf3 server")
    server.wait_line("Server listening")
    client = start(path.a.command("iperf3", "--json", "--client", path.address_b, *options),
                   name="iperf3 client")
    assert client.wait_exit(30) == 0, client.report()
    assert server.wait_exit() == 0, server.report()
    return json.loads(client.raw("stdout"))


class Ping:
    """A ping from a to b that goes on until stop()."""

    def __init__(self, start, path, interval=0.01):
        self._process = start(path.a.command("ping", "-i", interval, "-W", 2, path.address_b),
                              name="ping")

    def answered(self):
        """Sequence numbers of the answers so far."""
        return [int(line.match[1]) for line in self._process.lines(r"icmp_seq=(\d+) ttl=")]

    def wait_more(self, count):
        before = len(self.answered())
        wait_until(lambda: len(self.answered()) >= before + count, f"{count} more answers")

    def stop(self):
        """(sent, received, what else it said of answers); what is still on its way was not sent."""
        self._process.signal(2)
        assert self._process.wait_exit() == 0, self._process.report()
        answered = self.answered()
        return max(answered), len(answered), self._process.lines("DUP!|wrong")


@contextlib.contextmanager
def nothing_lost_to_the_pool(fwd):
    """The forwarder ends in good order after what is done inside."""
    yield
    assert fwd.terminate() == 0
    assert not fwd.lines(NOT_BACK), fwd.report()


def assert_adds_up(fwd, at_least):
    """Both ways carried frames, each of which was sent or dropped by the other port."""
    table = last_table(fwd)
    for port in (0, 1):
        peer = table[port ^ 1]
        assert table[port].received >= at_least, table
        assert table[port].received == peer.sent + peer.dropped, table
    return table


def test_ping_and_a_tcp_stream_cross(forwarder, start, path):
    """Pings of all sizes and an iperf3 stream cross, both ways, and are what the table counts."""
    fwd = forwarder(["-p", "3", "-K", "50", "-T", "10"], vdevs=path.vdevs)
    connect(path)
    with nothing_lost_to_the_pool(fwd):
        for size in (0, 56, 1472):
            assert path.ping(count=10, size=size) == (10, 10), f"pings of {size} bytes"
        there = iperf3(start, path, "-n", "20M", "--set-mss", "1448")["end"]
        back = iperf3(start, path, "-n", "20M", "--set-mss", "1448", "--reverse")["end"]
        for stream in (there, back):
            assert stream["sum_received"]["bytes"] >= 15 << 20, stream["sum_received"]
    # 20 MB each way in frames of 1448 bytes of data at most.
    assert_adds_up(fwd, at_least=10000)


def test_ping_goes_on_through_deaths_and_restarts(forwarder, start, path):
    """What a worker's death costs is time: nearly all pings are answered, each once."""
    fwd = forwarder(["-p", "3", "-K", "5", "-T", "10", "--demo-lifetime", "1", "--seed", "11"],
                    vdevs=path.vdevs)
    segment = fwd.segment()
    connect(path)
    with nothing_lost_to_the_pool(fwd):
        ping = Ping(start, path)
        first = segment.monitor().restarts
        segment.wait(lambda now: now.monitor.restarts >= first + 4, "4 restarts")
        # The answers after the last restart are of a worker that was brought back.
        ping.wait_more(20)
        sent, received, odd = ping.stop()
    assert odd == []
    assert sent >= 50 and received >= 0.9 * sent, f"{received} of {sent} pings answered"
    assert_adds_up(fwd, at_least=received)
    deaths = fwd.deaths()
    assert len(deaths) >= 4 and set(deaths) == {1}, deaths


def test_a_tcp_stream_goes_on_through_deaths_and_restarts(forwarder, start, path):
    """A TCP connection lives through outages of its wire, and all of its bytes arrive."""
    fwd = forwarder(["-p", "3", "-K", "5", "-T", "10", "--demo-lifetime", "0.5", "--seed", "5"],
                    vdevs=path.vdevs)
    segment = fwd.segment()
    connect(path)
    with nothing_lost_to_the_pool(fwd):
        before = segment.monitor().restarts
        end = iperf3(start, path, "-t", "2")["end"]
        restarts = segment.monitor().restarts - before
    assert restarts >= 2
    assert end["sum_received"]["bytes"] >= 1 << 20, end["sum_received"]
    assert_adds_up(fwd, at_least=1000)


def test_two_workers_a_port_each_carry_traffic_and_die_apart(forwarder, start, path):
    """Each direction has a worker of its own; both die, both come back, pings cross."""
    fwd = forwarder(["-p", "3", "-K", "5", "-T", "10", "--demo-lifetime", "0.6", "--seed", "23"],
                    lcores=TWO_WORKERS, vdevs=path.vdevs)
    assert (fwd.worker_of(port=0), fwd.worker_of(port=1)) == (1, 2)
    segment = fwd.segment()
    connect(path)
    with nothing_lost_to_the_pool(fwd):
        ping = Ping(start, path)
        segment.wait(lambda now: all(now.core[lcore].restarts >= 2 for lcore in (1, 2)),
                     "2 restarts of each worker")
        ping.wait_more(20)
        sent, received, odd = ping.stop()
    assert odd == []
    assert received >= 0.9 * sent, f"{received} of {sent} pings answered"
    assert_adds_up(fwd, at_least=received)
    assert set(fwd.deaths()) == {1, 2}


def test_af_packet_needs_and_gets_promiscuous_mode(forwarder, veth_path):
    """Frames for other stations cross a veth, as promiscuous mode is on there."""
    fwd = forwarder(["-p", "3", "-K", "50"], vdevs=veth_path.vdevs)
    connect(veth_path)
    for name in veth_path.interfaces:
        assert "PROMISC" in link(name)["flags"], link(name)
    assert fwd.terminate() == 0
