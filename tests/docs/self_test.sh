#!/usr/bin/env bash
#
# commands_of.sh prints exactly what is marked, and refuses what would make a test of nothing.

set -euo pipefail

folder=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

failures=0
fail() {
  printf '%s\n' "$*" >&2
  failures=$((failures + 1))
}

expect_commands() {
  local what=$1 expected=$2 actual
  cat >"$scratch/page.md"
  actual=$("$folder/commands_of.sh" "$scratch/page.md") || fail "$what: refused"
  [[ $actual == "$expected" ]] || fail "$what: printed '$actual'"
}

expect_refusal() {
  local what=$1
  cat >"$scratch/page.md"
  ! "$folder/commands_of.sh" "$scratch/page.md" >/dev/null 2>&1 || fail "$what: accepted"
}

expect_commands 'two marked blocks among others' $'first\nsecond' <<'PAGE'
```sh
not marked
```
<!-- tested -->
```sh
first
```
Text.
<!-- tested -->
```sh
second
```
PAGE

expect_refusal 'no mark' <<'PAGE'
```sh
not marked
```
PAGE

expect_refusal 'a mark without a block' <<'PAGE'
<!-- tested -->
Text.
PAGE

expect_refusal 'a mark before a block of another kind' <<'PAGE'
<!-- tested -->
```
first
```
PAGE

expect_refusal 'an empty block' <<'PAGE'
<!-- tested -->
```sh
```
PAGE

expect_refusal 'a block that is not closed' <<'PAGE'
<!-- tested -->
```sh
first
PAGE

expect_refusal 'a mark at the end' <<'PAGE'
Text.
<!-- tested -->
PAGE

[[ $failures -eq 0 ]]
