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

if [ "${1:-}" = --table ]; then
	shift
	exec /usr/bin/python3 -B "$top/tests/campaign/table.py" "$@"
fi
if [ -z "${CAMPAIGN_BUILD:-}" ]; then
	"$here/build.sh" test
	CAMPAIGN_BUILD=$top/build
fi
KA_CAMPAIGN_REVISION=$("$here/revision.sh")
export KA_CAMPAIGN_REVISION
if [ "$(id -u)" -ne 0 ]; then
	echo "campaign: namespaces and real-time priorities take root: going on with sudo"
	exec sudo --preserve-env=CAMPAIGN_BUILD,KA_CAMPAIGN_REVISION \
		env "CAMPAIGN_BUILD=$CAMPAIGN_BUILD" "$here/campaign.sh" "$@"
fi
exec "$top/tests/system/world.sh" "$CAMPAIGN_BUILD" /usr/bin/python3 "$top/tests/campaign" "$@"
