#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Check everything that can be checked without running it: lint.sh [BUILD_DIR].
#
# One line a check, with what is wrong behind it, and a sum at the end; exits 1 when a check failed.
# clang-tidy compiles as BUILD_DIR does (default: build-lint, which is made when it is not there).
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
build=${1:-}
passed=0
failed=0

# All files of the project: tracked ones, and new ones that are not ignored. What a fuzzer made is no
# text.
files() {
	{
		git ls-files --cached --others --exclude-standard 2>/dev/null ||
			find . -type f -not -path './.git/*' -not -path './build*' -printf '%P\n'
	} | grep -vE '^(tests/fuzz/corpus|bench/results)/' | sort -u | while IFS= read -r file; do
		if [ -f "$file" ]; then echo "$file"; fi
	done
}

mapfile -t all < <(files)
c_files=()
shell_files=()
python_files=()
for file in "${all[@]}"; do
	case "$file" in
	*.[ch]) c_files+=("$file") ;;
	*.sh | .ci/run | contrib/completion/*) shell_files+=("$file") ;;
	*.py) python_files+=("$file") ;;
	esac
done

# A check is a command that says nothing, or what is wrong and fails.
check() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		passed=$((passed + 1))
		printf 'ok    %s\n' "$name"
	else
		failed=$((failed + 1))
		printf 'FAIL  %s\n' "$name"
		printf '%s\n' "$said" | head -n 60 | sed 's/^/      /'
	fi
}

# True when grep finds nothing; a pattern, then files.
nowhere() {
	local pattern=$1
	shift
	! grep -nHIE -e "$pattern" -- "$@"
}

spdx_lines() {
	local file rc=0
	for file in "${all[@]}"; do
		case "$file" in
		# debian/copyright speaks for its folder.
		LICENSE | *.md | *.pcap | .gitignore | .editorconfig | debian/*) continue ;;
		esac
		if ! head -n 2 "$file" | grep -q 'SPDX-License-Identifier: BSD-3-Clause'; then
			echo "$file: no SPDX line on top"
			rc=1
		fi
	done
	return $rc
}

last_lines() {
	local file rc=0
	for file in "${all[@]}"; do
		if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then
			echo "$file: the last line has no end"
			rc=1
		fi
	done
	return $rc
}

formatted() {
	local tool
	tool=$(command -v clang-format-14 || command -v clang-format) || return 1
	"$tool" --dry-run --Werror "${c_files[@]}"
}

python_parses() {
	/usr/bin/python3 - "$@" <<-'END'
		import ast, sys
		for name in sys.argv[1:]:
		    ast.parse(open(name).read(), name)
	END
}

cppchecked() {
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 --language=c -j "$(nproc)" \
		--enable=warning,performance,portability -D_GNU_SOURCE -D__x86_64__ -D__linux__ \
		--suppress=missingInclude --suppress=unknownMacro --suppress=preprocessorErrorDirective \
		"${c_files[@]}"
}

# A file of the two programs that the page on the code does not name.
rooms() {
	local file rc=0
	for file in "${c_files[@]}"; do
		[[ $file != */* || $file == ka-agent/* ]] || continue
		grep -qE "\`${file%.*}\.(\[ch\]|${file##*.})\`" doc/design.md || {
			echo "$file: has no row in doc/design.md"
			rc=1
		}
	done
	return $rc
}

# What is compiled into several programs is looked at once.
tidied() {
	local once rc
	if [ -z "$build" ]; then
		build="build-lint"
		[ -f $build/build.ninja ] || meson setup $build . || return 1
	fi
	once=$(mktemp -d)
	/usr/bin/python3 - "$build" "$once" >"$once/sources" <<-'END'
		import json, os, sys
		build, once = sys.argv[1:]
		entries = json.load(open(os.path.join(build, "compile_commands.json")))
		entries = {os.path.join(entry["directory"], entry["file"]): entry for entry in entries}
		json.dump(list(entries.values()), open(os.path.join(once, "compile_commands.json"), "w"))
		print("\n".join(sorted(map(os.path.relpath, entries))))
	END
	# It counts the warnings that it suppressed; that is no news.
	xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p "$once" <"$once/sources" 2>&1 |
		grep -vE '^[0-9]+ warnings? (generated|treated)|^$'
	rc=${PIPESTATUS[0]}
	rm -rf "$once"
	return "$rc"
}

check "every file has an SPDX line" spdx_lines
check "no blank ends a line" nowhere '[[:blank:]]$|'$'\r''$' "${all[@]}"
check "every last line ends" last_lines
check "nothing is left to be done" nowhere '\b(TODO|FIXME|XXX)\b' \
	"${c_files[@]}" "${python_files[@]}"
check "clang-format" formatted
check "shellcheck" shellcheck "${shell_files[@]}"
check "Python parses" python_parses "${python_files[@]}"
check "pyflakes" pyflakes3 "${python_files[@]}"
check "links and line anchors lead somewhere" scripts/anchors.py --check
check "every file has its row in doc/design.md" rooms
check "cppcheck" cppchecked
check "clang-tidy" tidied

echo "lint: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
