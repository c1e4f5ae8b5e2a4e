#!/usr/bin/env bash
#
# Shows that a lint lets a good tree pass and finds each violation planted into it.
#
#   self_test.sh layers|format|size|words|docs

# What is planted holds $ and ` as they are.
# shellcheck disable=SC2016

set -euo pipefail

readonly lint=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/pghaul-lint.XXXXXXXX")
trap 'rm -rf -- "$scratch"' EXIT
tree=$scratch/tree
failures=0

# A tree that every lint accepts.
new_tree() {
  rm -rf -- "$tree"
  mkdir -p "$tree"
  cp "$here/../../.clang-format" "$tree/"
  plant README.md 'See [io](io/README.md#errors), [the web](https://example.org/x) and `[x](y)`.'
  plant io/README.md 'Back to [the top](../README.md).'
  plant io/file.h '#pragma once'
  plant io/file.cc '#include "io/file.h"' '' '#include <vector>' '' '#include <liburing.h>' '' \
    '#include "base/result.h"' '#include "io/internal/ring.h"'
  plant io/internal/ring.h '#pragma once' '' '#include <liburing.h>'
  plant engine/wal/README.md 'WAL.'
  plant engine/wal/push.cc '#include <sys/stat.h>' '#include <unistd.h>' '' \
    '#include "engine/repository/pack.h"'
  plant tests/README.md 'Tests.'
  plant tests/unit/io/file_test.cc '#include "io/file.h"' '' '#include <gtest/gtest.h>' \
    '#include <lz4.h>' '' '#include "io/internal/ring.h"'
}

# plant FILE LINE...
plant() {
  local file=$tree/$1
  shift
  mkdir -p "$(dirname "$file")"
  printf '%s\n' "$@" >"$file"
}

fail() {
  printf 'lint.%s: %s\n' "$lint" "$1" >&2
  sed 's/^/    /' "$scratch/output" >&2
  failures=$((failures + 1))
}

run_lint() { "$here/$lint.sh" "$tree" >"$scratch/output" 2>&1; }

expect_pass() {
  run_lint || fail "a good tree did not pass: $1"
}

# The lint must fail and say this.
expect_finding() {
  if run_lint; then
    fail "not found: $1"
  elif ! grep -Fq -- "$1" "$scratch/output"; then
    fail "failed without saying: $1"
  fi
  new_tree
}

# lines N: N short lines of C++.
lines() { yes '// x' | head -n "$1" || true; }

test_layers() {
  plant base/a.cc '#include "io/file.h"'
  expect_finding 'base/a.cc:1: base may not include io'
  plant io/a.cc '' '#include "compress/codec.h"'
  expect_finding 'io/a.cc:2: io may not include compress'
  plant engine/repository/a.cc '#include "engine/postgres/page.h"'
  expect_finding 'engine/repository may not include engine/postgres'
  plant engine/flow/a.cc '#include "io/file.h"'
  expect_finding 'engine/flow may not include io'
  plant engine/backup/a.cc '#include "engine/restore/plan.h"'
  expect_finding 'engine/backup may not include engine/restore'
  plant tools/pghaul/a.cc '#include "io/file.h"'
  expect_finding 'tools/pghaul may not include io'
  plant engine/verify/a.cc '  #  include   "tests/support/fake.h"'
  expect_finding 'engine/verify may not include tests'
  plant engine/wal/a.cc '#include "io/internal/ring.h"'
  expect_finding '"io/internal/ring.h" is private to io'
  plant bench/README.md 'Benchmarks.'
  plant bench/a.cc '#include "io/internal/ring.h"'
  expect_pass 'benchmarks may look inside'
  plant engine/backup/a.cc '#include "engine/wal/internal/spool.h"'
  expect_finding 'is private to engine/wal'
  plant io/a.cc '#include "file.h"'
  expect_finding '"file.h" is not named from the root'
  plant io/a.cc '#include "io/../base/result.h"'
  expect_finding 'is not named from the root'
  plant io/a.cc '#include "lib/x.h"'
  expect_finding 'there is no module lib'
  plant lib/a.cc '#include <vector>'
  expect_finding 'no module lib is known'
  plant io/a.cc '#include <lz4.h>'
  expect_finding '<lz4.h> belongs to compress, not to io'
  plant compress/a.cc '#include <openssl/evp.h>'
  expect_pass 'the owner may include its library'
  plant io/a.h '#include <liburing.h>'
  expect_finding '<liburing.h> stays out of public headers'
  plant io/a.cc '#include <boost/asio.hpp>'
  expect_finding '<boost/asio.hpp> has no owner yet'
  plant io/a.cc '#include <zlib.h>'
  expect_finding '<zlib.h> has no owner yet'
  plant base/a.h '#include <spdlog/spdlog.h>'
  expect_finding 'costs seconds a file and stays out of headers'
  plant tests/unit/io/a_test.cc '#include <nlohmann/json.hpp>'
  expect_finding '<nlohmann/json.hpp> belongs to base, not to tests'
  plant base/a.cc '#include <nlohmann/json.hpp>' '#include <nlohmann/json_fwd.hpp>'
  plant base/b.cc '#include <nlohmann/json.hpp>'
  expect_pass 'two files may include an expensive library'
  plant base/c.cc '#include <nlohmann/json.hpp>'
  expect_finding 'is included by more than two .cc files'
  plant io/a.cc '#include HAUL_HEADER'
  expect_finding 'cannot read this include'
}

