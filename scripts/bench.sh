#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Measure how fast it forwards, how soon a death is over and what being watched costs, each against
# its target: bench.sh [--quick] [--ci] [MEASUREMENT]...
#             bench.sh --table FILE.json
#
#   --quick             3 minutes instead of 8
#   --ci                exit 1 when a ratio is below 0.9 of its target, or something not measured
#   --table FILE.json   measure nothing: print a result as a table in Markdown
#   MEASUREMENT         only these; --help lists them, and further options
#
#   BENCH_BUILD  build directory with both programs (default: build, which is then made)
#
# Writes bench/results/DATE-REVISION.json and plots beside it. What falls short is said; the exit
# status is 0 all the same, but for --ci.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")

# All programs under test stand beside each other in memory: 960 MiB. Without huge pages they are
# compared all the same, but it is their page tables that one compares.
pages=/sys/kernel/mm/hugepages/hugepages-2048kB
pages_wanted=480

borrow_huge_pages() {
	local free lacking

	[ -w "$pages/nr_hugepages" ] || return 0
	read -r pages_before <"$pages/nr_hugepages"
	read -r free <"$pages/free_hugepages"
	lacking=$((pages_wanted - free))
	[ "$lacking" -gt 0 ] || return 0
	trap 'echo "$pages_before" >"$pages/nr_hugepages"' EXIT
	{ echo $((pages_before + lacking)) >"$pages/nr_hugepages"; } 2>/dev/null || true
	read -r free <"$pages/free_hugepages"
	[ "$free" -ge "$pages_wanted" ] ||
		echo "bench: $free huge pages to be had, not $pages_wanted: going on without" >&2
}

case " $* " in
*" --table "* | *" --table="* | *" --help "* | *" -h "*)
	exec /usr/bin/python3 -B "$top/bench" "$@"
	;;
esac
if [ -z "${BENCH_BUILD:-}" ]; then
	"$here/build.sh" bench
	BENCH_BUILD=$top/build
fi
KA_BENCH_REVISION=$("$here/revision.sh")
export KA_BENCH_REVISION
if [ "$(id -u)" -ne 0 ]; then
	echo "bench: namespaces and huge pages take root: going on with sudo"
	exec sudo --preserve-env=BENCH_BUILD,KA_BENCH_REVISION \
		env "BENCH_BUILD=$BENCH_BUILD" "$here/bench.sh" "$@"
fi
borrow_huge_pages
# Beside us, as a group of its own: so a signal finds us awake, and it ends in good order.
set -m
"$top/tests/system/world.sh" "$BENCH_BUILD" /usr/bin/python3 "$top/bench" "$@" &
world=$!
trap 'kill -TERM -- "-$world" 2>/dev/null || true' INT TERM HUP
rc=0
while wait "$world" && rc=0 || rc=$?; kill -0 "$world" 2>/dev/null; do
	:
done
exit "$rc"
