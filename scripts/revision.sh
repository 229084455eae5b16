#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Print what git calls the state of this tree, for a result that is kept; nothing where git knows none.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
revision=$(git rev-parse --short=12 HEAD 2>/dev/null) || exit 0
[ -z "$(git status --porcelain 2>/dev/null)" ] || revision+=" (changed)"
echo "$revision"
