#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Run the system tests in a world of their own (world.sh): run.sh BUILD_DIR [pytest arguments].
#
# Exits 77 (skipped, to meson) when not root or when pytest, scapy or tmux is not there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

[ $# -ge 1 ] || { echo "usage: $0 BUILD_DIR [pytest arguments]" >&2; exit 2; }
build=$(realpath -- "$1")
shift
if ! /usr/bin/python3 -c 'import pytest, scapy' || ! command -v tmux >/dev/null; then
	echo "skipped: apt-get install python3-pytest python3-scapy tmux" >&2
	exit 77
fi
cd "$here"
exec ./world.sh "$build" /usr/bin/python3 -m pytest "$@"
