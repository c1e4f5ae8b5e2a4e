#!/usr/bin/env bash
#
# Runs the commands of README.md literally, against a scratch server.
#
#   tests/docs/readme.sh README.md PROGRAM
#
# Every ```sh block that follows a line "<!-- tested -->" is run as the server's user, with PGDATA, REPO
# and TARGET set and pghaul and the server's programs on the PATH.

set -euo pipefail

readme=$(realpath "$1")
program=$(realpath "$2")
pgbin=${PGHAUL_PG_BIN:-/usr/lib/postgresql/15/bin}

commands=$(awk '/^<!-- tested -->$/ {wanted = 1; next}
  wanted && /^```sh$/ {inside = 1; wanted = 0; next}
  /^```$/ {inside = 0}
  inside {print}' "$readme")
[[ -n $commands ]] || { echo "no tested commands in $readme" >&2; exit 1; }

scratch=$(mktemp -d /tmp/pgh.XXXXXX)
chmod 0711 "$scratch"
as_server=()
if [[ $(id -u) -eq 0 ]]; then
  as_server=(setpriv --reuid=postgres --regid=postgres --init-groups --)
  chown postgres: "$scratch"
fi
mkdir "$scratch/bin"
install -m 0755 "$program" "$scratch/bin/pghaul"
cd "$scratch"
server() {
  "${as_server[@]}" env -i PATH="$scratch/bin:$pgbin:/usr/bin:/bin" LC_ALL=C.UTF-8 HOME="$scratch" \
    PGDATA="$scratch/data" REPO="$scratch/repo" TARGET="$scratch/target" "$@"
}
clean_up() {
  if [[ -f $scratch/data/postmaster.pid ]]; then
    server pg_ctl -m immediate -w stop >/dev/null 2>&1 || true
  fi
  cd / && rm -rf -- "$scratch"
}
trap clean_up EXIT

server initdb -k -A trust -U postgres >/dev/null
server pg_ctl -l "$scratch/log" -w \
  -o "-c listen_addresses='' -c unix_socket_directories='$scratch'" start >/dev/null
server bash -euo pipefail -c "PGUSER=postgres; export PGUSER; $commands"
[[ -f $scratch/target/global/pg_control ]] || { echo "nothing was restored" >&2; exit 1; }
