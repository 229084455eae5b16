#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Run all tests, or some: test.sh [--on SUITE] [PART]...
#
#   --on SUITE  in a fresh Debian of that name (bookworm, trixie, forky), see fresh_system.sh: the
#               parts build, unit, system and demo, or those named but for lint and bench
#
# Parts:
#
#   build     gcc and clang without a warning, and an installation
#   lint      scripts/lint.sh
#   unit      unit suite
#   system    system suite, on real frames, in namespaces of its own
#   campaign  scripts/campaign.sh --quick; each campaign is a test
#   bench     scripts/bench.sh --quick --ci; each target is a test: of a ratio, whether it is 0.9 of
#             its target at least, of all others, whether they could be measured
#   sanitize  unit suite with ASan and UBSan, and with TSan
#   asan      system suite with ASan and UBSan; tests that wait for long or try a script only with
#             KA_TEST_ALL=1
#   fuzz      scripts/fuzz.sh, 20 s; each target is a test
#   demo      scripts/demo.sh
#
# Ends with a table of what each part took, and one line "N passed, M failed"; exits non-zero unless
# M is 0 and N is not.
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top" || exit 1
builds=build-ci
passed=0
failed=0
skipped=0

say() {
	printf '[%3d s] %s\n' "$SECONDS" "$*"
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo --preserve-env "$@"
	fi
}

# Children of a process, their children, and so on.
descendants() {
	local child
	for child in $(pgrep -P "$1"); do
		echo "$child"
		descendants "$child"
	done
}

