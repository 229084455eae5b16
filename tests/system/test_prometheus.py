# SPDX-License-Identifier: BSD-3-Clause
"""ka-agent --metrics through the real promtool, node_exporter and Prometheus, and what they need."""

import functools
import http.server
import json
import os
import re
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support import tracer
from support.deadline import wait_until
from support.forged import NAME, OriginalSegment
from support.hook import Mode
from support.prometheus import MISSING, NodeExporter, Prometheus, parse
from support.segment import State

pytestmark = pytest.mark.skipif(MISSING != [], reason="apt-get install prometheus "
                                                      "prometheus-node-exporter")

TOP = Path(__file__).parents[2]
CONTRIB = TOP / "contrib/prometheus"
RULES = CONTRIB / "l2fwd_keepalive.rules.yml"
FLEET = 50


class File:
    """What --metrics writes."""

    def __init__(self, path):
        self.path = path

    def samples(self):
        return parse(self.path.read_text())

    def value(self, name, **labels):
        """Of the one sample that has these labels; None if there is none."""
        found = [value for (sample, has), value in self.samples().items()
                 if sample == f"l2fwd_keepalive_{name}" and labels.items() <= dict(has).items()]
        assert len(found) <= 1, found
        return found[0] if found else None

    def wait(self, name, wanted, **labels):
        wait_until(lambda: self.path.exists() and self.value(name, **labels) == wanted,
                   f"{name} {labels} to be {wanted}")


@pytest.fixture
def file(tmp_path):
    directory = tmp_path / "textfile"
    directory.mkdir()
    return File(directory / "l2fwd_keepalive.prom")


@pytest.fixture
def observe(agent, file):
    """An agent that writes the file."""
    def start_agent(*args, name=NAME, **options):
        return agent(["--shm-name", name, "--metrics", file.path, *args], **options)
    return start_agent


def promtool(*args, stdin=None):
    run = subprocess.run(["promtool", *map(str, args)], input=stdin, capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


# ---- The file ----


def test_the_file_is_what_the_segment_says_and_promtool_has_nothing_to_say(
        forwarder, observe, file):
    """Each figure lies between those of two looks at the segment, before and after it."""
    fwd = forwarder(["-p", "f", "-K", "5", "--demo-lifetime", "0.3", "--seed", "5",
                     "--shm-name", NAME], lcores="0@0,1@1,2@0",
                    vdevs=[f"net_null{port}" for port in range(4)])
    segment = fwd.segment()
    segment.wait(lambda now: min(core.deaths for core in now.watched().values()) >= 2, "deaths")
    before = segment.snapshot()
    observe()
    file.wait("up", 1)
    text = file.path.read_text()
    after = segment.snapshot()
    real = time.time()

    assert promtool("check", "metrics", stdin=text) == (0, "")
    samples = {(name.removeprefix("l2fwd_keepalive_"), dict(labels).get("lcore"),
                dict(labels).get("le")): value for (name, labels), value in parse(text).items()}
    assert {dict(labels)["segment"] for _, labels in parse(text)} == {NAME}
    for name, field, scale in (("monitor_ticks_total", "ticks", 1), ("events_total", "events", 1),
                               ("monitor_late_ticks_total", "late_ticks", 1),
                               ("monitor_longest_delay_seconds", "longest_late_ns", 1e9)):
        then, now = getattr(before.monitor, field), getattr(after.monitor, field)
        assert then <= round(samples[name, None, None] * scale) <= now, name
    assert samples["check_period_seconds", None, None] == 0.005
    assert real - 5 < samples["monitor_last_tick_timestamp_seconds", None, None] <= real
    for lcore in ("1", "2"):
        record = int(lcore)
        for name, part, field, scale in (
                ("deaths_total", "core", "deaths", 1), ("restarts_total", "core", "restarts", 1),
                ("longest_outage_seconds", "core", "longest_outage_ns", 1e9),
                ("outage_seconds_sum", "core", "outages_ns", 1e9),
                ("detection_seconds_sum", "core", "detections_ns", 1e9),
                ("frames_received_total", "load", "received", 1),
                ("frames_sent_total", "load", "sent", 1),
                ("bursts_received_total", "load", "bursts", 1),
                ("loop_busy_seconds_total", "load", "busy_ns", 1e9),
                ("loop_late_turns_total", "load", "late", 1)):
            then = getattr(getattr(before, part)[record], field)
            now = getattr(getattr(after, part)[record], field)
            assert then <= round(samples[name, lcore, None] * scale) <= now, (name, lcore)
        for name, field in (("loop_turn_seconds", "turns"), ("outage_seconds", "outages"),
                            ("detection_seconds", "detections")):
            buckets = [(float(le), value) for (sample, core, le), value in samples.items()
                       if sample == f"{name}_bucket" and core == lcore]
            assert buckets == sorted(buckets) and buckets[-1][0] == float("inf")
            assert buckets[-1][1] == samples[f"{name}_count", lcore, None]
            for le, value in buckets:
                below = [sum(count for bucket, count in enumerate(getattr(look.load[record], field))
                             if le == float("inf") or 2 << bucket <= round(le * 1e9))
                         for look in (before, after)]
                assert below[0] <= value <= below[1], (name, lcore, le)
        times = samples["outage_seconds_count", lcore, None]
        assert times * 0.005 < samples["outage_seconds_sum", lcore, None] < times * 0.5
    assert fwd.terminate() == 0


def test_whoever_reads_the_file_finds_it_whole(forwarder, observe, file):
    """It is replaced, at least twice here, under a reader that does nothing else; its mode is the
    same whatever the umask is, nothing is left beside it, and the last one has the last figures."""
    fwd = forwarder(["-p", "3", "-K", "5", "--shm-name", NAME])
    segment = fwd.segment()
    watcher = observe(umask=0o077)
    file.wait("up", 1)
    inodes, last = set(), file.path.read_text().splitlines()[-1].split("{")[0]
    while len(inodes) < 3:
        with open(file.path, encoding="ascii") as opened:
            inodes.add(os.fstat(opened.fileno()).st_ino)
            text = opened.read()
        assert text.startswith("# HELP l2fwd_keepalive_up") and text.endswith("\n")
        assert text.splitlines()[-1].startswith(last)
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o644
        assert time.monotonic() - watcher.started_at < 15, inodes
    ticks = file.value("monitor_ticks_total")
    segment.wait(lambda now: now.monitor.ticks > ticks + 10, "some ticks")
    assert fwd.terminate() == 0 and watcher.wait_exit() == 0
    assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]
    assert file.value("monitor_ticks_total") == segment.monitor().ticks, "not its last word"


