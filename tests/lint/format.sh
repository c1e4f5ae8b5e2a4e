#!/usr/bin/env bash
#
# The format of the C++ sources is what clang-format 19 makes of them.

# shellcheck source=tests/lint/sources.sh
source "$(dirname "${BASH_SOURCE[0]}")/sources.sh" "$@"

if ! command -v clang-format-19 >/dev/null; then
  printf 'lint.format: clang-format-19 is not installed\nHINT: run tools/setup\n' >&2
  exit 1
fi
cpp_files | tr '\n' '\0' |
  xargs -0 -r clang-format-19 --style=file --dry-run --Werror --ferror-limit=1
