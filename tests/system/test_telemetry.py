# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's telemetry socket, asked by dpdk-telemetry.py and by its protocol."""

import json
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from support import frames
from support.deadline import PATIENCE, wait_until
from support.programs import lcore_map
from support.segment import BUCKETS, Cause, Kind, Status, objects
from support.telemetry import ROOT, Telemetry

COMMANDS = ["events", "info", "lcore", "lcores", "monitor", "ports"]


@pytest.fixture
def telemetry(forwarder):
    """telemetry(args, ...) -> (forwarder, client)."""
    clients = []

    def start_both(args, **options):
        fwd = forwarder(args, **options)
        client = Telemetry(fwd)
        clients.append(client)
        # Registered once all workers run.
        wait_until(lambda: client.ask("info"), "the commands")
        return fwd, client

    yield start_both
    for client in clients:
        client.__exit__()


def real_tool(forwarder, *requests):
    """What dpdk-telemetry.py prints for requests: [its JSON, read]."""
    done = subprocess.run(
        ["/usr/bin/python3", shutil.which("dpdk-telemetry.py"), "-f", forwarder.file_prefix],
        input="\n".join(requests) + "\n", capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and done.stderr == "", done
    return [json.loads(line) for line in done.stdout.splitlines()]


# ---- What is told ----


def test_dpdks_own_tool_finds_the_commands_with_their_help(telemetry):
    fwd, _ = telemetry(["-p", "3", "-K", "5"])
    listed, *helps, info, fault = real_tool(
        fwd, "/", *(f"/help,{ROOT}/{command}" for command in COMMANDS), f"{ROOT}/info",
        f"{ROOT}/fault,1:exit")
    assert [name for name in listed["/"] if name.startswith(ROOT)] == [
        f"{ROOT}/{command}" for command in COMMANDS]
    assert all(text for reply in helps for text in reply["/help"].values()), helps
    assert info[f"{ROOT}/info"]["pid"] == fwd.pid
    # Not there without --allow-faults, and so not made.
    assert fault == {f"{ROOT}/fault": None}
    assert fwd.segment().monitor().deaths == 0 and fwd.running


def test_info_tells_what_runs_and_how(telemetry):
    before = time.time_ns()
    fwd, client = telemetry(["-p", "3", "-K", "2.5", "--late-us", "40", "--on-hang", "respawn",
                             "--max-restarts", "7/0.5", "--takeover"])
    identity = fwd.segment().snapshot().identity
    info = client.ask("info")
    assert f'{info["program"]} {info["version"]}' == identity.program.decode()
    assert info["eal_version"].startswith("DPDK ")
    assert before < info["started_real_ns"] < time.time_ns()
    assert 0 < info["uptime_ns"] < time.time_ns() - before
    assert {name: info[name] for name in info if name not in (
        "program", "version", "eal_version", "started_real_ns", "uptime_ns")} == {
        "pid": fwd.pid, "tsc_hz": identity.tsc_hz, "main_lcore": 0, "lcores": 1, "ports": 2,
        "period_ns": 2500000, "late_ns": 40000, "on_hang": "respawn", "max_restarts": 7,
        "restart_window_ns": 500000000, "takeover": 1, "faults_allowed": 0,
        "shm_name": fwd.shm_name}


def test_frames_of_ports_and_lcores_are_those_that_crossed(telemetry, tmp_path):
    sent = [frames.udp_frame(number) for number in range(100)]
    none = frames.write_pcap(tmp_path / "none", [])
    fwd, client = telemetry(["-p", "3", "-K", "5"], lcores=lcore_map(3), vdevs=[
        f"net_pcap0,rx_pcap={frames.write_pcap(tmp_path / 'in', sent)}",
        f"net_pcap1,rx_pcap={none},tx_pcap={tmp_path}/out"])
    ports = client.wait("ports", lambda ports: ports["1"]["sent"] == 100, "100 frames")
    assert ports == {
        "0": {"port": 0, "peer": 1, "lcore": fwd.worker_of(port=0), "received": 100, "sent": 0,
              "dropped": 0, "abandoned": 0},
        "1": {"port": 1, "peer": 0, "lcore": fwd.worker_of(port=1), "received": 0, "sent": 100,
              "dropped": 0, "abandoned": 0}}
    assert client.ask("ports", 1) == {"1": ports["1"]} and client.ask("ports", 2) == {}
    assert client.ask("lcores") == [1, 2]
    lcore = client.ask("lcore", fwd.worker_of(port=0))
    assert (lcore["ports"], lcore["received"], lcore["sent"], lcore["dropped"]) == (
        [0], 100, 100, 0)


def test_a_core_is_told_as_the_segment_and_the_status_have_it(telemetry, agent):
    """After deaths of two kinds: each figure that does not go on while it is read."""
    fwd, client = telemetry(["-p", "3", "-K", "5", "--allow-faults", "--on-hang", "respawn"])
    segment = fwd.segment()
    for number, fault in enumerate(("exit", "spin", "exit"), 1):
        assert client.ask("fault", f"1:{fault}") == {"ordered": f"1:{fault}"}
        segment.wait(lambda now: len([event for event in now.events() if event.kind == Kind.BACK])
                     == number, f"death {number} and the return")
    # Loads are published twice a second.
    now = segment.wait(lambda now: sum(now.load[1].outages) == 3 and now.load[1].received > 0 and
                       sum(now.load[1].turns) > 0, "the load")
    told, core, load = client.ask("lcore", 1), now.core[1], now.load[1]
    assert (told["watched"], told["cause"]) == (1, "exited") and core.cause == Cause.EXITED
    assert told["state"] in ("ALIVE", "MISSING")
    for name in ("deaths", "restarts", "recoveries", "last_outage_ns", "longest_outage_ns",
                 "outages_ns", "detections_ns"):
        assert told[name] == getattr(core, name), name
    assert told["deaths"] == 3 == sum(told["detections"]) == sum(told["outages"])
    assert told["outages"] == list(load.outages) and told["detections"] == list(load.detections)
    assert told["le_ns"] == [2 ** (bucket + 1) for bucket in range(BUCKETS - 1)]
    assert told["ports"] == [0, 1]
    # These go on.
    for name in ("received", "sent", "bursts", "busy_ns", "idle_ns"):
        assert told[name] >= getattr(load, name), name
    assert sum(told["turns"]) >= sum(load.turns) > 0 and told["longest_turn_ns"] > 0
    assert told["last_seen_age_ns"] < 2 * 10 ** 9

    table = agent(["--status"], forwarder=fwd, attached=False)
    assert table.wait_exit() == 0
    row = next(line.text.split() for line in table.lines(r"^ +1 0,1 "))
    assert row[3:7] == [told["cause"], *(str(told[name]) for name in (
        "deaths", "restarts", "recoveries"))]

    monitor = client.ask("monitor")
    assert (monitor["status"], monitor["period_ns"]) == ("running", 5000000)
    assert (monitor["deaths"], monitor["restarts"], monitor["recoveries"]) == (3, 3, 0)
    assert monitor["ticks"] >= now.monitor.ticks and monitor["beat_age_ns"] < 2 * 10 ** 9
    events = [event for event in client.ask("events").values() if event["kind"] == "death"]
    assert [event["cause"] for event in events] == ["exited", "spinning", "exited"]
    assert [event["silent_ns"] for event in events] == [
        event.silent_ns for event in segment.events(Kind.DEATH)]
    assert all(event["lcore"] == 1 and event["port"] in (0, 1) for event in events)


def test_events_are_read_on_without_a_gap(telemetry):
    """More events than one answer takes, and than the ring keeps."""
    fwd, client = telemetry(["-p", "3", "-K", "1", "--demo-lifetime", "0.001"])
    client.wait("monitor", lambda monitor: monitor["events"] > 300, "300 events", timeout=60)
    newest = list(map(int, client.ask("events")))
    assert len(newest) == 32 and newest == list(range(newest[0], newest[0] + 32))
    read, known = [], newest[-1] - 200
    while known < newest[-1]:
        answer = client.ask("events", known)
        assert all(int(number) == event["number"] for number, event in answer.items())
        read += map(int, answer)
        known = read[-1]
    assert read == list(range(newest[-1] - 199, read[-1] + 1))
    # Older ones than the ring keeps are not made up, nor are younger ones than there are.
    assert int(next(iter(client.ask("events", 0)))) > 1
    assert client.ask("events", 2 ** 64 - 1) == {}


def test_without_keepalive_there_are_still_ports_and_workers(telemetry):
    fwd, client = telemetry(["-p", "3", "-K", "0", "--allow-faults"])
    assert client.ask("monitor") == {"period_ns": 0, "status": "off"}
    assert client.ask("events") == {} and client.ask("info")["shm_name"] == ""
    lcore = client.wait("lcore", lambda lcore: lcore["received"] > 0, "frames", parameter=1)
    assert lcore["watched"] == 0 and lcore["ports"] == [0, 1] and "state" not in lcore
    assert sum(port["received"] for port in client.ask("ports").values()) > 0
    assert "keepalive is off" in client.ask("fault", "0:monitor-stall:10")["error"]
    assert fwd.terminate() == 0


# ---- When the forwarder is not well ----


def test_it_answers_while_the_main_lcore_hangs(telemetry):
    fwd, client = telemetry(["-p", "3", "-K", "5", "--allow-faults"])
    assert client.ask("fault", "0:monitor-stall:1500") == {"ordered": "0:monitor-stall:1500"}
    hung = client.wait("monitor", lambda monitor: monitor["beat_age_ns"] > 300 * 10 ** 6,
                       "the stall")
    received = client.ask("lcore", 1)["received"]
    for command in COMMANDS:
        assert "error" not in client.ask(command, 1 if command == "lcore" else None)
    client.wait("lcore", lambda lcore: lcore["received"] > received, "frames that cross meanwhile",
                parameter=1)
    # All of that while no ping came.
    now = client.ask("monitor")
    assert now["ticks"] == hung["ticks"] and now["beat_age_ns"] > hung["beat_age_ns"]
    client.wait("monitor", lambda monitor: monitor["ticks"] > hung["ticks"], "the end of it")
    assert client.ask("monitor")["late_ticks"] > 0 and fwd.terminate() == 0


def test_it_answers_while_a_worker_hangs(telemetry):
    fwd, client = telemetry(["-p", "3", "-K", "5", "--allow-faults"])
    client.ask("fault", "1:block")
    told = client.wait("lcore", lambda lcore: lcore["state"] == "GONE", "the death", parameter=1)
    assert told["cause"] == "blocked" and told["deaths"] == 1
    # The next one stays ordered, and a third is refused: it hangs, and takes none.
    assert client.ask("fault", "1:exit") == {"ordered": "1:exit"}
    assert "still to come" in client.ask("fault", "1:exit")["error"]
    assert fwd.terminate() == 3


def test_it_is_asked_until_the_end(telemetry):
    """Whoever asks while the forwarder ends gets answers, then an error, then no reply."""
    fwd, client = telemetry(["-p", "3", "-K", "5"])
    asking, replies = threading.Event(), []

    def ask_on():
        try:
            while True:
                reply = client.send(f"{ROOT}/lcore,1") and client.send(f"{ROOT}/events")
                if not reply:
                    return
                replies.append(json.loads(reply))
                asking.set()
        except OSError:
            pass

    thread = threading.Thread(target=ask_on, daemon=True)
    thread.start()
    assert asking.wait(PATIENCE)
    assert fwd.terminate() == 0 and objects() == []
    thread.join(PATIENCE)
    assert not thread.is_alive() and len(replies) > 0
    assert fwd.lines("telemetry|hang") == []


# ---- Faults ----


@pytest.mark.parametrize("fault, cause", [("exit", Cause.EXITED), ("spin:300", Cause.SPINNING),
                                          ("block:300", Cause.BLOCKED),
                                          ("nostart", Cause.NOT_STARTED)])
def test_a_fault_is_made_counted_and_told(telemetry, agent, fault, cause):
    fwd, client = telemetry(["-p", "3", "-K", "20", "--allow-faults", "--on-hang", "respawn"])
    watcher = agent(["-v"], forwarder=fwd)
    assert client.ask("fault", f"1:{fault}") == {"ordered": f"1:{fault}"}
    segment = fwd.segment()
    segment.wait(lambda now: cause in [event.cause for event in now.events()
                                       if event.kind == Kind.DEATH], "the death")
    told = client.wait("lcore", lambda lcore: lcore["state"] == "ALIVE", "its return",
                       parameter=1)
    deaths = 2 if fault == "nostart" else 1  # Told while it runs, it leaves first.
    assert told["deaths"] == deaths == segment.monitor().deaths
    wait_until(lambda: watcher.deaths() == [1] * deaths, "the agent's word")


def test_slow_is_no_death(telemetry):
    _, client = telemetry(["-p", "3", "-K", "50", "--allow-faults"])
    client.ask("fault", "1:slow:30")
    # 30 ms late, not 75.
    client.wait("lcore", lambda lcore: lcore["longest_turn_ns"] > 29 * 10 ** 6, "a long turn",
                parameter=1)
    assert client.ask("monitor")["deaths"] == 0


def test_segv_ends_the_program(telemetry, agent):
    fwd, client = telemetry(["-p", "3", "-K", "5", "--allow-faults"])
    watcher = agent(forwarder=fwd)
    client.ask("fault", "1:segv")
    assert fwd.wait_exit() == -signal.SIGSEGV
    watcher.wait_line(r"^Core 1 crashed: signal 11")


def test_many_ask_at_once_and_each_fault_ordered_is_made(telemetry):
    """Ten clients, as many as DPDK serves, order faults of one lcore; all that were taken come."""
    fwd, client = telemetry(["-p", "3", "-K", "1", "--allow-faults"])
    taken, refused = [], []

    def order_on():
        with Telemetry(fwd) as own:
            for _ in range(20):
                (refused if "error" in own.ask("fault", "1:exit") else taken).append(1)
                own.ask("lcore", 1)

    threads = [threading.Thread(target=order_on) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(taken) + len(refused) == 160 and taken
    client.wait("monitor", lambda monitor: monitor["deaths"] == len(taken) ==
                monitor["restarts"], f"{len(taken)} deaths")
    assert fwd.segment().monitor().status == Status.RUNNING


# ---- Who may ask ----


def test_another_user_does_not_get_to_the_socket(telemetry, start):
    fwd, _ = telemetry(["-p", "3", "-K", "50"])
    socket = Path(f"/run/dpdk/{fwd.file_prefix}/dpdk_telemetry.v2")
    assert socket.is_socket() and socket.parent.stat().st_mode & 0o777 == 0o700
    stranger = start(["/usr/bin/python3", shutil.which("dpdk-telemetry.py"), "-f", fwd.file_prefix],
                     user=65534, group=65534, extra_groups=[],
                     env={"RUNTIME_DIRECTORY": "/run"})
    stranger.wait_exit()
    stranger.wait_line("^Error connecting to /run/dpdk/")


# ---- Nonsense ----


NONSENSE = [
    ("lcore", None, "which lcore?"), ("lcore", "", "which lcore?"), ("lcore", "x", "no lcore"),
    ("lcore", "-1", "no lcore"), ("lcore", "1 ", "no lcore"), ("lcore", "1,2", "no lcore"),
    ("lcore", "0", "no worker"), ("lcore", "127", "no worker"),
    ("lcore", str(2 ** 32 + 1), "no worker"), ("lcore", str(2 ** 64 + 1), "no lcore"),
    ("lcore", 'a"\\\x01\x7fé', "no lcore"), ("lcore", "9" * 900, "no lcore"),
    ("ports", "net_null0", "no port"), ("events", "newest", "no number"),
    ("events", "%s%n", "no number"),
    ("fault", None, "lcore"), ("fault", "1", "':' is due"), ("fault", "1:explode", "explode"),
    ("fault", "1:exit,1:exit", "one fault"), ("fault", "1:exit@5", "at once"),
    ("fault", "7:exit", "lcore 7 is no worker"), ("fault", "0:exit", "lcore 0 is no worker"),
    ("fault", "1:slow", "':' is due"), ("fault", "1:spin:-5", "spin"),
    ("fault", "1:spin:1e9", "1e9"), ("fault", '1:"\n', "which there is not"),
    ("fault", "0:monitor-stall", "':' is due"), ("fault", "1:exit" * 100, "exit"),
]


def test_nonsense_is_answered_with_an_error(telemetry):
    fwd, client = telemetry(["-p", "3", "-K", "5", "--allow-faults"])
    for command, parameter, reason in NONSENSE:
        answer = client.ask(command, parameter)
        assert list(answer) == ["error"] and reason in answer["error"], (command, parameter, answer)
        assert answer["error"].isprintable() and answer["error"].isascii()
    for request in (b"/l2fwd_keepalive", b"/l2fwd_keepalive/", b"/l2fwd_keepalive/lcoree,1",
                    b"/l2fwd_keepalive/lcore/1", bytes(range(1, 256)), b"\xff" * 1023, b","):
        client.send(request)
    assert client.ask("lcore", 1)["deaths"] == 0
    assert client.ask("monitor")["deaths"] == 0 and fwd.terminate() == 0
