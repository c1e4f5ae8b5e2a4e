#!/usr/bin/env bash
#
# The layers: which module may include which, and who owns which library (CONTRIBUTING.md, "Map").
# A new edge needs a decision record before a line here.

# shellcheck source=tests/lint/sources.sh
source "$(dirname "${BASH_SOURCE[0]}")/sources.sh" "$@"

# module: what it may include besides itself
allowed='
base:
io: base
compress: base
engine/flow: base
engine/postgres: base io
engine/repository: base io compress
engine/wal: base io compress engine/postgres engine/repository
engine/backup: base io compress engine/postgres engine/repository engine/wal engine/flow
engine/restore: base io compress engine/postgres engine/repository engine/wal engine/flow
engine/verify: base io compress engine/postgres engine/repository engine/wal engine/flow engine/restore
tools/pghaul: base engine/flow engine/postgres engine/repository engine/wal engine/backup engine/restore engine/verify
bench: base io compress engine/flow engine/postgres engine/repository engine/wal engine/backup engine/restore engine/verify
tests: base io compress engine/flow engine/postgres engine/repository engine/wal engine/backup engine/restore engine/verify tools/pghaul bench
'

# header (a prefix ends in /): its owner. Only the owner's .cc files and internal/ headers include
# it. The expensive ones cost 7 to 18 s a file under sanitizers and appear in two .cc files at most.
owners='
fmt/ base
spdlog/ base expensive
nlohmann/ base expensive
liburing.h io
liburing/ io
curl/ io
lz4.h compress
lz4frame.h compress
lz4hc.h compress
zstd.h compress
zstd_errors.h compress
xxhash.h compress
xxh3.h compress
xxh_x86dispatch.h compress
xxh_x86dispatch.h compress
blake3.h compress
openssl/ compress
tbb/ engine/flow
oneapi/ engine/flow
libpq-fe.h engine/postgres
libpq/ engine/postgres
postgres_ext.h engine/postgres
CLI/ tools/pghaul expensive
toml++/ tools/pghaul expensive
gtest/ tests
gmock/ tests
fuse.h tests
fuse_lowlevel.h tests
fuse3/ tests
benchmark/ bench
'

# Headers of the system that have no module's name: folders, and those in /usr/include itself.
system_headers='
arpa/ asm/ bits/ ext/ linux/ net/ netinet/ sanitizer/ sys/
aio.h arm_neon.h cpuid.h cxxabi.h dirent.h dlfcn.h elf.h endian.h err.h errno.h execinfo.h fcntl.h
fnmatch.h ftw.h getopt.h glob.h grp.h ifaddrs.h immintrin.h inttypes.h libgen.h limits.h link.h
malloc.h math.h mntent.h netdb.h nmmintrin.h poll.h pthread.h pwd.h sched.h semaphore.h setjmp.h
signal.h spawn.h stdarg.h stddef.h stdint.h stdio.h stdlib.h string.h strings.h syscall.h syslog.h
sysexits.h termios.h time.h ucontext.h unistd.h utime.h wchar.h x86intrin.h
'

# Prints "file:line:header" for every include; header keeps its < or ".
includes() {
  cpp_files | tr '\n' '\0' |
    xargs -0 -r grep -HnE '^[[:space:]]*#[[:space:]]*include' -- /dev/null |
    sed -E 's/^([^:]*):([0-9]+):[[:space:]]*#[[:space:]]*include(_next)?[[:space:]]*([<"][^>"]*).*$/\1:\2:\4/'
}

includes | awk -F: -v allowed="$allowed" -v owners="$owners" -v system_headers="$system_headers" '
  function module_of(path, parts, n) {
    n = split(path, parts, "/")
    if (n > 2 && (parts[1] == "engine" || parts[1] == "tools")) return parts[1] "/" parts[2]
    return parts[1]
  }
  function finding(message) { print $1 ":" $2 ": " message }
  # The table key that is the header or a folder above it, or nothing.
  function key_of(table, header, folder) {
    if (header in table) return header
    folder = header
    if (sub("/.*", "/", folder) && folder in table) return folder
    return ""
  }
  function check_own(header, from, to, private_to) {
    if (header !~ "/" || header ~ "(^|/)\\.\\.?(/|$)") {
      finding("\"" header "\" is not named from the root")
      return
    }
    to = module_of(header)
    if (!(to in modules)) {
      finding("\"" header "\": there is no module " to)
    } else if (from != to && !((from, to) in edges)) {
      finding(from " may not include " to " (\"" header "\")")
    } else if (header ~ "/internal/") {
      private_to = header
      sub("/internal/.*", "/", private_to)
      if (from != "tests" && from != "bench" && index($1, private_to) != 1)
        finding("\"" header "\" is private to " substr(private_to, 1, length(private_to) - 1))
    }
  }
  function check_foreign(header, from, key, is_header) {
    is_header = $1 ~ "\\.h$"
    key = key_of(owner, header)
    if (key == "") {
      if (header ~ "[./]" && key_of(is_system, header) == "")
        finding("<" header "> has no owner yet; name one in tests/lint/layers.sh")
      return
    }
    if (key in expensive) {
      if (is_header) finding("<" header "> costs seconds a file and stays out of headers")
      else if (!(($1, key) in counted)) {
        counted[$1, key] = 1
        if (++files[key] > 2) finding("<" header "> is included by more than two .cc files")
      }
    }
    # Tests may compare with the libraries themselves.
    if (from == "tests" && !(key in expensive)) return
    if (owner[key] != from) finding("<" header "> belongs to " owner[key] ", not to " from)
    else if (is_header && $1 !~ "/internal/" && from != "tests" && $1 != "base/format.h")
      finding("<" header "> stays out of public headers")
  }
  BEGIN {
    n = split(allowed, rows, "\n")
    for (i = 1; i <= n; i++) {
      if (split(rows[i], columns, " ") == 0) continue
      from = substr(columns[1], 1, length(columns[1]) - 1)
      modules[from] = 1
      for (j = 2; j in columns; j++) edges[from, columns[j]] = 1
    }
    n = split(owners, rows, "\n")
    for (i = 1; i <= n; i++) {
      if (split(rows[i], columns, " ") < 2) continue
      owner[columns[1]] = columns[2]
      if (3 in columns) expensive[columns[1]] = 1
    }
    n = split(system_headers, names, "[ \n]+")
    for (i = 1; i <= n; i++) if (names[i] != "") is_system[names[i]] = 1
  }
  {
    from = module_of($1)
    if (!(from in modules)) {
      if (!(from in reported)) finding("no module " from " is known to tests/lint/layers.sh")
      reported[from] = 1
      next
    }
    header = substr($3, 2)
    if ($3 ~ /^"/) check_own(header, from)
    else if ($3 ~ /^</) check_foreign(header, from)
    else finding("cannot read this include")
  }
' | no_findings
