// The directories a backup reads: the data directory, each tablespace's own place, pg_wal wherever
// it is.
//
// Paths are as PostgreSQL names them beneath the data directory
// ("pg_tblspc/16385/PG_15_202209061/5/16390"), wherever they lie.
//
// Memory:   one open directory per tablespace.
// Threads:  open_file() and for_each_entry() from any thread once opened.
// Errors:   not_found, permission, io; server_state (a tablespace link that leads nowhere).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/postgres/backup_facts.h"
#include "engine/postgres/control_file.h"
#include "io/directory.h"

namespace haul::backup {

using DirectoryOpener = std::function<Result<std::unique_ptr<io::Directory>>(const std::string&)>;

class SourceTree {
 public:
  // Opens the data directory and everything its links for tablespaces and pg_wal lead to. `open`
  // takes absolute paths.
  static Result<std::unique_ptr<SourceTree>> open(const std::string& data_directory,
                                                  const DirectoryOpener& open,
                                                  const postgres::ControlFile& control);

  io::Directory& data_directory() { return *data_directory_; }
  io::Directory& wal_directory() const {
    return wal_directory_ ? *wal_directory_ : *plain_wal_directory_;
  }
  const std::vector<postgres::TablespaceFact>& tablespaces() const { return tablespaces_; }
  // "PG_15_202209061": the only directory in a tablespace that belongs to this cluster.
  const std::string& tablespace_version_directory() const { return version_directory_; }

  // The directory that holds `path`, and the path beneath it.
  struct Place {
    io::Directory* directory = nullptr;
    std::string path;
  };
  Place resolve(const std::string& path) const;

  // See io::Directory.
  Status for_each_entry(const std::string& path, const io::DirectoryEntryVisitor& visit) const;
  Result<io::FileInfo> info(const std::string& path) const;
  Result<std::unique_ptr<io::File>> open_file(const std::string& path) const;

 private:
  SourceTree() = default;
  Status open_tablespace(const std::string& name, io::FileKind kind, const DirectoryOpener& open);
  Status open_wal_directory(const std::string& data_directory, const DirectoryOpener& open);

  std::unique_ptr<io::Directory> data_directory_;
  std::unique_ptr<io::Directory> plain_wal_directory_;
  std::unique_ptr<io::Directory> wal_directory_;  // where pg_wal is a link
  std::map<std::string, std::unique_ptr<io::Directory>, std::less<>>
      linked_tablespaces_;  // by "pg_tblspc/<oid>"
  std::vector<postgres::TablespaceFact> tablespaces_;
  std::string version_directory_;
};

}  // namespace haul::backup
