#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Make the Debian package from what is committed, check it, and install it in a fresh system of its
# own: package.sh [DIRECTORY].
#
#   DIRECTORY  where the package is left (default: build-package)
#
# Needs root, for the fresh system, and the network, for its packages.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(dirname "$here")
# shellcheck source=scripts/fresh_system.sh
. "$here/fresh_system.sh"
out=$(realpath -m -- "${1:-$top/build-package}")

if [ "$(id -u)" -ne 0 ]; then
	echo "package: a fresh system takes root: going on with sudo"
	exec sudo "$here/package.sh" "$out"
fi
"$here/setup.sh" build test package fresh

work=$(mktemp -d)
trap 'end_apart; rm -rf --one-file-system "$work"' EXIT
chmod 755 "$work"

# The tarball that upstream would publish, and from it the package: what is not in it is missing.
meson setup "$work/build" "$top" >"$work/log"
meson dist -C "$work/build" --no-tests >>"$work/log" || {
	cat "$work/log"
	echo "package: meson dist failed; see above" >&2
	exit 1
}
tarball=$(echo "$work"/build/meson-dist/*.tar.xz)
name=$(basename "$tarball" .tar.xz)
cp "$tarball" "$work/${name%-*}_${name##*-}.orig.tar.xz"
tar -C "$work" -xf "$tarball"
(cd "$work/$name" && dpkg-buildpackage --no-sign --build=full) >"$work/log" 2>&1 || {
	tail -n 50 "$work/log"
	echo "package: dpkg-buildpackage failed; see above" >&2
	exit 1
}
lintian --allow-root --fail-on error --suppress-tags bad-distribution-in-changes-file \
	"$work"/*.changes

# Nothing but what the package asks for is there.
suite=$(codename)
echo "package: a fresh $suite"
make_system "$suite" "$work/root"
mkdir "$work/root/package"
cp "$work"/*.deb "$work/root/package"
in_root() {
	in_system "$work/root" -- env DEBIAN_FRONTEND=noninteractive "$@"
}
in_root sh -c 'apt-get -qq update && apt-get -qq install --yes --no-install-recommends \
	/package/l2fwd-keepalive_*.deb' >"$work/log" 2>&1 || {
	tail -n 30 "$work/log"
	echo "package: it does not install; see above" >&2
	exit 1
}
for program in l2fwd-keepalive ka-agent; do
	in_root "$program" --version
	for file in "man/man8/$program.8.gz" "bash-completion/completions/$program"; do
		[ -f "$work/root/usr/share/$file" ] || {
			echo "package: /usr/share/$file is not in it" >&2
			exit 1
		}
	done
done
in_root apt-get -qq purge --yes l2fwd-keepalive >/dev/null 2>&1
left=$(find "$work/root/usr" "$work/root/etc" -name '*keepalive*' -o -name 'ka-agent*')
[ -z "$left" ] || {
	echo "package: left behind: $left" >&2
	exit 1
}
mkdir -p "$out"
cp "$work"/*.deb "$work"/*.dsc "$work"/*.tar.xz "$work"/*.changes "$out"
echo "package: OK: built, checked, installed and removed in a fresh $suite; see $out"
