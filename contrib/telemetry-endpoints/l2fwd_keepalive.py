# SPDX-License-Identifier: BSD-3-Clause
"""
l2fwd-keepalive for dpdk-telemetry-exporter.py, which DPDKs newer than 22.11 have in usertools: put this
file beside the endpoints that come with it, in telemetry-endpoints.

The exporter calls info() and metrics(sock), and puts "dpdk_l2fwd_keepalive_" before each name. What
stands behind is named as in the file of ka-agent --metrics where both tell it. Frames are those of a
port here; the exporter knows values only, so that the histograms are there alone. A process that does
not answer below /l2fwd_keepalive has no metrics.
"""

import time

ROOT = "/l2fwd_keepalive"
NS = 1e9

COUNTER, GAUGE = "counter", "gauge"

# Of /monitor: key, nanoseconds or not, name, type, help.
MONITOR = (
    ("ticks", False, "monitor_ticks_total", COUNTER, "Pings dispatched or, when late, put off."),
    ("late_ticks", False, "monitor_late_ticks_total", COUNTER,
     "Pings that came a period or more too late."),
    ("longest_late_ns", True, "monitor_longest_delay_seconds", GAUGE,
     "Lateness of the latest of them."),
    ("events", False, "events_total", COUNTER,
     "Events that the monitor noted: deaths, returns and what is no death."),
    ("lost_lines", False, "lost_lines_total", COUNTER,
     "Lines of output dropped because it was blocked."),
)

# Of /lcore,N.
LCORE = (
    ("deaths", False, "deaths_total", COUNTER, "Times that a core was declared dead."),
    ("restarts", False, "restarts_total", COUNTER, "Times that a core was launched again."),
    ("recoveries", False, "recoveries_total", COUNTER,
     "Times that a dead core moved again by itself."),
    ("longest_outage_ns", True, "longest_outage_seconds", GAUGE,
     "The longest outage of a core since the start."),
    ("outages_ns", True, "outage_seconds_total", COUNTER, "Sum of all outages of a core."),
    ("detections_ns", True, "detection_seconds_total", COUNTER,
     "Sum of the times from the last heartbeat of a core to its death."),
    ("given_up", False, "core_given_up", GAUGE,
     "Whether a core is given up: it is not launched again, ever."),
    ("bursts", False, "bursts_received_total", COUNTER, "Bursts of frames that a core received."),
    ("busy_ns", True, "loop_busy_seconds_total", COUNTER,
     "Time in turns of a loop that received frames."),
    ("idle_ns", True, "loop_idle_seconds_total", COUNTER, "Time in the other turns of a loop."),
    ("late_turns", False, "loop_late_turns_total", COUNTER,
     "Turns of a loop that took --late-us or more."),
    ("longest_turn_ns", True, "loop_longest_turn_seconds", GAUGE,
     "The longest turn of a loop since the start."),
)

# Of /ports.
PORT = (
    ("received", False, "port_frames_received_total", COUNTER, "Frames received by a port."),
    ("sent", False, "port_frames_sent_total", COUNTER, "Frames sent by a port."),
    ("dropped", False, "port_frames_dropped_total", COUNTER,
     "Frames that a port did not take, freed."),
    ("abandoned", False, "port_frames_abandoned_total", COUNTER,
     "Frames of these that a dead worker had in its hands."),
)

# What takes more than a key.
OTHER = (
    ("info", GAUGE, "The program that answers; always 1."),
    ("start_time_seconds", GAUGE, "When the forwarder started, in seconds since 1970."),
    ("check_period_seconds", GAUGE, "Time between two pings; 0 = keepalive is off."),
    ("monitor_last_tick_timestamp_seconds", GAUGE,
     "The last heartbeat of the main lcore, in seconds since 1970."),
    ("core_up", GAUGE, "Whether a core is neither dead nor given up; one that missed a ping is up."),
    ("core_state", GAUGE, "Whether the last ping found a core in this state."),
    ("core_last_heartbeat_timestamp_seconds", GAUGE,
     "The last heartbeat of a core, in seconds since 1970."),
    ("last_death_info", GAUGE, "What a core died of last; always 1."),
    ("port_polled", GAUGE, "A port that a core polls now; always 1."),
)

STATES = ("UNUSED", "ALIVE", "DEAD", "GONE", "MISSING", "DOZING", "SLEEP")


def info():
    """{name: {"help", "type"}} of all metrics."""
    table = {name: {"help": text, "type": kind}
             for _, _, name, kind, text in (*MONITOR, *LCORE, *PORT)}
    return table | {name: {"help": text, "type": kind} for name, kind, text in OTHER}


def metrics(sock):
    """[(name, value, labels)] of now. sock.cmd(command, parameter) asks the forwarder."""
    what = sock.cmd(f"{ROOT}/info")
    if not isinstance(what, dict) or "program" not in what:
        return []
    return [*_process(what), *_monitor(sock), *_lcores(sock), *_ports(sock)]


def _values(table, answer, labels):
    for key, is_ns, name, _, _ in table:
        if key in answer:
            yield name, answer[key] / NS if is_ns else answer[key], labels


def _process(what):
    labels = {key: what[key] for key in ("program", "version", "eal_version", "on_hang")}
    yield "info", 1, labels
    yield "start_time_seconds", what["started_real_ns"] / NS, {}
    yield "check_period_seconds", what["period_ns"] / NS, {}


def _monitor(sock):
    answer = sock.cmd(f"{ROOT}/monitor") or {}
    yield from _values(MONITOR, answer, {})
    if "beat_age_ns" in answer:
        yield "monitor_last_tick_timestamp_seconds", time.time() - answer["beat_age_ns"] / NS, {}


def _lcores(sock):
    for lcore in sock.cmd(f"{ROOT}/lcores") or []:
        answer = sock.cmd(f"{ROOT}/lcore", lcore)
        if not isinstance(answer, dict) or "error" in answer:
            continue
        labels = {"lcore": lcore}
        yield from _values(LCORE, answer, labels)
        for port in answer["ports"]:
            yield "port_polled", 1, {**labels, "port": port}
        yield from _life(answer, labels)


def _life(answer, labels):
    """What is known where keepalive is on."""
    if "state" not in answer:
        return
    up = answer["state"] not in ("DEAD", "GONE") and not answer["given_up"]
    yield "core_up", int(up), labels
    for state in STATES:
        yield "core_state", int(answer["state"] == state), {**labels, "state": state.lower()}
    if answer["deaths"] != 0:
        yield "last_death_info", 1, {**labels, "cause": answer["cause"]}
    if "last_seen_age_ns" in answer:
        yield ("core_last_heartbeat_timestamp_seconds",
               time.time() - answer["last_seen_age_ns"] / NS, labels)


def _ports(sock):
    """An answer has a part of them."""
    first, part = 0, True
    while part:
        part = sock.cmd(f"{ROOT}/ports", first)
        if not isinstance(part, dict) or "error" in part:
            return
        for answer in part.values():
            yield from _values(PORT, answer, {"port": answer["port"], "peer": answer["peer"]})
            first = max(first, answer["port"] + 1)
