# SPDX-License-Identifier: BSD-3-Clause
"""The agent: how soon after a death its line is written, and what it costs until then."""

import bisect
import time

from support.programs import Agent

import preloads
from programs import cpu_ns, forwarder, unobtrusive
from result import Row, median, quantile

# A thread that does nothing, and says that it lives.
NOTHING_PERCENT = 0.1


def _stamps(bench, many):
    """Microseconds from the semaphore to the line, and the CPU share of a quiet agent."""
    deaths = preloads.Deaths(bench.directory, silent_ns=10**9)
    lines = preloads.Lines(bench.directory)
    process = forwarder(bench.build, bench.cpus.lcores,
                        ["-K", 5, "--demo-lifetime", 0.05, "--seed", 1,
                         "--max-restarts", "1000000/1"], env=deaths.environment())
    agent = None
    try:
        process.wait_started()
        agent = Agent(bench.build, ["--shm-name", process.shm_name], env=lines.environment())
        limit = time.monotonic() + 20 + many * 0.2
        with unobtrusive():
            while len(lines.flushes()) < many:
                assert time.monotonic() < limit, agent.report()
                time.sleep(0.1)
        posts, flushes = deaths.posts(), lines.flushes()
    finally:
        if agent is not None:
            agent.close()
        process.close()
        deaths.remove()
        lines.remove()
    # What was said before the first of these deaths tells of those from before it came.
    begin = bisect.bisect_left(posts, flushes[0])
    return [(flushes[bisect.bisect_left(flushes, post)] - post) / 1e3
            for post in posts[begin:] if post < flushes[-1]]


def _quiet(bench, seconds):
    process = forwarder(bench.build, bench.cpus.lcores, ["-K", 5])
    agent = None
    try:
        process.wait_started()
        agent = Agent(bench.build, ["--shm-name", process.shm_name])
        time.sleep(0.5)
        shares = []
        for _ in range(7):
            used, began = cpu_ns(agent.pid), time.monotonic_ns()
            time.sleep(seconds)
            shares.append(100 * (cpu_ns(agent.pid) - used) / (time.monotonic_ns() - began))
    finally:
        if agent is not None:
            agent.close()
        process.close()
    return shares


def measure(bench):
    """The agent: semaphore posted to line written, and its CPU time in between."""
    many = 100 if bench.quick else 500
    bench.step(f"{many} wake-ups of the agent")
    delays = _stamps(bench, many)
    bench.step("a quiet agent")
    shares = _quiet(bench, 0.5 if bench.quick else 2)
    bench.keep("agent", {"delay_us": delays, "quiet_percent": shares})
    how = f"{len(delays)} deaths, semaphore posted to line written, both ends stamped"
    return [Row("agent, p50", how, median(delays), 60, unit="us", digits=0),
            Row("agent, p99", how, quantile(delays, 0.99), 250, unit="us", digits=0,
                note=f"longest {max(delays):.0f} us"),
            Row("agent's CPU time in between", "nobody dies; /proc, schedstat", median(shares),
                NOTHING_PERCENT, unit="%", digits=3)]
