#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Make faults, and count those that were detected, named, recovered and reported, and those that
# were invented: campaign.sh [--quick] [--json FILE] [CAMPAIGN]...
#                campaign.sh --table FILE
#
#   --quick         a minute instead of a quarter of an hour
#   --json FILE     write the results to FILE, too
#   --table FILE    make no faults: print FILE, written by --json, as a table in Markdown
#   CAMPAIGN        only these; --help lists them, and further options
#
#   CAMPAIGN_BUILD  build directory with both programs (default: build, which is then made)
#
# Exits non-zero when a campaign falls short.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")

build() {
	local log

	"$here/setup.sh" build test
	log=$(mktemp)
	if ! { [ -f "$top/build/build.ninja" ] || meson setup "$top/build" "$top"; } >"$log" 2>&1 ||
		! ninja -C "$top/build" >>"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		echo "campaign: the build failed; see above" >&2
		exit 1
	fi
	rm -f "$log"
	CAMPAIGN_BUILD=$top/build
}

revision() {
	local revision
	revision=$(git -C "$top" rev-parse --short=12 HEAD 2>/dev/null) || return 0
	[ -z "$(git -C "$top" status --porcelain 2>/dev/null)" ] || revision+=" (changed)"
	echo "$revision"
}

if [ "${1:-}" = --table ]; then
	shift
	exec /usr/bin/python3 -B "$top/tests/campaign/table.py" "$@"
fi
[ -n "${CAMPAIGN_BUILD:-}" ] || build
KA_CAMPAIGN_REVISION=$(revision)
export KA_CAMPAIGN_REVISION
if [ "$(id -u)" -ne 0 ]; then
	echo "campaign: namespaces and real-time priorities take root: going on with sudo"
	exec sudo --preserve-env=CAMPAIGN_BUILD,KA_CAMPAIGN_REVISION \
		env "CAMPAIGN_BUILD=$CAMPAIGN_BUILD" "$here/campaign.sh" "$@"
fi
exec "$top/tests/system/world.sh" "$CAMPAIGN_BUILD" /usr/bin/python3 "$top/tests/campaign" "$@"
