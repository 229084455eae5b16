#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Install what is missing: setup.sh [build|demo|test|bench|lint|package|fresh|hugepages]... (default: build).
#
# Asks nothing, uses sudo only when not root, and neither apt nor the network when nothing is
# missing.
set -euo pipefail

declare -A packages=(
	[build]="gcc libc6-dev meson ninja-build pkg-config libdpdk-dev libnuma-dev libsystemd-dev"
	[demo]="iproute2 iputils-ping procps"
	[test]="bash-completion clang collectd-core dpdk-dev ethtool groff-base iperf3 iproute2
		iputils-ping jq libcmocka-dev libgcrypt20 mandoc procps prometheus prometheus-node-exporter
		python3-jsonschema python3-pytest python3-scapy systemd tmux"
	[bench]="dpdk-dev procps iproute2 python3-matplotlib valgrind"
	[package]="debhelper dpkg-dev git lintian xz-utils"
	[fresh]="mmdebstrap procps"
	[lint]="clang-format clang-tidy cppcheck pyflakes3 shellcheck"
)

# Not in every Debian, or by another name. Tests are skipped where their program is not to be had.
optional=(collectd-core)
# DPDK's scripts where dpdk-dev does not have them: the first one that there is.
dpdk_scripts=(dpdk-usertools dpdk)

# Huge pages of 2 MiB that are enough for two small ports.
huge_pages=128

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

is_installed() {
	dpkg-query --show --showformat='${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'
}

is_known() {
	[ -n "$(apt-cache madison "$1" 2>/dev/null)" ]
}

# Those that are not there and, as far as apt was ever told of any package, are to be had.
list_missing() {
	local package
	for package in "$@"; do
		is_installed "$package" || {
			[[ " ${optional[*]} " == *" $package "* ]] && is_known apt && ! is_known "$package"
		} || echo "$package"
	done
}

# Run a command that installs; servers that come with it stay off: the tests start what they need.
# (policy-rc.d is how Debian's packages ask whether they may start something.)
without_services() {
	local policy=/usr/sbin/policy-rc.d rc=0

	if [ -e $policy ]; then
		"$@"
		return
	fi
	# shellcheck disable=SC2064 # The path is known now.
	trap "as_root rm -f $policy" EXIT
	printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
	as_root chmod 755 $policy
	"$@" || rc=$?
	as_root rm -f $policy
	trap - EXIT
	return $rc
}

# Nor are they started with the machine.
disable_services() {
	local unit

	command -v systemctl >/dev/null || return 0
	dpkg-query --listfiles "$@" |
		sed -nE 's#^(/usr)?/lib/systemd/system/([^/@]+\.(service|timer))$#\2#p' |
		while IFS= read -r unit; do
			as_root systemctl --quiet disable "$unit" || true
		done
}

install() {
	local missing

	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		echo "setup: no apt here; these must be there by other means: $*" >&2
		return
	fi
	mapfile -t missing < <(list_missing "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	as_root apt-get -qq update
	mapfile -t missing < <(list_missing "${missing[@]}")
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "setup: installing ${missing[*]}"
	without_services as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -qq install --yes --no-install-recommends "${missing[@]}" >/dev/null
	disable_services "${missing[@]}"
}

# Everything here works without huge pages too, so this may fail and says so.
reserve_huge_pages() {
	local file=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages now

	[ -r "$file" ] || return 0
	now=$(cat "$file")
	[ "$now" -eq 0 ] || return 0
	if [ "$(id -u)" -eq 0 ]; then
		{ echo "$huge_pages" >"$file"; } 2>/dev/null || true
	else
		echo "$huge_pages" | sudo -n tee "$file" >/dev/null 2>&1 || true
	fi
	now=$(cat "$file")
	if [ "$now" -gt 0 ]; then
		echo "setup: reserved $now huge pages; to give them back: echo 0 > $file"
	else
		echo "setup: no huge pages to be had, going on without"
	fi
}

[ $# -gt 0 ] || set -- build
wanted=()
for group in "$@"; do
	case "$group" in
	build | demo | test | bench | lint | package | fresh)
		read -r -d '' -a list <<<"${packages[$group]}" || true
		wanted+=("${list[@]}")
		;;
	hugepages)
		reserve_huge_pages
		;;
	*)
		echo "setup: '$group' is none of build, demo, test, bench, lint, package, fresh, hugepages" >&2
		exit 2
		;;
	esac
done
[ ${#wanted[@]} -eq 0 ] || install "${wanted[@]}"

if [[ " $* " == *" test "* ]] && ! command -v dpdk-telemetry.py >/dev/null; then
	for package in "${dpdk_scripts[@]}"; do
		! is_known "$package" || break
	done
	install "$package"
fi
