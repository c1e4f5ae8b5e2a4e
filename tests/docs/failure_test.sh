#!/usr/bin/env bash
#
# run_commands.sh stops at the first command that fails, and fails as that command did.
#
#   tests/docs/failure_test.sh PGHAUL

set -euo pipefail

if [[ $# -ne 1 ]]; then
  printf 'usage: %s PGHAUL\n' "$0" >&2
  exit 2
fi

page=$(mktemp)
trap 'rm -f -- "$page"' EXIT
cat >"$page" <<'PAGE'
<!-- tested -->
```sh
(exit 42)
exit 0
```
PAGE

status=0
"$(dirname "${BASH_SOURCE[0]}")/run_commands.sh" "$page" "$1" || status=$?
if [[ $status -ne 42 ]]; then
  printf 'expected status 42, not %d\n' "$status" >&2
  exit 1
fi