# Where a signal ends this, the part that runs ends too; what does not obey is killed.
end_parts() {
	local left=() all
	mapfile -t all < <(descendants $$)
	kill -TERM "${all[@]}" 2>/dev/null
	for _ in {1..20}; do
		mapfile -t left < <(ps -o pid= -p "$(IFS=,; echo "${all[*]}")")
		[ ${#left[@]} -gt 0 ] || break
		sleep 0.1
	done
	[ ${#left[@]} -eq 0 ] || kill -KILL "${left[@]}" 2>/dev/null
}

# Add "passed failed skipped" to the sums and show them with a name.
add() {
	passed=$((passed + $2))
	failed=$((failed + $3))
	skipped=$((skipped + $4))
	say "$1: $2 passed, $3 failed, $4 skipped"
}

# A command is one test. What it printed is shown when it fails.
check() {
	local name=$1 log rc=0
	shift
	log=$(mktemp)
	"$@" >"$log" 2>&1 </dev/null || rc=1
	[ "$rc" -eq 0 ] || tail -n 100 "$log"
	rm -f "$log"
	add "$name" $((1 - rc)) "$rc" 0
	return "$rc"
}

# Build directory of a name: compiler, then meson options.
make_build() {
	local dir=$builds/$1 compiler=$2
	shift 2
	if [ ! -f "$dir/build.ninja" ]; then
		rm -rf "$dir"
		CC=$compiler meson setup "$dir" "$top" --werror "$@" || return 1
	fi
	ninja -C "$dir"
}

# Have a build, made at most once a run and without a warning; that is a test, too.
declare -A need_rc=()
need() {
	local options=()
	[ -z "${need_rc[$1]:-}" ] || return "${need_rc[$1]}"
	case "$1" in
	gcc | clang) options=("$1") ;;
	asan) options=(gcc "-Db_sanitize=address,undefined" -Dbuildtype=debugoptimized) ;;
	tsan) options=(gcc -Db_sanitize=thread -Dbuildtype=debugoptimized) ;;
	esac
	need_rc[$1]=0
	check "build $1" make_build "$1" "${options[@]}" || need_rc[$1]=1
	return "${need_rc[$1]}"
}

installs() {
	local dir program rc=0
	dir=$(mktemp -d)
	DESTDIR=$dir meson install --no-rebuild -C $builds/gcc || rc=1
	for program in l2fwd-keepalive ka-agent; do
		[ -x "$dir/usr/local/bin/$program" ] &&
			[ -f "$dir/usr/local/share/man/man8/$program.8" ] &&
			[ -f "$dir/usr/local/share/bash-completion/completions/$program" ] || rc=1
	done
	rm -rf "$dir"
	return $rc
}

# What meson's log tells of each program of cmocka tests; one that crashed counts as a failure.
count_units() {
	/usr/bin/python3 - "$1" <<-'END'
		import json, re, sys
		passed = failed = skipped = 0
		for line in open(sys.argv[1]):
		    test = json.loads(line)
		    said = test.get("stdout", "") + test.get("stderr", "")
		    ok, bad, skip = (sum(map(int, re.findall(rf"\[  {word} +\] (\d+) test", said)))
		                     for word in ("PASSED", "FAILED", "SKIPPED"))
		    if test["result"] == "SKIP":
		        skip = max(skip, 1)
		    elif test["result"] in ("OK", "EXPECTEDFAIL"):
		        ok = max(ok, 1)
		    else:
		        bad = max(bad, 1)
		    passed, failed, skipped = passed + ok, failed + bad, skipped + skip
		print(passed, failed, skipped)
	END
}

run_units() {
	local dir=$builds/$1 sums
	shift
	rm -f "$dir/meson-logs/testlog.json"
	"$@" meson test -C "$dir" --no-rebuild --suite unit --print-errorlogs \
		--timeout-multiplier 4 </dev/null
	if read -r -a sums < <(count_units "$dir/meson-logs/testlog.json"); then
		add "unit tests ($(basename "$dir"))" "${sums[@]}"
	else
		add "unit tests ($(basename "$dir"))" 0 1 0
	fi
}

count_system() {
	/usr/bin/python3 - "$1" <<-'END'
		import sys, xml.etree.ElementTree as tree
		suite = tree.parse(sys.argv[1]).getroot().find("testsuite")
		# A test can fail and then once more in its teardown: it is one test all the same.
		tests, bad, skip = set(), set(), set()
		for case in suite.iter("testcase"):
		    test = case.get("classname"), case.get("name")
		    tests.add(test)
		    if case.find("failure") is not None or case.find("error") is not None:
		        bad.add(test)
		    elif case.find("skipped") is not None:
		        skip.add(test)
		print(len(tests - bad - skip), len(bad), len(skip - bad))
	END
}

# The limit is for a test that waits for ever in spite of all deadlines.
run_system() {
	local dir=$builds/$1 rc=0 sums
	rm -f "$dir/system.xml"
	as_root timeout --foreground -k 10 1200 tests/system/run.sh "$dir" -q --durations=5 \
		--junitxml="$top/$dir/system.xml" </dev/null || rc=$?
	if [ "$rc" -eq 77 ]; then
		add "system tests ($1)" 0 0 1
	else
		read -r -a sums < <(count_system "$dir/system.xml") || sums=(0 1 0)
		# No test is to blame: too many were begun anew, or the time was over.
		[ "$rc" -eq 0 ] || [ "${sums[1]}" -gt 0 ] || sums[1]=1
		add "system tests ($1)" "${sums[@]}"
	fi
}

count_campaigns() {
	/usr/bin/python3 - "$1" <<-'END'
		import json, sys
		campaigns = json.load(open(sys.argv[1]))["campaigns"]
		passed = sum(campaign["ok"] for campaign in campaigns)
		print(passed, len(campaigns) - passed, 0)
	END
}

# Its rows and complaints go to the log as they come. The file is written at its very end.
run_campaigns() {
	local dir=$builds/$1 rc=0 sums
	rm -f "$dir/campaign.json"
	CAMPAIGN_BUILD=$top/$dir as_root timeout --foreground -k 10 300 scripts/campaign.sh --quick \
		--json "$top/$dir/campaign.json" </dev/null || rc=$?
	read -r -a sums < <(count_campaigns "$dir/campaign.json") || sums=(0 1 0)
	# Ended badly, and no campaign is to blame: it was the script.
	[ "$rc" -eq 0 ] || [ "${sums[1]}" -gt 0 ] || sums[1]=1
	add "campaigns ($1)" "${sums[@]}"
}

count_targets() {
	/usr/bin/python3 - "$1" <<-'END'
		import json, sys
		rows = json.load(open(sys.argv[1]))["rows"]
		bad = sum(row["fails_ci"] for row in rows)
		none = sum(row["verdict"] == "none" and not row["fails_ci"] for row in rows)
		print(len(rows) - bad - none, bad, none)
	END
}

# As with the campaigns.
run_bench() {
	local dir=$builds/$1 rc=0 sums
	rm -rf "$dir/bench-results"
	BENCH_BUILD=$top/$dir as_root timeout --foreground -k 10 600 scripts/bench.sh --quick --ci \
		--results "$top/$dir/bench-results" </dev/null || rc=$?
	read -r -a sums < <(count_targets "$dir"/bench-results/*.json) || sums=(0 1 0)
	[ "$rc" -eq 0 ] || [ "${sums[1]}" -gt 0 ] || sums[1]=1
	add "targets ($1)" "${sums[@]}"
}

# ThreadSanitizer of gcc 12 cannot always place its shadow where addresses are randomized by more
# than 28 bits, as newer kernels do.
tsan() {
	local fixed=(setarch --addr-no-randomize)
	"${fixed[@]}" true 2>/dev/null || fixed=()
	TSAN_OPTIONS=halt_on_error=1:exitcode=99 "${fixed[@]}" "$@"
}

part_build() {
	need clang
	need gcc && check "install" installs
}

part_lint() {
	local log last
	log=$(mktemp)
	# It can look at a build that is there.
	scripts/lint.sh ${need_rc[gcc]:+"$builds/gcc"} | tee "$log"
	last=$(tail -n 1 "$log")
	rm -f "$log"
	if [[ $last =~ ^lint:\ ([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
		add "lint" "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" 0
	else
		add "lint" 0 1 0
	fi
}

part_unit() {
	need gcc && run_units gcc
}

part_system() {
	need gcc && run_system gcc
}

part_campaign() {
	need gcc && run_campaigns gcc
}

part_bench() {
	need gcc && run_bench gcc
}

part_sanitize() {
	if need asan; then
		run_units asan
	fi
	if need tsan; then
		run_units tsan tsan
	fi
}

part_asan() {
	need asan && run_system asan
}

# Each target says one line.
part_fuzz() {
	local log good
	log=$(mktemp)
	scripts/fuzz.sh 20 </dev/null 2>&1 | tee "$log"
	good=$(grep -c '^fuzz: .*none of them breaks' "$log")
	rm -f "$log"
	add "fuzz" "$good" $((2 - good)) 0
}

part_demo() {
	local rc=0
	need gcc || return
	DEMO_BUILD="$top/$builds/gcc" DEMO_SECONDS=${DEMO_SECONDS:-8} scripts/demo.sh </dev/null || rc=$?
	add "demo" $((rc == 0)) $((rc != 0)) 0
}

# The same script in a fresh Debian, which has build directories of its own. A variable that is meant
# for a test is there, too.
run_on() {
	local suite=$1 name kept=()
	shift
	[ "$(id -u)" -eq 0 ] || exec sudo --preserve-env "$top/scripts/test.sh" --on "$suite" "$@"
	# shellcheck source=scripts/fresh_system.sh
	. scripts/fresh_system.sh
	trap end_apart EXIT
	scripts/setup.sh fresh && have_system "$suite" || exit 1
	for name in "${!KA_TEST_@}" "${!DEMO_@}"; do
		kept+=("$name=${!name}")
	done
	mkdir -p "$builds" "$builds-$suite" build-fuzz "$builds-$suite/fuzz"
	in_system "build-debian/$suite" --net --read-only "$top:/checkout" \
		"$top/$builds-$suite:/checkout/$builds" \
		"$top/$builds-$suite/fuzz:/checkout/build-fuzz" -- env "${kept[@]}" scripts/test.sh "$@"
	exit
}

all_parts=(build lint unit system campaign bench sanitize asan fuzz demo)
suite=""
case "${1:-}" in
-h | --help)
	sed -n '4,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
	exit 0
	;;
--on)
	suite=${2:-}
	[[ " bookworm trixie forky " == *" $suite "* ]] || {
		echo "$0: --on '$suite' is none of: bookworm trixie forky" >&2
		exit 2
	}
	shift 2
	all_parts=(build unit system campaign sanitize asan fuzz demo)
	[ $# -gt 0 ] || set -- build unit system demo
	;;
esac
[ $# -gt 0 ] || set -- "${all_parts[@]}"
for part in "$@"; do
	[[ " ${all_parts[*]} " == *" $part "* ]] || {
		echo "$0: '$part' is none of: ${all_parts[*]}" >&2
		exit 2
	}
done
[ -z "$suite" ] || run_on "$suite" "$@"

trap end_parts EXIT
# Else bash goes on with the next part where the one that runs catches Ctrl-C and exits.
trap 'exit 130' INT
groups=(build demo test)
for part in "$@"; do
	[[ $part != @(lint|bench) ]] || groups+=("$part")
done
scripts/setup.sh "${groups[@]}" || exit 1
suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
table=()
for part in "$@"; do
	say "$part"
	row=("$SECONDS" "$passed" "$failed" "$skipped")
	"part_$part"
	table+=("$(printf '%-9s %-9s %4d s  %4d passed, %d failed, %d skipped' "$suite" "$part" \
		$((SECONDS - row[0])) $((passed - row[1])) $((failed - row[2])) $((skipped - row[3])))")
done

printf '%s\n' "" "${table[@]}"
[ "$skipped" -eq 0 ] || echo "$skipped skipped: see above"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
