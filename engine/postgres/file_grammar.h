// What every name in a data directory means to a backup: copied, page by page or opaque, or left
// out.
//
// Paths are relative to the data directory; what lies in a tablespace is named through its link, as
// in "pg_tblspc/16385/PG_15_202209061/5/16390", wherever the tablespace is and also when it is in
// place. Pure functions: nothing here touches a file system.
//
// Threads:  functions from any thread.
// Format:   PostgreSQL's basebackup.c (exclusions) and relpath.c (names), 13 to 18.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/types.h"
#include "io/file.h"

namespace haul::postgres {

enum class Fork : std::uint8_t { main, fsm, vm, init };

// "main", "fsm", "vm" or "init".
std::string_view to_string(Fork fork);

// One segment file of one fork of one relation.
struct RelationFile {
  std::string directory;  // "global", "base/5", "pg_tblspc/16385/PG_15_202209061/5"
  std::uint32_t relfilenode = 0;
  Fork fork = Fork::main;
  std::uint32_t segment = 0;

  // Restore and backup order: neighbours on disk and in the tree.
  auto operator<=>(const RelationFile&) const = default;

  // The number of the file's first block within its fork, which page checksums take in.
  std::uint32_t first_block(std::uint32_t relation_segment_blocks) const {
    return segment * relation_segment_blocks;
  }
};

// What a server says that was started by a restore; no part of the cluster.
inline constexpr std::string_view kStartLogName = "pghaul-start.log";

// Nothing for a temporary relation or any other name. Strict: no leading zeros, numbers fit 32
// bits.
std::optional<RelationFile> parse_relation_file(std::string_view path);

// True for "global", a database's directory in base/, and one in a tablespace.
bool is_relation_directory(std::string_view path);
// True for a relation of a session, "t<backend>_<relfilenode>[_fork][.segment]"; a name, no path.
bool is_temporary_relation_name(std::string_view name);

enum class FileClass : std::uint8_t {
  relation,                     // copied; pages with checksums where the cluster has them on
  opaque,                       // copied as it is
  control_file,                 // global/pg_control: copied last, through read_control_file()
  directory,                    // entered
  tablespace_link,              // pg_tblspc/<oid>: entered through its target or as a directory
  wal_directory,                // pg_wal: kept, empty but for its own subdirectories, kept empty
  contents_excluded_directory,  // kept with its mode, not entered
  link,                         // a link elsewhere: recorded, not followed
  special,                      // socket, FIFO, device: skipped with a warning, never opened
  excluded,                     // left out, whatever it is
};

std::string_view to_string(FileClass file_class);

// Classifies one name; `kind` is the entry's own, a link not followed. Unlogged relations are
// `relation` here: what recovery resets shows only when the whole directory is known. Links that
// stand for pg_wal or for a directory whose contents are excluded get that directory's class: a
// backup makes them directories.
FileClass classify(std::string_view path, io::FileKind kind);

// May a listed name be gone when it is opened? Relations are dropped, SLRU segments truncated and
// logs rotated while a backup runs, and replay brings back or removes what counts.
enum class Vanishing : std::uint8_t {
  tolerated,
  // PG_VERSION and pg_filenode.map of a database: only together with their directory (DROP DATABASE
  // removes file after file, so the directory may outlive them for moments). Else data is lost.
  with_directory,
  never,
};

Vanishing vanishing(std::string_view path);
// vanishing(path) == Vanishing::tolerated.
bool may_vanish(std::string_view path);

// Order of files in a tree: relation files by (directory, relfilenode, fork, segment), which sorts
// 9 before 10, everything else by name; within one directory relation files come last.
bool path_less(std::string_view left, std::string_view right);

}  // namespace haul::postgres
