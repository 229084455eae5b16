#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Build both programs in build/, silently unless that fails: build.sh [GROUP]...
#
#   GROUP  what else is to be installed, as setup.sh has it
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")

"$here/setup.sh" build "$@"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { [ -f "$top/build/build.ninja" ] || meson setup "$top/build" "$top"; } >"$log" 2>&1 ||
	! ninja -C "$top/build" >>"$log" 2>&1; then
	cat "$log" >&2
	echo "build: failed; see above" >&2
	exit 1
fi
