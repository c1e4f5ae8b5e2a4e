# Completion of pghaul for bash.
# shellcheck shell=bash

_pghaul() {
  local current=${COMP_WORDS[COMP_CWORD]}
  local commands='init backup info ls cat restore verify'
  if [[ $COMP_CWORD -eq 1 ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  fi
}

complete -o filenames -F _pghaul pghaul
