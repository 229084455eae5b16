#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Run a command in a world of its own: world.sh BUILD_DIR COMMAND...
#
# Private are /dev/shm, /run/dpdk, /run/netns, the network and the process ids, so that nothing that
# the command starts can meet another instance, and nothing outlives it. The build directory is
# found under KA_TEST_WORLD there. Exits 77 (skipped, to meson) when not root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

enter() {
	[ $# -ge 2 ] || { echo "usage: $0 BUILD_DIR COMMAND..." >&2; exit 2; }
	[ -x "$1/l2fwd-keepalive" ] || [ -x "$1/ka-agent" ] || {
		echo "$0: no l2fwd-keepalive in '$1'; give the build directory" >&2
		exit 2
	}
	if [ "$(id -u)" -ne 0 ]; then
		echo "skipped: this makes network namespaces, which takes root" >&2
		exit 77
	fi
	KA_TEST_BUILD=$(cd "$1" && pwd)
	export KA_TEST_BUILD
	shift
	exec unshare --mount --net --pid --fork --kill-child --propagation private -- \
		"$here/world.sh" --inside "$@"
}

# This shell is process 1 of the new world: it stays, to collect orphans.
inside() {
	mount -t proc proc /proc
	mount -t tmpfs -o mode=1777 tmpfs /dev/shm
	for dir in /run/dpdk /run/netns /run/ka-test; do
		mkdir -p "$dir"
		mount -t tmpfs -o mode=755 tmpfs "$dir"
	done
	# Programs that are started as another user may not get through to the build directory.
	mkdir /run/ka-test/build
	mkdir -m 1777 /run/ka-test/sanitizer
	mount --bind "$KA_TEST_BUILD" /run/ka-test/build
	install -m 644 "$here/support/leaks.supp" /run/ka-test/leaks.supp
	export KA_TEST_WORLD=/run/ka-test
	# Neighbour discovery and router solicitations would be counted as frames of the tests.
	sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 || true
	ip link set lo up
	export PYTHONDONTWRITEBYTECODE=1
	local rc=0
	"$@" || rc=$?
	exit "$rc"
}

if [ "${1:-}" = --inside ]; then
	shift
	inside "$@"
else
	enter "$@"
fi
