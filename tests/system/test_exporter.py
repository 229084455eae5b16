# SPDX-License-Identifier: BSD-3-Clause
"""The endpoint for dpdk-telemetry-exporter.py, on the real telemetry socket of the real forwarder.

DPDK 22.11 has no such exporter yet. exporter() does what it does with an endpoint: loads the file,
asks info() and metrics(sock), writes Prometheus' text.
"""

import importlib.util
import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from support.deadline import wait_until
from support.prometheus import MISSING, parse
from support.segment import Kind
from support.telemetry import Telemetry

pytestmark = pytest.mark.skipif("promtool" in MISSING, reason="apt-get install prometheus")

ENDPOINT = Path(__file__).parents[2] / "contrib/telemetry-endpoints/l2fwd_keepalive.py"
PREFIX = "dpdk_l2fwd_keepalive_"


class Socket:
    """What the exporter hands to an endpoint."""

    def __init__(self, client):
        self._client = client

    def cmd(self, uri, arg=None):
        request = uri if arg is None else f"{uri},{arg}"
        return json.loads(self._client.send(request))[uri]


class Stranger:
    """A DPDK process that knows no such command."""

    @staticmethod
    def cmd(uri, arg=None):
        return None


def endpoint():
    spec = importlib.util.spec_from_file_location(ENDPOINT.stem, ENDPOINT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def exporter(sock):
    """The text; every name must be one that was announced."""
    module = endpoint()
    lines = {name: [f"# HELP {PREFIX}{name} {about['help']}",
                    f"# TYPE {PREFIX}{name} {about['type']}"]
             for name, about in module.info().items()}
    for name, value, labels in module.metrics(sock):
        text = ",".join(f'{label}="{value}"' for label, value in labels.items())
        lines[name].append(f"{PREFIX}{name}{{{text}}} {value}")
    return "\n".join(line for family in lines.values() for line in family) + "\n"


def find(samples, name, **labels):
    """The value of the one sample that has these labels."""
    value, = [value for (sample, has), value in samples.items() if sample == PREFIX + name and
              labels.items() <= dict(has).items()]
    return value


@pytest.fixture
def sock(_running):
    def connect(forwarder):
        client = Telemetry(forwarder)
        client.close = client.__exit__
        _running.append(client)
        wait_until(lambda: client.ask("info"), "the commands")
        return Socket(client)
    return connect


def test_metrics_of_the_endpoint_are_the_segments_and_promtool_has_nothing_to_say(forwarder, sock):
    fwd = forwarder(["-p", "f", "-K", "5", "--allow-faults", "--fault", "1:exit@0.1"],
                    lcores="0@0,1@1,2@0", vdevs=[f"net_null{port}" for port in range(4)])
    segment = fwd.segment()
    segment.wait(lambda now: any(event.kind == Kind.BACK for event in now.events()) and
                 all(now.load[lcore].received > 0 for lcore in now.watched()), "a return, a load")
    asked = sock(fwd)
    before = segment.snapshot()
    text = exporter(asked)
    after = segment.snapshot()
    said = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          text=True)
    assert (said.returncode, said.stdout + said.stderr) == (0, ""), text
    samples = parse(text)
    assert {name.removeprefix(PREFIX) for name, _ in samples} == endpoint().info().keys()

    for name, field, scale in (("monitor_ticks_total", "ticks", 1), ("events_total", "events", 1),
                               ("monitor_late_ticks_total", "late_ticks", 1),
                               ("monitor_longest_delay_seconds", "longest_late_ns", 1e9)):
        then, now = getattr(before.monitor, field), getattr(after.monitor, field)
        assert then <= round(find(samples, name) * scale) <= now, name
    assert find(samples, "check_period_seconds") == 0.005
    assert time.time() - 5 < find(samples, "monitor_last_tick_timestamp_seconds") <= time.time()
    for lcore in (1, 2):
        for name, field, scale in (("deaths_total", "deaths", 1), ("restarts_total", "restarts", 1),
                                   ("longest_outage_seconds", "longest_outage_ns", 1e9),
                                   ("outage_seconds_total", "outages_ns", 1e9),
                                   ("detection_seconds_total", "detections_ns", 1e9)):
            assert round(find(samples, name, lcore=str(lcore)) * scale) == getattr(
                after.core[lcore], field), (name, lcore)
        assert find(samples, "core_up", lcore=str(lcore)) == 1
        # The segment has what was read up to half a second before.
        assert find(samples, "loop_busy_seconds_total", lcore=str(lcore)) * 1e9 >= (
            before.load[lcore].busy_ns) - 1
    assert find(samples, "last_death_info", cause="exited") == 1
    polled = {(dict(labels)["lcore"], dict(labels)["port"]) for name, labels in samples
              if name == PREFIX + "port_polled"}
    assert polled == {(str(fwd.worker_of(port)), str(port)) for port in range(4)}
    received = sum(value for (name, _), value in samples.items()
                   if name == PREFIX + "port_frames_received_total")
    assert received >= before.load[1].received + before.load[2].received > 0
    assert fwd.terminate() == 0


def test_without_keepalive_there_are_frames_and_loops(forwarder, sock):
    samples = parse(exporter(sock(forwarder(["-p", "3", "-K", "0"]))))
    assert find(samples, "check_period_seconds") == 0
    assert {name.removeprefix(PREFIX) for name, _ in samples} == {
        "info", "start_time_seconds", "check_period_seconds", "port_polled",
        "bursts_received_total", "loop_busy_seconds_total", "loop_idle_seconds_total",
        "loop_late_turns_total", "loop_longest_turn_seconds", "port_frames_received_total",
        "port_frames_sent_total", "port_frames_dropped_total", "port_frames_abandoned_total"}


def test_a_process_without_the_commands_has_no_metrics():
    assert endpoint().metrics(Stranger()) == []
    assert not re.search(r"^dpdk", exporter(Stranger()), re.M)