@pytest.mark.once
def test_up_is_0_without_a_forwarder_without_a_tick_and_without_an_agent(
        forwarder, observe, file):
    """One agent follows: nobody yet, one that is killed, one that stands still; then it leaves."""
    watcher = observe("--follow")
    file.wait("up", 0)
    assert len(file.samples()) == 1
    args = ["-p", "3", "-K", "5", "--shm-name", NAME]
    fwd = forwarder(args)
    file.wait("up", 1)
    file.wait("core_up", 1, lcore="1")
    fwd.kill()
    file.wait("up", 0)
    assert file.value("core_up", lcore="1") == 1, "what was seen last stays"
    fwd = forwarder(args)
    file.wait("up", 1)
    fwd.freeze()
    file.wait("up", 0)
    fwd.thaw()
    file.wait("up", 1)
    assert watcher.terminate() == 0
    assert file.value("up") == 0 and file.value("core_up", lcore="1") == 1
    # One that finds nothing to watch says that, too.
    file.path.unlink()
    refused = observe(name="/none")
    assert refused.wait_exit() == 3 and file.value("up", segment="/none") == 0
    assert fwd.terminate() == 0


def test_a_core_that_is_down_and_one_that_is_given_up(forwarder, observe, file):
    fwd = forwarder(["-p", "3", "-q", "1", "-K", "5", "--shm-name", NAME, "--allow-faults",
                     "--max-restarts", "0/1", "--fault", "1:exit@0.2,2:spin@0.2"],
                    lcores="0@0,1@1,2@0")
    observe()
    file.wait("core_given_up", 1, lcore="1")
    file.wait("core_up", 0, lcore="2")
    assert file.value("core_up", lcore="1") == file.value("core_given_up", lcore="2") == 0
    states = {(dict(labels)["lcore"], dict(labels)["state"]) for (name, labels), value
              in file.samples().items() if name == "l2fwd_keepalive_core_state" and value == 1}
    assert states == {("1", "gone"), ("2", "gone")}
    assert time.time() - 10 < file.value("last_death_timestamp_seconds", lcore="1",
                                         cause="exited") <= time.time()
    assert file.value("last_death_timestamp_seconds", lcore="2", cause="spinning")
    fwd.terminate()


