#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Break the product in one place at a time, and see which test notices: mutants.sh [OPTION]... [NAME]...
#
#   --list          show the places and what each removes, and break nothing
#   --no-baseline   do not run the named system tests on the unbroken product first
#   NAME            only these: a name, a subject (evict) or a pattern ('evict-*'); default: all
#
# The places are those of tests/mutants/mutants.toml. What is broken is a copy under build-mutants;
# logs stay there. Exits 1 when a mutant survived or could not be tried, 2 when nothing was tried.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

case " $* " in
*" --list "* | *" --help "* | *" -h "*) ;;
*)
	"$here/setup.sh" build test
	if [ "$(id -u)" -ne 0 ]; then
		echo "mutants: network namespaces take root: going on with sudo"
		exec sudo "$here/mutants.sh" "$@"
	fi
	;;
esac
exec /usr/bin/python3 -B "$here/../tests/mutants" "$@"
