#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Run the system suite again and again, and show which tests fail or are begun anew:
# flaky.sh N [--beside-hogs] [TESTS]...
#
#   N               how often
#   --beside-hogs   beside two busy loops of normal priority, each in a session of its own
#   TESTS           as pytest takes them: files in tests/system, FILE::TEST, -k NAME, ...
#                   (default: all)
#
#   FLAKY_BUILD  build directory with both programs (default: build, which is then made)
#
# What each run said, and its report, is kept in a folder of build-flaky. Exits 1 when a run was not
# green.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")

usage() {
	sed -n '4,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
}

case "${1:-}" in
-h | --help)
	usage
	exit 0
	;;
'' | *[!0-9]* | 0*)
	echo "flaky: '${1:-}' is no number of runs; give 1 or more, as in: flaky.sh 10" >&2
	exit 2
	;;
esac
runs=$1
shift
beside_hogs=false
if [ "${1:-}" = --beside-hogs ]; then
	beside_hogs=true
	shift
fi
if [ -z "${FLAKY_BUILD:-}" ]; then
	"$here/build.sh" demo test
	FLAKY_BUILD=$top/build
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "flaky: the tests make namespaces, which takes root: going on with sudo"
	$beside_hogs && set -- --beside-hogs "$@"
	exec sudo --preserve-env env "FLAKY_BUILD=$FLAKY_BUILD" "$here/flaky.sh" "$runs" "$@"
fi
mkdir -p "$top/build-flaky"
out=$(mktemp -d "$top/build-flaky/$(date +%Y%m%d-%H%M%S)-XXX")

suite=""
hogs=()
end_all() {
	[ -z "$suite" ] || kill -TERM -- "-$suite" 2>/dev/null || true
	[ ${#hogs[@]} -eq 0 ] || kill "${hogs[@]}"
	wait
}
trap end_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# In one session they would share a part of the CPUs with pytest, which sleeps for short times: some
# kernels then give other sessions nothing for seconds (autogroup, seen with 6.18).
if $beside_hogs; then
	for _ in 1 2; do
		setsid setpriv --pdeathsig KILL bash -c 'while :; do :; done' &
		hogs+=($!)
		disown
	done
fi
# Beside this shell, as a group of its own: so a signal is obeyed at once.
set -m
red=0
for ((run = 1; run <= runs; run++)); do
	rc=0
	"$top/tests/system/run.sh" "$FLAKY_BUILD" -q --durations=10 \
		--junitxml="$out/$run.xml" "$@" </dev/null >"$out/$run.log" 2>&1 &
	suite=$!
	wait "$suite" || rc=$?
	suite=""
	[ "$rc" -eq 0 ] || red=$((red + 1))
	printf 'run %d: %s, exit status %d\n' "$run" "$(tail -n 1 "$out/$run.log" | tr -d =)" "$rc"
done

/usr/bin/python3 - "$out" <<-'END'
	import collections, pathlib, sys, xml.etree.ElementTree as tree
	failed, anew = collections.Counter(), collections.Counter()
	for report in pathlib.Path(sys.argv[1]).glob("*.xml"):
	    for case in tree.parse(report).iter("testcase"):
	        test = f'{case.get("classname")}::{case.get("name")}'
	        failed[test] += case.find("failure") is not None or case.find("error") is not None
	        anew[test] += sum(entry.get("name") == "begun anew" for entry in case.iter("property"))
	print("failed  begun anew  test")
	for test in sorted(failed, key=lambda test: (-failed[test], -anew[test], test)):
	    if failed[test] or anew[test]:
	        print(f"{failed[test]:6}  {anew[test]:10}  {test}")
	print(f"{sum(failed.values()):6}  {sum(anew.values()):10}  of {len(failed)} tests")
END
echo "flaky: $((runs - red)) of $runs runs green; see $out"
[ "$red" -eq 0 ]
