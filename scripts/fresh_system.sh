#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Have a fresh Debian with all that its build and its tests need: fresh_system.sh SUITE.
#
# It is made in build-debian/SUITE from this system's own Debian sources, and kept there as long as
# setup.sh stays as it is. Remove the folder to have it made anew. Needs root.
#
# Other scripts source this file for its functions.
set -uo pipefail

fresh_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
fresh_top=$(dirname "$fresh_here")
fresh_pid=""
fresh_making=""

codename() {
	sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# Run a command in mount and process namespaces of its own; its mounts and processes go when this
# shell does. In the background, so that a signal is obeyed at once; a job of its own, since it
# would ignore SIGINT otherwise.
apart() {
	local rc=0
	set -m
	setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc "$@" \
		</dev/null &
	set +m
	fresh_pid=$!
	wait "$fresh_pid" || rc=$?
	fresh_pid=""
	return "$rc"
}

# For a trap on EXIT: the first process in there takes all others along, and is waited for.
end_apart() {
	local first
	if [ -n "$fresh_pid" ]; then
		first=$(pgrep -P "$fresh_pid") || true
		# shellcheck disable=SC2086 # There may be none.
		kill -KILL "$fresh_pid" $first || true
		wait "$fresh_pid" 2>/dev/null || true
		while [ -n "$first" ] && kill -0 "$first" 2>/dev/null; do
			sleep 0.01
		done
	fi
	[ -z "$fresh_making" ] || rm -rf --one-file-system "$fresh_making"
}

# Debian's own among the sources of this system, with another suite's name.
sources() {
	local own
	own=$(codename)
	# shellcheck disable=SC2016 # apt-get puts in what stands in $(...).
	apt-get indextargets --format 'deb $(REPO_URI) $(CODENAME) $(COMPONENT)' \
		'Created-By: Packages' 'Origin: Debian' |
		sed -nE "s/ $own(-updates|-security|) / $1\1 /p" | sort -u
}

# Make a smallest Debian: suite, folder. A mirror whose dates this system does not check is as good
# there. It is not to be kept through a loss of power.
make_system() {
	local dates list
	dates=$(apt-config dump Acquire::Check-Valid-Until)
	mapfile -t list < <(sources "$1")
	[ ${#list[@]} -gt 0 ] || {
		echo "fresh_system: apt-get indextargets tells of no source with Debian's packages" >&2
		return 1
	}
	apart mmdebstrap --quiet --mode=root --variant=minbase --dpkgopt=force-unsafe-io \
		${dates:+"--aptopt=$dates"} "$1" "$2" "${list[@]}"
}

# Run a command in a fresh system: in_system ROOT [--net] [--read-only] [FROM:TO]... -- COMMAND.
#
#   --net        without a network of this system's
#   --read-only  the system cannot be written; a folder that is shown in there can, as FROM can
#   FROM:TO      a folder is shown in there; the first one is the working directory
in_system() {
	local root=$1 net=()
	shift
	[ "$1" != --net ] || { net=(--net); shift; }
	apart "${net[@]}" "$BASH" "$fresh_here/fresh_system.sh" --inside "$root" "$@"
}

# This shell is process 1 in there: it stays, to collect orphans.
inside() {
	local root=$1 pair device directory=/ rc=0
	shift
	set -e
	umask 022
	mount --bind "$root" "$root"
	cd "$root"
	if [ "$1" = --read-only ]; then
		mount -o remount,bind,ro .
		shift
	fi
	mount -t proc proc proc
	mount --rbind /sys sys
	mount -t tmpfs -o mode=755 tmpfs run
	mount -t tmpfs -o mode=1777 tmpfs tmp
	mount -t tmpfs -o mode=755 tmpfs dev
	mkdir dev/net dev/pts dev/shm
	for device in null zero full random urandom tty net/tun; do
		[ -e "/dev/$device" ] || continue
		: >"dev/$device"
		mount --bind "/dev/$device" "dev/$device"
	done
	mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts dev/pts
	mount -t tmpfs -o mode=1777 tmpfs dev/shm
	ln -s pts/ptmx dev/ptmx
	ln -s /proc/self/fd dev/fd
	for device in 0:stdin 1:stdout 2:stderr; do
		ln -s "/proc/self/fd/${device%:*}" "dev/${device#*:}"
	done
	while [ "$1" != -- ]; do
		pair=$1
		[ "$directory" != / ] || directory=${pair##*:}
		mount --bind "${pair%:*}" ".${pair##*:}"
		shift
	done
	shift
	pivot_root . tmp
	umount -l /tmp
	cd "$directory"
	# Neither variables nor ignored signals come in: what is set outside is meant for there.
	env -i --default-signal PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LANG=C.UTF-8 "$@" || rc=$?
	exit "$rc"
}

# Make SUITE in a folder; until it is complete it has another name.
make_ready() {
	local suite=$1 root=$2
	echo "fresh_system: making a fresh $suite in $root"
	rm -rf --one-file-system "$root" "$root.new"
	fresh_making=$root.new
	if ! { make_system "$suite" "$root.new" &&
		echo '127.0.0.1 localhost' >"$root.new/etc/hosts" &&
		mkdir "$root.new/checkout" &&
		cp "$fresh_here/setup.sh" "$root.new/setup.sh" &&
		in_system "$root.new" -- sh -c '/setup.sh build demo test && apt-get clean' &&
		mv "$root.new" "$root"; }; then
		echo "fresh_system: no fresh $suite: see above" >&2
		return 1
	fi
	fresh_making=""
	echo "fresh_system: made a fresh $suite in $SECONDS s"
}

# Have SUITE in build-debian/SUITE, made by whoever comes first. The lock is kept, shared, until this
# shell ends: nobody makes it anew while it is used.
have_system() {
	local suite=$1 root=$fresh_top/build-debian/$1 lock
	mkdir -p "$fresh_top/build-debian"
	exec {lock}>"$root.lock"
	flock --shared "$lock"
	cmp -s "$fresh_here/setup.sh" "$root/setup.sh" || {
		flock "$lock"
		cmp -s "$fresh_here/setup.sh" "$root/setup.sh" || make_ready "$suite" "$root" || return 1
		flock --shared "$lock"
	}
}

[ "${BASH_SOURCE[0]}" = "$0" ] || return 0
case "${1:-}" in
--inside)
	shift
	inside "$@"
	;;
bookworm | trixie | forky)
	[ "$(id -u)" -eq 0 ] || exec sudo "$fresh_here/fresh_system.sh" "$1"
	trap end_apart EXIT
	"$fresh_here/setup.sh" fresh && have_system "$1"
	;;
-h | --help) sed -n '4,/^set /{/^#/s/^# \{0,1\}//p}' "$0" ;;
*)
	echo "$0: '${1:-}' is none of: bookworm trixie forky" >&2
	exit 2
	;;
esac
