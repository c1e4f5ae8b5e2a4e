#!/usr/bin/env bash
#
# Every module has a README of at most a page, and every relative link in Markdown leads somewhere.

# shellcheck source=tests/lint/sources.sh
source "$(dirname "${BASH_SOURCE[0]}")/sources.sh" "$@"

readonly page_lines=60

readmes() {
  local folder
  for folder in base io compress engine/*/ tools/pghaul bench tests; do
    folder=${folder%/}
    [[ -d $folder ]] || continue
    if [[ ! -f $folder/README.md ]]; then
      printf '%s: has no README.md\n' "$folder"
    elif [[ $(wc -l <"$folder/README.md") -gt $page_lines ]]; then
      printf '%s/README.md: longer than a page of %d lines\n' "$folder" "$page_lines"
    fi
  done
}

# Prints "file:line:target" for each inline or reference link outside of code.
links() {
  # shellcheck disable=SC2016  # awk's $, not the shell's
  tree_files -name '*.md' | tr '\n' '\0' | xargs -0 -r awk '
    FNR == 1 { code = 0 }
    /^[ \t]*(```|~~~)/ { code = !code; next }
    code { next }
    {
      text = $0
      gsub(/`[^`]*`/, "", text)
      if (match(text, /^ ? ? ?\[[^\]]+\]:[ \t]*[^ \t]+/)) {
        target = substr(text, RSTART, RLENGTH)
        sub(/^[^:]*:[ \t]*/, "", target)
        print FILENAME ":" FNR ":" target
      }
      while (match(text, /\]\([^()]*(\([^()]*\)[^()]*)*\)/)) {
        target = substr(text, RSTART + 2, RLENGTH - 3)
        text = substr(text, RSTART + RLENGTH)
        sub(/[ \t]+"[^"]*"$/, "", target)
        gsub(/^<|>$/, "", target)
        print FILENAME ":" FNR ":" target
      }
    }'
}

broken_links() {
  # shellcheck disable=SC2016  # awk's $, not the shell's
  local file line target path
  while IFS=: read -r file line target; do
    case $target in
      http://* | https://* | mailto:* | '#'*) continue ;;
    esac
    path=$(dirname "$file")/${target%%#*}
    [[ -e $path ]] || printf '%s:%s: the link %s leads nowhere\n' "$file" "$line" "$target"
  done
}

{
  readmes
  links | broken_links
} | no_findings