def test_the_original_segment_gives_its_states(forge, observe, file):
    original = forge(OriginalSegment)
    original.set(1, State.MISSING)
    original.set(2, State.DEAD)
    observe()
    file.wait("up", 1)
    assert {name for name, _ in file.samples()} == {
        "l2fwd_keepalive_up", "l2fwd_keepalive_core_up", "l2fwd_keepalive_core_state"}
    assert (file.value("core_up", lcore="1"), file.value("core_up", lcore="2")) == (1, 0)


def test_a_file_that_cannot_be_written_is_said_once_and_no_death_is_lost(forge, observe, file):
    """At the start it is an error; later the agent goes on, and so does the file when it can."""
    refused = observe("--metrics", "/nowhere/x.prom")
    assert refused.wait_exit() == 1
    complaint, = refused.lines()
    assert complaint.text == ("ka-agent: cannot write --metrics /nowhere/x.prom: No such file or "
                              "directory")
    segment = forge()
    watcher = observe()
    file.wait("up", 1)
    away = file.path.parent.rename(file.path.parent.with_name("away"))
    watcher.wait_line("cannot write --metrics", stream="stderr")
    segment.die()
    watcher.wait_line("^1 dead cores: 1,$")
    away.rename(file.path.parent)
    file.wait("deaths_total", 1, lcore="1")
    assert len(watcher.lines(stream="stderr")) == 1
    segment.stop()
    assert watcher.wait_exit() == 0 and file.value("up") == 0


def test_a_disk_that_hangs_delays_no_death(forge, observe, file, build):
    """The thread that writes is stopped, as in a rename that takes its time."""
    segment = forge()
    watcher = observe()
    file.wait("up", 1)
    thread, = set(watcher.threads()) - {watcher.pid}
    with tracer.stopped(thread):
        for number in range(1, 4):
            born = time.monotonic()
            segment.die()
            line = watcher.wait_line("^1 dead cores: 1,$", count=number)
            assert build.sanitized or line.time - born < 0.05
        begin = time.monotonic()
        watcher.signal(15)
        watcher.wait_line("cannot write --metrics .*: it takes more than a second$", stream="stderr")
        assert time.monotonic() - begin < 5
    assert watcher.wait_exit() == 0


# ---- What comes with it ----


def names_in(text):
    return set(re.findall(r"\bl2fwd_keepalive_\w+", text))


def described():
    """Names in the table of the README."""
    section = (TOP / "README.md").read_text().split("\n## Prometheus\n")[1].split("\n## ")[0]
    return {f"l2fwd_keepalive_{name}" for row in re.findall(r"^\| (`.*?) \|", section, re.M)
            for name in re.findall(r"`(\w+)`", row)}


