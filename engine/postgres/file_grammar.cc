#include "engine/postgres/file_grammar.h"

#include <algorithm>
#include <array>

#include "engine/postgres/control_file.h"
#include "engine/postgres/internal/text.h"

namespace haul::postgres {
namespace {

constexpr std::string_view kTablespacePrefix = "pg_tblspc/";
constexpr std::string_view kBasePrefix = "base/";
constexpr std::string_view kGlobal = "global";
// Files and directories of sorts and hashes that did not fit memory, wherever they are.
constexpr std::string_view kTemporaryFilesPrefix = "pgsql_tmp";
// Rebuilt at start, also its temporary copies "pg_internal.init.<pid>".
constexpr std::string_view kRelationCachePrefix = "pg_internal.init";
// What a file manager leaves behind; the server's own tools skip it too.
constexpr std::string_view kDesktopFile = ".DS_Store";

// Removed or rebuilt when a server starts. Only these directories at the top: elsewhere a name like
// theirs is the user's and is kept, though basebackup.c would empty it.
constexpr std::array<std::string_view, 7> kContentsExcluded = {
    "pg_stat_tmp", "pg_replslot",  "pg_dynshmem", "pg_notify",
    "pg_serial",   "pg_snapshots", "pg_subtrans"};

// At the top only. backup_label and tablespace_map come from pg_backup_stop, never from a file.
constexpr std::array<std::string_view, 10> kExcludedFiles = {
    "postmaster.pid",       "postmaster.opts",  "postgresql.auto.conf.tmp", "backup_label",
    "current_logfiles.tmp", "backup_label.old", "tablespace_map",           "tablespace_map.old",
    "backup_manifest",      kStartLogName};

constexpr std::array<std::string_view, 2> kWalSubdirectories = {"pg_wal/archive_status",
                                                                "pg_wal/summaries"};

// Directories whose files come and go while the server runs, their names being the server's own:
// SLRU segments, prepared transactions, logical decoding's state, statistics, logs.
constexpr std::array<std::string_view, 8> kTransientPrefixes = {
    "pg_xact/",    "pg_multixact/", "pg_commit_ts/", "pg_twophase/",
    "pg_logical/", "pg_stat/",      "log/",          "pg_log/"};

template <std::size_t kCount>
bool contains(const std::array<std::string_view, kCount>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::string_view base_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

// "PG_15_202209061": what one release calls its directory in a tablespace.
bool is_tablespace_version_directory(std::string_view name) {
  std::string_view rest = name;
  if (take_until(rest, '_') != "PG") return false;
  const auto major = parse_oid(take_until(rest, '_'));
  const auto catalog = parse_oid(rest);
  return major && catalog;
}

// "pg_tblspc/<oid>"
bool is_tablespace(std::string_view path) {
  return path.starts_with(kTablespacePrefix) &&
         parse_oid(path.substr(kTablespacePrefix.size())).has_value();
}

std::optional<Fork> parse_fork(std::string_view suffix) {
  if (suffix == "fsm") return Fork::fsm;
  if (suffix == "vm") return Fork::vm;
  if (suffix == "init") return Fork::init;
  return std::nullopt;
}

struct RelationName {
  std::uint32_t relfilenode = 0;
  Fork fork = Fork::main;
  std::uint32_t segment = 0;
};

std::optional<RelationName> parse_relation_name(std::string_view name) {
  RelationName parsed;
  const std::size_t dot = name.find('.');
  if (dot != std::string_view::npos) {
    const auto segment = parse_oid(name.substr(dot + 1));
    if (!segment) return std::nullopt;
    parsed.segment = *segment;
    name = name.substr(0, dot);
  }
  const std::size_t underscore = name.find('_');
  if (underscore != std::string_view::npos) {
    const auto fork = parse_fork(name.substr(underscore + 1));
    if (!fork) return std::nullopt;
    parsed.fork = *fork;
    name = name.substr(0, underscore);
  }
  const auto relfilenode = parse_oid(name);
  if (!relfilenode) return std::nullopt;
  parsed.relfilenode = *relfilenode;
  return parsed;
}

bool is_excluded(std::string_view path) {
  const std::string_view name = base_name(path);
  const std::string_view parent = parent_of(path);
  if (name.starts_with(kTemporaryFilesPrefix) || name == kDesktopFile) return true;
  if (parent.empty()) return contains(kExcludedFiles, path);
  if (!is_relation_directory(parent)) return false;
  return name.starts_with(kRelationCachePrefix) || is_temporary_relation_name(name);
}

FileClass classify_directory(std::string_view path) {
  if (path == "pg_wal") return FileClass::wal_directory;
  if (contains(kContentsExcluded, path) || contains(kWalSubdirectories, path)) {
    return FileClass::contents_excluded_directory;
  }
  return is_tablespace(path) ? FileClass::tablespace_link : FileClass::directory;
}

// A link that stands for one of the server's own directories is that directory.
FileClass classify_link(std::string_view path) {
  const FileClass as_directory = classify_directory(path);
  return as_directory == FileClass::directory ? FileClass::link : as_directory;
}

FileClass classify_regular(std::string_view path) {
  if (path == kControlFilePath) return FileClass::control_file;
  return parse_relation_file(path) ? FileClass::relation : FileClass::opaque;
}

}  // namespace

std::string_view to_string(Fork fork) {
  switch (fork) {
    case Fork::main: return "main";
    case Fork::fsm: return "fsm";
    case Fork::vm: return "vm";
    case Fork::init: return "init";
  }
  return "unknown";
}

std::string_view to_string(FileClass file_class) {
  switch (file_class) {
    case FileClass::relation: return "relation";
    case FileClass::opaque: return "opaque";
    case FileClass::control_file: return "control_file";
    case FileClass::directory: return "directory";
    case FileClass::tablespace_link: return "tablespace_link";
    case FileClass::wal_directory: return "wal_directory";
    case FileClass::contents_excluded_directory: return "contents_excluded_directory";
    case FileClass::link: return "link";
    case FileClass::special: return "special";
    case FileClass::excluded: return "excluded";
  }
  return "unknown";
}

bool is_relation_directory(std::string_view path) {
  if (path == kGlobal) return true;
  if (path.starts_with(kBasePrefix)) return parse_oid(path.substr(kBasePrefix.size())).has_value();
  if (!parse_oid(base_name(path))) return false;
  const std::string_view version_directory = parent_of(path);
  return is_tablespace_version_directory(base_name(version_directory)) &&
         is_tablespace(parent_of(version_directory));
}

bool is_temporary_relation_name(std::string_view name) {
  if (!name.starts_with('t')) return false;
  name.remove_prefix(1);
  const std::size_t underscore = name.find('_');
  if (underscore == std::string_view::npos) return false;
  const std::string_view backend = name.substr(0, underscore);
  const bool digits =
      !backend.empty() && std::ranges::all_of(backend, [](char c) { return c >= '0' && c <= '9'; });
  return digits && parse_relation_name(name.substr(underscore + 1)).has_value();
}

std::optional<RelationFile> parse_relation_file(std::string_view path) {
  const std::string_view directory = parent_of(path);
  if (!is_relation_directory(directory)) return std::nullopt;
  const auto name = parse_relation_name(base_name(path));
  if (!name) return std::nullopt;
  return RelationFile{std::string(directory), name->relfilenode, name->fork, name->segment};
}

FileClass classify(std::string_view path, io::FileKind kind) {
  if (is_excluded(path)) return FileClass::excluded;
  switch (kind) {
    case io::FileKind::directory: return classify_directory(path);
    case io::FileKind::symlink: return classify_link(path);
    case io::FileKind::regular: return classify_regular(path);
    case io::FileKind::other: return FileClass::special;
  }
  return FileClass::special;
}

Vanishing vanishing(std::string_view path) {
  if (parse_relation_file(path)) return Vanishing::tolerated;
  const std::string_view name = base_name(path);
  const std::string_view parent = parent_of(path);
  if (is_relation_directory(parent) && parent != kGlobal &&
      (name == "PG_VERSION" || name == "pg_filenode.map")) {
    return Vanishing::with_directory;
  }
  // A database is dropped with its directory, a tablespace with its link and version directory.
  if (is_relation_directory(path) && path != kGlobal) return Vanishing::tolerated;
  if (is_tablespace(path)) return Vanishing::tolerated;
  if (is_tablespace(parent) && is_tablespace_version_directory(name)) return Vanishing::tolerated;
  // Written under a temporary name, renamed when complete: by the server and by most others.
  if (name.ends_with(".tmp")) return Vanishing::tolerated;
  const bool transient = std::ranges::any_of(
      kTransientPrefixes, [&](std::string_view prefix) { return path.starts_with(prefix); });
  // The subdirectories themselves stay.
  const bool stays = path == "pg_multixact/offsets" || path == "pg_multixact/members" ||
                     path == "pg_logical/snapshots" || path == "pg_logical/mappings";
  return transient && !stays ? Vanishing::tolerated : Vanishing::never;
}

bool may_vanish(std::string_view path) { return vanishing(path) == Vanishing::tolerated; }

bool path_less(std::string_view left, std::string_view right) {
  const std::string_view left_parent = parent_of(left);
  const std::string_view right_parent = parent_of(right);
  if (left_parent != right_parent) return left_parent < right_parent;
  const auto left_file = parse_relation_file(left);
  const auto right_file = parse_relation_file(right);
  if (left_file && right_file) return *left_file < *right_file;
  if (left_file.has_value() != right_file.has_value()) return right_file.has_value();
  return left < right;
}

}  // namespace haul::postgres
