#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Feed the segment's reader and the command line with what a fuzzer thinks of: fuzz.sh [--keep] [SECONDS].
#
#   --keep   add the new inputs that reach new code to tests/fuzz/corpus
#   SECONDS  for each target, both at once (default: 30)
#
# An input that breaks something is left in build-fuzz, and named. Exits non-zero then.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
keep=false
if [ "${1:-}" = --keep ]; then
	keep=true
	shift
fi
seconds=${1:-30}
out=$top/build-fuzz

case "$seconds" in
'' | *[!0-9]*)
	echo "fuzz: '$seconds' is no number of seconds" >&2
	exit 2
	;;
esac
"$here/setup.sh" test
mkdir -p "$out"
cd "$top"

build() {
	clang -std=gnu11 -g -O1 -D_GNU_SOURCE '-DPROJECT_VERSION="fuzz"' -I. \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		-o "$out/fuzz_$1" "tests/fuzz/fuzz_$1.c" "${@:2}" -pthread
}

# What it finds goes into a folder of this run, and from there what is worth it into the corpus.
run() {
	local corpus=tests/fuzz/corpus/$1 found=$out/found-$1

	mkdir -p "$corpus" "$found"
	"$out/fuzz_$1" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=512 \
		-artifact_prefix="$out/$1-" -print_final_stats=1 "$found" "$corpus" \
		>"$out/$1.log" 2>&1 || {
		tail -n 40 "$out/$1.log"
		echo "fuzz: $1: broken; the input is in $out" >&2
		return 1
	}
	! $keep || "$out/fuzz_$1" -merge=1 "$corpus" "$found" >/dev/null 2>&1
	echo "fuzz: $1: $(sed -n 's/^stat::number_of_executed_units: *//p' "$out/$1.log") inputs," \
		"none of them breaks anything"
}

build segment ka-agent/{check,metrics,report,status,text,words}.c histogram.c number.c recovery.c shm.c &
build options fault_plan.c number.c options.c shm.c
wait $!
run segment &
segment=$!
rc=0
run options || rc=1
wait "$segment" || rc=1
exit "$rc"