def expressions():
    """Those of the dashboard, as Grafana would send them."""
    dashboard = json.loads((CONTRIB / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield (target["expr"].replace("$instance", ".*").replace("$segment", ".*")
                   .replace("$__rate_interval", "1m"))


@pytest.mark.once
def test_rules_and_configuration_stand_the_tests_of_promtool():
    for args in (("check", "rules", RULES), ("check", "config", CONTRIB / "prometheus.yml"),
                 ("test", "rules", CONTRIB / "l2fwd_keepalive.rules.test.yml")):
        code, said = promtool(*args)
        assert code == 0 and "SUCCESS" in said, said
    tested = (CONTRIB / "l2fwd_keepalive.rules.test.yml").read_text()
    for alert in re.findall(r"alert: (\w+)", RULES.read_text()):
        assert re.search(rf"alertname: {alert}\n *exp_alerts", tested), f"{alert} is never fired"
    assert re.findall(r"^\| `(L2fwd\w+)`", (TOP / "doc/fleet.md").read_text(), re.M) == (
        re.findall(r"alert: (\w+)", RULES.read_text()))


@pytest.mark.once
def test_a_death_fires_the_alert_of_a_real_prometheus(
        forwarder, observe, file, start, hook, tmp_path):
    """Worker, segment, agent, file, node_exporter, Prometheus, rule. And each panel of the dashboard
    has something to show, each metric is one that there is."""
    hook.live(1, 60)
    fwd = forwarder(["-p", "3", "-K", "5", "--shm-name", NAME, "--demo-lifetime", "1"], hook=hook)
    observe()
    file.wait("up", 1)
    start([file.path.parent], kind=lambda argv, **rest: NodeExporter(*argv, **rest)).wait_ready()
    assert parse(file.path.read_text()).keys() <= parse(NodeExporter.scrape()).keys() | {
        key for key in file.samples() if "le" in dict(key[1])}
    server = start([tmp_path / "prometheus", [{"targets": ["127.0.0.1:9100"]}], RULES],
                   kind=lambda argv, **rest: Prometheus(*argv, **rest)).wait_ready()
    scrapes = "count_over_time(l2fwd_keepalive_deaths_total[1m])"
    wait_until(lambda: [value > 3 for _, value in server.query(scrapes)] == [True], "some scrapes")
    assert server.alerts() == []

    hook.hold(1, Mode.SPIN)
    fired, = wait_until(server.alerts, "the alert")
    assert fired == {"alertname": "L2fwdKeepaliveCoreDied", "severity": "warning", "job": "node",
                     "instance": "127.0.0.1:9100", "lcore": "1", "segment": NAME}
    wait_until(lambda: [labels["alertname"] for labels in server.alerts("pending")] ==
               ["L2fwdKeepaliveCoreDown"], "the other to become due")
    hook.release(1)
    file.wait("core_up", 1, lcore="1")
    wait_until(lambda: server.alerts("pending") == [], "it to be well again")

    shown = {name for name, _ in file.samples()}
    assert described() == {re.sub("_(bucket|sum|count)$", "", name) for name in shown}
    for text in [RULES.read_text(), *expressions()]:
        assert names_in(text) - {"l2fwd_keepalive_rules"} <= shown, text
    for expression in expressions():
        assert server.query(expression) != [], f"{expression} shows nothing"
    assert fwd.terminate() == 0
    file.wait("up", 0)
    wait_until(lambda: {labels["alertname"] for labels in server.alerts("pending")} ==
               {"L2fwdKeepaliveDown"}, "the end to be noticed")


@pytest.fixture
def file_server(tmp_path):
    """Serves a folder at its own port: stands for as many exporters as there are files in it."""
    class Handler(http.server.SimpleHTTPRequestHandler):
        # Prometheus 3 takes nothing of another type.
        extensions_map = {".prom": "text/plain"}

        def log_message(self, *_):
            pass

    folder = tmp_path / "hosts"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.once
def test_one_prometheus_watches_fifty_agents_and_names_the_one(
        forge, agent, start, file_server, tmp_path):
    """Each has a segment, an agent, a file, a target and a label of its own. The hosts are stood for
    by one server of files: fifty node_exporters would show nothing more."""
    folder, port = file_server
    hosts = [f"fwd{number}" for number in range(FLEET)]
    segments = {host: forge(name=f"/{host}") for host in hosts}
    for host, segment in segments.items():
        segment.layout.identity.version_minor = 2
        agent(["--shm-name", f"/{host}", "--metrics", folder / f"{host}.prom"])
    targets = [{"targets": [f"127.0.0.1:{port}"],
                "labels": {"__metrics_path__": f"/{host}.prom", "instance": host}}
               for host in hosts]
    server = start([tmp_path / "prometheus", targets, RULES, "500ms"],
                   kind=lambda argv, **rest: Prometheus(*argv, **rest)).wait_ready()
    wait_until(lambda: server.query("count(count_over_time(l2fwd_keepalive_up[1m]) > 1)") ==
               [({}, FLEET)], "two scrapes of each", timeout=30)
    wait_until(lambda: server.query("sum(l2fwd_keepalive_up)") == [({}, FLEET)], "all to be up",
               timeout=30)
    assert server.alerts() == []

    segments["fwd17"].die()
    segments["fwd33"].stop()
    fired, = wait_until(server.alerts, "the alert")
    assert (fired["alertname"], fired["instance"]) == ("L2fwdKeepaliveCoreDied", "fwd17")
    wait_until(lambda: [labels["instance"] for labels, _ in server.query(
        "l2fwd_keepalive_up == 0")] == ["fwd33"], "the end of one to be noticed")
    wait_until(lambda: server.query("sum(l2fwd_keepalive_up)") == [({}, FLEET - 1)],
               "all others to be up")
    assert [labels["instance"] for labels in server.alerts()] == ["fwd17"]
