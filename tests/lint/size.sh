#!/usr/bin/env bash
#
# The limits of CONTRIBUTING.md, "Size": lines of a source and of a header, columns of a line.
# The length of functions and the number of parameters are clang-tidy's to judge.

# shellcheck source=tests/lint/sources.sh
source "$(dirname "${BASH_SOURCE[0]}")/sources.sh" "$@"

# Columns are characters, which awk only counts where it knows the encoding; a byte that continues
# a UTF-8 character (10xxxxxx) is none. A line without a space cannot be broken.
check_sizes() {
  LC_ALL=C awk '
    function close_file() {
      if (name != "" && lines > limit) print name ": " lines " lines, the limit is " limit
    }
    FNR == 1 {
      close_file()
      name = FILENAME
      limit = name ~ /\.h$/ ? 400 : 800
    }
    {
      lines = FNR
      text = $0
      gsub(/[\200-\277]/, "", text)
      if (length(text) > 100 && text !~ /^[ \/*#]*[^ ]+$/)
        print name ":" FNR ": " length(text) " columns, the limit is 100"
    }
    END { close_file() }
  ' "$@" /dev/null
}

mapfile -t files < <(cpp_files)
check_sizes "${files[@]}" | no_findings
