#!/usr/bin/env bash
#
# Prints the shell commands of a Markdown file that are marked as tested, in their order:
#
#   <!-- tested -->
#   ```sh
#   ...
#   ```
#
#   tests/docs/commands_of.sh FILE
#
# Fails if there are none, or if a mark is not followed by such a block: a test of nothing passes.

set -euo pipefail

if [[ $# -ne 1 ]]; then
  printf 'usage: %s FILE\n' "$0" >&2
  exit 2
fi

awk '
  function fail(what) {
    printf "%s:%d: %s\n", FILENAME, FNR, what >"/dev/stderr"
    failed = 1
    exit 1
  }
  state == "commands" && /^```$/ { state = ""; next }
  state == "commands" { print; lines++; next }
  state == "marked" && /^```sh$/ { state = "commands"; next }
  state == "marked" { fail("a block of ```sh has to follow the mark") }
  /^<!-- tested -->$/ { state = "marked" }
  END {
    if (failed) exit 1
    if (state != "") fail("the block is not closed")
    if (lines == 0) fail("no command is marked as tested")
  }' "$1"
