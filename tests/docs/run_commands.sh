#!/usr/bin/env bash
#
# Runs the tested commands of a Markdown file as a reader would: against a running PostgreSQL, as the
# user of the server, one after another until one fails.
#
#   tests/docs/run_commands.sh FILE PGHAUL
#
# The commands find pghaul and PostgreSQL's programs in PATH, a cluster in $PGDATA, and $REPO and
# $TARGET, which do not exist yet. The server is scratch, in a temporary directory, without a TCP
# port; run as root, it and the commands run as the user postgres. PGHAUL_PG_BIN names other server
# programs than the newest.

set -euo pipefail

if [[ $# -ne 2 ]]; then
  printf 'usage: %s FILE PGHAUL\n' "$0" >&2
  exit 2
fi

commands=$("$(dirname "${BASH_SOURCE[0]}")/commands_of.sh" "$1")
program=$(realpath "$2")
pg_bin=${PGHAUL_PG_BIN:-$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)}

become=()
if [[ $(id -u) -eq 0 ]]; then
  become=(setpriv --reuid=postgres --regid=postgres --init-groups --)
fi

# The socket's path must stay short.
scratch=$(mktemp -d /tmp/pgh.XXXXXX)

clean_up() {
  local status=$? directory
  trap - EXIT
  # The commands may have started a server on what they restored.
  for directory in data target; do
    if [[ -f $scratch/$directory/postmaster.pid ]]; then
      "${server[@]}" pg_ctl -D "$scratch/$directory" -m immediate -w stop >/dev/null 2>&1 || true
    fi
  done
  cd / && rm -rf --one-file-system -- "$scratch"
  exit "$status"
}
server=("${become[@]}" env -i PATH="$scratch/bin:$pg_bin:/usr/bin:/bin" LC_ALL=C.UTF-8
  HOME="$scratch" PGHOST="$scratch" PGDATABASE=postgres
  PGDATA="$scratch/data" REPO="$scratch/repo" TARGET="$scratch/target")
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mkdir -m 0755 "$scratch/bin"
install -m 0755 "$program" "$scratch/bin/pghaul"
if [[ $(id -u) -eq 0 ]]; then chown postgres: "$scratch"; fi
cd "$scratch"

"${server[@]}" initdb --data-checksums --auth=trust --no-sync >initdb.log
"${server[@]}" tee -a data/postgresql.conf >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$scratch'
fsync = off
CONF
"${server[@]}" pg_ctl -D data -l "$scratch/server.log" -w start >/dev/null || {
  cat server.log >&2
  exit 1
}
"${server[@]}" psql -X -q -c 'CREATE TABLE fact AS SELECT n FROM generate_series(1, 1000) n'

"${server[@]}" bash -euxo pipefail -c "$commands"
