#!/usr/bin/env bash
#
# Names that say nothing, work left for later, and paths of somebody's machine.

# shellcheck source=tests/lint/sources.sh
source "$(dirname "${BASH_SOURCE[0]}")/sources.sh" "$@"

vague_names() {
  tree_files | awk -F/ '{
    for (i = 1; i <= NF; i++) {
      name = tolower($i)
      sub(/\..*$/, "", name)
      if (name ~ /(^|[_-])(utils?|utilit(y|ies)|helpers?|common|misc|stuff)([_-]|$)/) {
        print $0 ": the name \"" $i "\" does not say what is in it"
        next
      }
    }
  }'
}

# Text files only: golden files are bytes. This folder names the words it forbids.
unwanted_words() {
  tree_files ! -path './tests/lint/*' ! -name LICENSE | tr '\n' '\0' |
    xargs -0 -r grep -IHnE "$1" -- /dev/null | sed -E "s,^([^:]*:[0-9]+):.*,\1: $2," || true
}

{
  vague_names
  unwanted_words '\<(TODO|FIXME|XXX|HACK)\>' 'work left for later belongs into an issue'
  unwanted_words '(^|[^[:alnum:]_./$}-])/(home|work|workspace|Users)/[[:alnum:]_.]+' \
    'a path of one machine'
} | no_findings
