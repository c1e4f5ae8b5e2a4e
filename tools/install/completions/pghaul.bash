# Completion of pghaul for bash.
# shellcheck shell=bash

_pghaul() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local commands='init backup info ls cat restore verify'
  local options=''
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$current")
    return
  fi
  case $previous in
    -c | --checkpoint)
      mapfile -t COMPREPLY < <(compgen -W 'fast spread' -- "$current")
      return
      ;;
    -Z | --compress)
      mapfile -t COMPREPLY < <(compgen -W 'lz4 zstd none' -- "$current")
      return
      ;;
    --wal)
      mapfile -t COMPREPLY < <(compgen -W 'auto include' -- "$current")
      return
      ;;
  esac
  case ${COMP_WORDS[1]} in
    init) options='--repo --chunk-pages --pack-size --json --verbose --quiet --config --help' ;;
    backup) options='--repo --cluster --pgdata --dbname --host --port --username --no-password
      --jobs --checkpoint --compress --rate --io --label --wal --offline --dry-run --progress
      --json --verbose --quiet --config --help' ;;
    info) options='--repo --cluster --json --verbose --quiet --config --help' ;;
    ls) options='--repo --cluster --json --verbose --quiet --config --help' ;;
    cat) options='--repo --cluster --verbose --quiet --config --help' ;;
    restore) options='--repo --cluster --pgdata --tablespace-mapping --owner --jobs --io
      --dry-run --progress --json --verbose --quiet --config --help' ;;
    verify) options='--repo --cluster --jobs --data --progress --json --verbose --quiet --config
      --help' ;;
  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}

complete -o filenames -F _pghaul pghaul
