# SPDX-License-Identifier: BSD-3-Clause
"""Which tests notice when a condition of the product is gone: started by scripts/mutants.sh."""

import argparse
import collections
import fcntl
import signal
import subprocess
import sys
import time
from pathlib import Path

from places import Broken, Unfit, check_units, choose, copy_tree, read_list
from trial import TIME_LIMIT, Trial

TOP = Path(__file__).resolve().parent.parent.parent
SCRATCH = TOP / "build-mutants"

KINDS = ("unit", "system", "SURVIVED", "ERROR")


def say(began, text):
    print(f"[{time.monotonic() - began:4.0f} s] {text}", flush=True)


def judge(mutant, tree, trial, red, log):
    """(kind, what to say): who killed it, or that nobody did, or why nobody can tell. red: tests
    that fail on the unbroken product."""
    try:
        with Broken(tree, mutant):
            units = trial.build(log)
            # First of all the one that is expected to notice.
            if killer := trial.unit(sorted(units, key=lambda unit: unit != mutant.unit), log):
                return "unit", f"killed by {killer}"
            if any(test.partition("[")[0] in mutant.system for test in red):
                raise Unfit("a test that it names fails on the unbroken product, or cannot be run")
            if mutant.system and (killers := trial.system(mutant.system, log, "-x")):
                return "system", f"killed by {killers[0]}"
    except (Unfit, OSError) as error:
        return "ERROR", f"ERROR: {error}"
    return "SURVIVED", f"SURVIVED: no test shows that {mutant.why}"


def try_unbroken(trial, mutants, with_system):
    """System tests that fail on the unbroken product, or cannot be run: they tell nothing."""
    log = SCRATCH / "logs/unbroken.log"
    log.unlink(missing_ok=True)
    if killer := trial.unit(trial.build(log), log):
        raise Unfit(f"the unbroken product fails, so that no mutant would tell anything: {killer}; "
                    f"see {log}")
    # By files, within the time limit of each.
    by_file = collections.defaultdict(list)
    for test in sorted({test for mutant in mutants for test in mutant.system}):
        by_file[test.partition("::")[0]].append(test)
    red = []
    for tests in by_file.values() if with_system else []:
        try:
            failed = trial.system(tests, log)
        except Unfit as error:
            print(f"mutants: {error}", file=sys.stderr)
            failed = [TIME_LIMIT]
        red += tests if TIME_LIMIT in failed else failed
    return red


def table(results):
    """A row a subject."""
    yield "subject   mutants  by unit  by system  survived  errors"
    subjects = dict.fromkeys(mutant.subject for mutant in results)
    for subject in [*subjects, "all"]:
        kinds = [kind for mutant, kind in results.items() if subject in (mutant.subject, "all")]
        yield (f"{subject:9}{len(kinds):8}" + "".join(
            f"{kinds.count(kind):{width}}" for kind, width in zip(KINDS, (9, 11, 10, 8))))


def run(mutants, with_baseline):
    began = time.monotonic()
    tree, logs = SCRATCH / "tree", SCRATCH / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with open(SCRATCH / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unfit(f"another run uses {SCRATCH}: wait for its end") from None
        tree.mkdir(exist_ok=True)
        copy_tree(TOP, tree)
        trial = Trial(tree, SCRATCH / "build")
        check_units(mutants, trial.units)
        red = try_unbroken(trial, mutants, with_baseline)
        say(began, f"the unbroken product fails {', '.join(red)}" if red else
            "the unbroken product passes" if with_baseline else "built")
        results = {}
        for mutant in mutants:
            log = logs / f"{mutant.name}.log"
            log.unlink(missing_ok=True)
            results[mutant], told = judge(mutant, tree, trial, red, log)
            say(began, f"{mutant.name}: {told}")
    print(*table(results), sep="\n")
    kinds = list(results.values())
    errors = kinds.count("ERROR")
    print(f"{kinds.count('unit') + kinds.count('system')} killed, "
          f"{kinds.count('SURVIVED')} survived" + (f", {errors} in error" if errors else ""))
    return 0 if errors == kinds.count("SURVIVED") == 0 else 1


def end(number, _):
    raise KeyboardInterrupt(number)


def main():
    parser = argparse.ArgumentParser(
        prog="mutants.sh", description="Break the product in one place at a time, and see which "
        "test notices.")
    parser.add_argument("--list", action="store_true",
                        help="show the places and what each removes, and break nothing")
    parser.add_argument("--no-baseline", action="store_true",
                        help="do not run the named system tests on the unbroken product first")
    parser.add_argument("name", nargs="*",
                        help="only these: a name, a subject (evict) or a pattern ('evict-*')")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        mutants = choose(read_list(Path(__file__).with_name("mutants.toml")), options.name)
        if not options.list:
            return run(mutants, not options.no_baseline)
    except Unfit as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mutants: interrupted; only the copy was broken", file=sys.stderr)
        return 130
    for mutant in mutants:
        print(f"{mutant.name:26} {mutant.function}(): {mutant.why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
