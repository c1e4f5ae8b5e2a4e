// The places a restore writes to: the data directory, and each tablespace that lies elsewhere.
//
// Paths of the tree ("pg_tblspc/16385/PG_15_202209061/5/16390") are resolved to the root that holds
// them; nothing outside these roots is ever created, but for the directories that lead to them.
//
// Memory:   one open directory per tablespace.
// Threads:  resolve() and the directories from any thread; everything else one owner at a time.
// Errors:   usage (a place that is not vacant, unsuited, or shared by two roots; a mapping that
// fits
//           nothing), server_state (a server runs in the data directory), corrupt (recorded places
//           that make no sense), and what creating directories gives.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/postgres/postmaster_pid.h"
#include "engine/restore/marker.h"
#include "engine/restore/restore.h"

namespace haul::restore {

struct TablespacePlace {
  std::uint32_t oid = 0;
  std::string from;  // recorded; absolute
  std::string to;    // absolute
};

struct TargetLayout {
  std::string data_directory;                // absolute, tidy
  std::vector<TablespacePlace> tablespaces;  // but for those in place
  // Of a delta restore: where the cluster has tablespaces now that come to lie elsewhere, or that
  // the backup has not. Absolute; what they hold of the cluster is removed.
  std::vector<std::string> abandoned = {};
};

// "pg_tblspc/16385"
std::string tablespace_path(std::uint32_t oid);
// The tablespace that a path lies in or is; nothing for other paths.
std::optional<std::uint32_t> tablespace_of(std::string_view path);

// Decides where everything goes; looks at nothing.
Result<TargetLayout> make_layout(const RestoreOptions& options, const postgres::BackupFacts& facts);

// Every place is absent or an empty directory, and no two are one. Changes nothing.
Status check_vacant(const TargetLayout& layout, const DirectoryOpener& open,
                    postgres::ProcessProbe& processes);

// The same of one tablespace.
Status check_vacant_tablespace(const TablespacePlace& place, const DirectoryOpener& open);
// By their names, which are tidy.
bool is_same_or_beneath(std::string_view path, std::string_view directory);

// What is created looks like this.
struct CreationRules {
  std::uint32_t directory_mode = 0700;  // of the roots; an upper bound for all others
  std::uint32_t file_mode = 0600;       // an upper bound
  std::optional<io::FileOwner> owner;

  // The bounds for what a tree names: never without rights for the owner, never setuid.
  std::uint32_t directory_mode_of(std::uint32_t recorded) const {
    return 0700 | (recorded & directory_mode);
  }
  std::uint32_t file_mode_of(std::uint32_t recorded) const { return 0600 | (recorded & file_mode); }
};

class Target {
 public:
  struct Options {
    CreationRules rules;
    Marker marker;
    // A marker that is there already is replaced.
    bool is_delta = false;
  };
  // Makes what is missing of the roots, durably, and the marker in the data directory first of all.
  static Result<std::unique_ptr<Target>> create(const TargetLayout& layout, const Options& options,
                                                const DirectoryOpener& open);

  struct Place {
    io::Directory* directory = nullptr;
    std::string path;  // empty: the root itself
  };
  Place resolve(std::string_view path) const;

  io::Directory& data_directory() const { return *data_directory_; }
  const TargetLayout& layout() const { return layout_; }
  const CreationRules& rules() const { return rules_; }

  // With owner and bounded mode; not durable. Of a root: nothing to do. adopt_directory(): one that
  // is there already.
  Status adopt_directory(std::string_view path, std::uint32_t recorded_mode);
  Status make_directory(std::string_view path, std::uint32_t recorded_mode);
  // A file that must not exist; the mode is bounded. finish_file() gives it its owner.
  Result<std::unique_ptr<io::File>> create_file(std::string_view path, std::uint32_t recorded_mode,
                                                io::Caching caching);
  enum class Access { look, update };
  // A file that is there already, whose mode becomes that of a new one unless it is only looked at.
  // Null: it is not there. What may not be opened is removed.
  Result<std::unique_ptr<io::File>> open_earlier(std::string_view path, std::uint32_t recorded_mode,
                                                 io::Caching caching, Access access);
  enum class Sync {
    now,
    // The file is one of many: make_durable() follows, and may be cheaper for all of them at once.
    by_make_durable,
  };
  // Owner, sync, close.
  Status finish_file(io::File& file, std::string_view path, Sync sync) const;
  // All of a small file at once, durable but for its name.
  Status write_file(std::string_view path, std::uint32_t recorded_mode, ByteSpan content);

  // True where make_durable() syncs every file by itself, so that finish_file() is quick.
  bool syncs_files_at_once() const;
  // Everything that was made in the roots survives a crash: their file systems are synced where
  // that is certain to report what was lost, elsewhere `directories`, from the last to the first.
  Status make_durable(const std::vector<std::string>& directories);
  // The names in the roots themselves.
  Status sync_roots();
  // Durable when it returns.
  Status remove_marker();

 private:
  Target(const TargetLayout& layout, const CreationRules& rules) : layout_(layout), rules_(rules) {}
  Status write_marker(const Options& options);
  std::vector<io::Directory*> roots() const;

  const TargetLayout layout_;
  const CreationRules rules_;
  // Opened before anything is written beneath: from then on a lost write is reported.
  std::unique_ptr<io::Directory> data_directory_;
  std::map<std::uint32_t, std::unique_ptr<io::Directory>> tablespaces_;
};

}  // namespace haul::restore