test_format() {
  plant io/a.cc 'int  x;'
  expect_finding 'io/a.cc:1:4: error: code should be clang-formatted'
  plant io/a.h 'int* f(int *x);'
  expect_finding 'io/a.h:1'
  plant build/a.cc 'int  x;'
  expect_pass 'build directories are not looked at'
}

test_size() {
  lines 800 >"$tree/io/a.cc"
  lines 400 >"$tree/io/a.h"
  expect_pass 'files at the limit'
  lines 801 >"$tree/io/a.cc"
  expect_finding 'io/a.cc: 801 lines, the limit is 800'
  lines 401 >"$tree/io/a.h"
  expect_finding 'io/a.h: 401 lines, the limit is 400'
  plant io/a.cc "// $(printf 'ab %.0s' {1..32})a"
  expect_pass 'a line of 100 columns'
  plant io/a.cc "// $(printf 'ab %.0s' {1..32})ab"
  expect_finding 'io/a.cc:1: 101 columns, the limit is 100'
  plant io/a.cc "// $(printf 'äb %.0s' {1..32})ä"
  expect_pass 'columns are characters, not bytes'
  plant io/a.cc "// https://example.org/$(printf 'ab%.0s' {1..50})"
  expect_pass 'a long address in a comment'
}

test_words() {
  plant io/util.h ''
  expect_finding 'io/util.h: the name "util.h" does not say what is in it'
  plant io/file_helpers.cc ''
  expect_finding 'io/file_helpers.cc: the name'
  plant base/common/a.h ''
  expect_finding 'base/common/a.h: the name "common"'
  plant docs/misc.md ''
  expect_finding 'docs/misc.md: the name'
  plant io/utilization.h ''
  expect_pass 'a word that only begins alike'
  plant io/a.cc '' 'int x;  // TODO(someone): later'
  expect_finding 'io/a.cc:2: work left for later'
  plant tools/a 'FIXME'
  expect_finding 'tools/a:1: work left for later'
  plant docs/a.md 'Run it in /home/someone/pghaul.'
  expect_finding 'docs/a.md:1: a path of one machine'
  plant docs/a.md 'In ../work/x, /var/home/x, build/work/x and ${folder}/work/x.'
  expect_pass 'paths that only look alike'
  printf 'a\0TODO\n' >"$tree/io/a.bin"
  expect_pass 'bytes are no text'
}

test_docs() {
  plant engine/flow/pipeline.cc ''
  expect_finding 'engine/flow: has no README.md'
  lines 60 >"$tree/io/README.md"
  expect_pass 'a README of a page'
  lines 61 >"$tree/io/README.md"
  expect_finding 'io/README.md: longer than a page'
  plant docs/a.md '' 'See [this](b.md).'
  expect_finding 'docs/a.md:2: the link b.md leads nowhere'
  plant docs/a.md 'See [this](../io/README.md "title") and [that](b.md#part).'
  expect_finding 'the link b.md#part leads nowhere'
  plant docs/a.md '[this]: c.md'
  expect_finding 'docs/a.md:1: the link c.md leads nowhere'
  plant docs/a.md '```' '[not](a-link.md)' '```'
  expect_pass 'code is not looked at'
}

new_tree
expect_pass 'as made'
"test_$lint"
if [[ $failures -gt 0 ]]; then exit 1; fi
printf 'lint.%s finds what was planted\n' "$lint"
