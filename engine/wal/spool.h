// Segments kept ready for a server in recovery, on its own file system: verified, unpacked, one
// file each, to be moved in place.
//
// A spool belongs to one repository, cluster, system and boot of the machine: what lies there from
// before, or for another one, is never seen. Nothing in it is synced, which is why a boot ends it.
//
// Memory:   constant.
// Threads:  one owner at a time; several processes may work on one spool.
// Errors:   permission (a directory that others could write to), and those of directories.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/repository/cluster.h"
#include "engine/repository/local_repository.h"
#include "engine/wal/wal_name.h"

namespace haul::wal {

// Beside the target of wal get, where it is not placed elsewhere.
inline constexpr std::string_view kSpoolName = "pghaul-spool";

class Spool {
 public:
  struct Place {
    std::string path;  // absolute; its last component is made if need be
    std::string name;  // within
  };
  // The spool's name within the directory given by --spool.
  static std::string name_for(const repository::Cluster& cluster, std::uint64_t system_identifier,
                              std::string_view boot_id);
  // Makes what is missing.
  static Result<Spool> open(const repository::LocalDirectoryOpener& open_directory,
                            const Place& place);

  // Where the file of this name is; a file may be gone the next moment.
  std::string path_of(std::string_view name) const { return path_ + "/" + std::string(name); }
  std::string lock_path() const { return path_of("lock"); }
  Status put(const WalName& segment, ByteSpan content);
  Result<std::vector<WalName>> segments() const;
  Status remove(const WalName& segment);

  // What a server got last. The stamp tells two requests for the same segment apart.
  struct Request {
    std::string segment;
    std::uint64_t stamp = 0;

    bool operator==(const Request&) const = default;
  };
  Status note_request(const WalName& segment);
  Result<std::optional<Request>> last_request() const;

  // Takes everything away but the lock.
  Status clear();
  // The other spools in the same place, and what makes one of them go. Only what is a spool's own
  // is ever removed.
  Result<std::vector<std::string>> others() const;
  Status remove_other(const std::string& name);

 private:
  Spool(std::unique_ptr<io::Directory> parent, std::unique_ptr<io::Directory> directory,
        const Place& place)
      : parent_(std::move(parent)),
        directory_(std::move(directory)),
        name_(place.name),
        path_(place.path + "/" + place.name) {}

  std::unique_ptr<io::Directory> parent_;
  std::unique_ptr<io::Directory> directory_;
  std::string name_;
  std::string path_;
};

}  // namespace haul::wal
