# SPDX-License-Identifier: BSD-3-Clause
"""Rows O1 to O5 of the original's defects end to end; tests/unit/test_options.c has the table."""

import re

import pytest

from support.programs import lcore_map
from support.segment import objects
from support.tables import tables

NULL_PORTS = [f"net_null{port}" for port in range(4)]


def refusal(fwd):
    """The one line that a forwarder prints that refuses its options, EAL's own lines apart."""
    assert fwd.wait_exit() == 2, fwd.report()
    said = [line.text for line in fwd.lines() if not re.match("EAL:|TELEMETRY:", line.text)]
    assert len(said) == 1 and fwd.lines(stream="stdout") == [], fwd.report()
    assert objects() == []
    return said[0]


def test_o1_limits_are_what_the_help_says(forwarder):
    """The original refuses -K 86400, -T 86400 and -q 16 against its own text."""
    fwd = forwarder(["-p", "f", "-K", "86400", "-T", "86400", "-q", "16",
                     "--demo-lifetime", "86400"], vdevs=NULL_PORTS)
    assert fwd.segment().snapshot().identity.period_ns == 86400 * 10**6
    assert {fwd.worker_of(port) for port in range(4)} == {1}
    assert fwd.terminate() == 0 and len(tables(fwd)) == 1


@pytest.mark.parametrize("option, value", [
    ("-K", "86400.001"), ("-T", "86401"), ("-q", "17"), ("--demo-lifetime", "86401"),
])
def test_o1_values_beyond_the_limits_are_refused(forwarder, option, value):
    """And not silently cut."""
    said = refusal(forwarder([option, value], started=False))
    assert option in said and f"'{value}'" in said and "86400" in said or "16" in said


@pytest.mark.parametrize("option, value", [
    ("-K", "4294967301"), ("-K", "-1"), ("-K", "5x"), ("-T", "4294967297"), ("-q", "4294967297"),
    ("-p", "-1"), ("-p", "0"), ("-p", "g"), ("--seed", "18446744073709551616"),
])
def test_o2_no_value_is_narrowed(forwarder, option, value):
    """The original takes -K 4294967301 for 5 and -p -1 for all; one line names option and value."""
    fwd = forwarder([option, value], started=False)
    said = refusal(fwd)
    assert said.startswith("l2fwd-keepalive: option ") and option in said and f"'{value}'" in said
    assert fwd.lines("EAL") == [], "EAL was started for a wrong option"


@pytest.mark.parametrize("mask, port", [("7", 2), ("8000000000000003", 63), ("100000001", 32),
                                        ("10000000000000003", 64)])
def test_o3_o4_ports_that_do_not_exist_are_refused(forwarder, mask, port):
    """The original drops them silently, and cuts the mask at 32 bits."""
    said = refusal(forwarder(["-p", mask], started=False))
    assert re.search(rf"-p: bit {port} is set but there is no port {port}: the ports are 0, 1$",
                     said)


def test_o3_operands_are_refused(forwarder):
    """The original ignores them."""
    assert "operand 'eth0'" in refusal(forwarder(["-p", "3", "eth0"], started=False))


def test_o3_ports_of_the_map_that_do_not_exist_are_refused(forwarder):
    """With a mask that is known before EAL, and without one."""
    assert "port 2" in refusal(forwarder(["-p", "3", "--portmap", "(0,2)"], started=False))
    assert re.search(r"--portmap: port 2 is not in use: the ports are 0, 1$",
                     refusal(forwarder(["--portmap", "(0,2)"], started=False)))


def test_no_ports_at_all_is_refused_with_a_way_out(forwarder):
    assert "--vdev=net_null0" in refusal(forwarder([], vdevs=[], started=False))


def test_too_few_ports_per_lcore_are_refused_with_the_arithmetic(forwarder):
    """-q too small: how many workers it takes, how many there are, and both ways out."""
    said = refusal(forwarder(["-q", "1"], vdevs=NULL_PORTS, started=False))
    for words in ("-q 1", "4 ports at 1 a worker need 4 workers, there is 1",
                  "raise -q to 4", "give EAL 5 lcores (-l 0-4)"):
        assert words in said
    said = refusal(forwarder(["-q", "1"], vdevs=NULL_PORTS[:3], lcores=lcore_map(3),
                             started=False))
    assert "3 ports at 1 a worker need 3 workers, there are 2: raise -q to 2" in said


def test_no_worker_lcore_is_refused_with_an_example(forwarder):
    """The main lcore only watches."""
    assert "-l 0-1" in refusal(forwarder(["-p", "3"], lcores="0@0", started=False))


def test_what_eal_refuses_is_named(forwarder):
    """Also where EAL ends the program by itself, in the moment that it has said so."""
    for _ in range(5):
        fwd = forwarder(eal=["--no-such-option"], started=False)
        assert fwd.wait_exit() > 0
        fwd.wait_line("--no-such-option", stream="stderr")


def test_o5_help_is_complete_and_needs_no_eal(start, build):
    """The original has no -h, and its usage lacks -K, -T and units."""
    asked = start([build.forwarder, "-h"])
    assert asked.wait_exit() == 0 and asked.lines(stream="stderr") == []
    text = asked.text()
    for option in ("-p, --portmask MASK", "-q, --ports-per-lcore NQ", "-K, --check-period MS",
                   "--late-us US", "--alarm-hold MS", "-T, --stats-period SEC", "--portmap", "--no-mac-updating",
                   "--no-promiscuous", "--on-hang POLICY", "--max-restarts N/SEC", "--takeover",
                   "--demo-lifetime SEC", "--seed N", "--shm-name NAME", "--shm-mode OCTAL", "--shm-group GROUP",
                   "-h, --help", "-V, --version"):
        assert option in text, option
    assert start([build.forwarder, "--", "--help"]).wait_exit() == 0


def test_every_port_is_used_by_default_and_spread_over_the_workers(forwarder):
    """Without -p and -q: all ports, one a worker where there are enough, else evenly."""
    fwd = forwarder([], vdevs=NULL_PORTS, lcores=lcore_map(3))
    assert [fwd.worker_of(port) for port in range(4)] == [1, 1, 2, 2]
    assert fwd.terminate() == 0
