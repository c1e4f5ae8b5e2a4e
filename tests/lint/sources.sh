# shellcheck shell=bash
#
# Sourced by the lints, each of which takes the root of a source tree as its only argument.

set -euo pipefail

if [[ $# -ne 1 || ! -d $1 ]]; then
  printf 'usage: %s ROOT\n' "$0" >&2
  exit 2
fi
cd "$1"

# Lists files of the tree, relative to its root and sorted; the arguments are conditions of find.
tree_files() {
  find . \( -path ./.git -o -path ./build -o -path ./.cache \) -prune -o -type f "$@" -print |
    sed 's,^\./,,' | LC_ALL=C sort
}

# The C++ sources and headers.
cpp_files() {
  tree_files \( -name '*.cc' -o -name '*.h' \)
}

# Prints the findings on standard input, one a line, and fails if there is one. awk's own failure
# fails the pipeline through pipefail.
no_findings() {
  awk '{ print } END { if (NR > 0) exit 1 }' >&2
}
