# SPDX-License-Identifier: BSD-3-Clause
"""Fault campaigns: started by scripts/campaign.sh, inside tests/system/world.sh."""

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "system"))

import campaigns  # noqa: E402
import noise  # noqa: E402
import result  # noqa: E402
from scene import NOT_BACK, temporary_directory  # noqa: E402
from support import hook  # noqa: E402
from support.build import Build  # noqa: E402

ALL = [campaigns.exits_k1, campaigns.exits_k5, campaigns.spins_k1, campaigns.spins_k5,
       campaigns.blocks, campaigns.blocks_respawn, campaigns.slows, campaigns.nostarts,
       campaigns.hook_spins, campaigns.hook_sleeps, campaigns.traced, campaigns.crashes,
       campaigns.ends, noise.starved, noise.frozen, noise.stalled, noise.everything]


@dataclasses.dataclass
class World:
    """What every campaign needs to know."""

    build: Build
    directory: Path  # For files that nobody needs afterwards.
    hook_library: Path
    many: int  # Exits and spins at each period.
    some: int  # Blocks, slow turns.
    few: int  # Workers that do not start, tracers, preloaded faults.
    crashes: int
    ends: int
    noise_seconds: float  # Of each of the four kinds.
    logs: Path | None  # Where the output of all programs is kept.
    seed: int


SIZES = {True: {"many": 60, "some": 10, "few": 5, "crashes": 2, "ends": 3, "noise_seconds": 3.5},
         False: {"many": 1000, "some": 200, "few": 50, "crashes": 12, "ends": 12,
                 "noise_seconds": 150}}


def _said(*argv):
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine(build):
    """Where the numbers come from."""
    cpu = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
           if line.startswith("model name")]
    return {"cpu": cpu[0] if cpu else "unknown", "cpus": len(os.sched_getaffinity(0)),
            "kernel": platform.release(), "dpdk": _said("pkg-config", "--modversion", "libdpdk"),
            "python": platform.python_version(), "sanitizer": build.sanitizer,
            "version": _said(build.forwarder, "--version"),
            "revision": os.environ.get("KA_CAMPAIGN_REVISION", "unknown")}


def run(campaign, world):
    """One campaign; whatever goes wrong in it makes it short and stops no other."""
    began = time.monotonic()
    try:
        done = campaign(world)
    except (AssertionError, OSError) as error:
        done = result.Result(campaign.__name__)
        done.complaints.append(f"{type(error).__name__}: {error}")
    done.seconds = round(time.monotonic() - began, 1)
    done.details.pop("_ns", None)
    return done


def main():
    names = {campaign.__name__: campaign for campaign in ALL}
    about = "\n".join(f"  {name:<16}{function.__doc__.splitlines()[0]}"
                      for name, function in names.items())
    parser = argparse.ArgumentParser(
        prog="campaign.sh", description="Make faults, and count what becomes of them.",
        epilog=f"campaigns:\n{about}", formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute instead of a quarter of an hour")
    parser.add_argument("--many", metavar="N", type=int,
                        help="exits and spins at each period")
    parser.add_argument("--noise", metavar="SEC", type=float,
                        help="seconds of each of the four kinds of noise")
    parser.add_argument("--json", metavar="FILE", help="where to write the results, too")
    parser.add_argument("--logs", metavar="DIR", type=Path,
                        help="keep there what all programs wrote")
    parser.add_argument("--seed", type=int, default=1, help="of the random noise (default: 1)")
    parser.add_argument("campaign", nargs="*", help="only these (default: all)")
    options = parser.parse_args()
    unknown = [name for name in options.campaign if name not in names]
    if unknown:
        parser.error(f"no campaign '{unknown[0]}'; see --help")
    build = Build(os.environ["KA_TEST_WORLD"])
    if NOT_BACK.encode() not in Path(build.forwarder).read_bytes():
        sys.exit(f"campaign: '{NOT_BACK}' stands nowhere in the forwarder: lost mbufs would go "
                 "unnoticed; see what it says instead, and change NOT_BACK in scene.py")
    if options.logs is not None:
        options.logs.mkdir(parents=True, exist_ok=True)
    began = time.time()
    results = []
    sizes = dict(SIZES[options.quick])
    if options.many is not None:
        sizes["many"] = options.many
    if options.noise is not None:
        sizes["noise_seconds"] = options.noise
    with temporary_directory() as directory:
        world = World(build, Path(directory), hook.build(directory), seed=options.seed,
                      logs=options.logs, **sizes)
        print(result.head(), flush=True)
        for name in options.campaign or names:
            results.append(run(names[name], world))
            print(result.row(results[-1]), flush=True)
            for complaint in results[-1].complaints:
                print(f"    {complaint}", flush=True)
    short = sum(not done.ok for done in results)
    if options.json:
        Path(options.json).write_text(json.dumps(
            {"machine": machine(build), "quick": options.quick, "sizes": sizes,
             "seed": options.seed,
             "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
             "seconds": round(time.time() - began, 1), "short": short,
             "campaigns": [done.as_dict() for done in results]}, indent=2) + "\n")
    print(f"campaign: {len(results) - short} in full, {short} short, "
          f"{time.time() - began:.0f} s")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
