// A directory and what lies beneath it: the only way pghaul touches a file system.
//
// Every path is relative to the root that was opened, "a/b/c" without "." or "..", and is resolved
// beneath it without following any symbolic link (openat2 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
// RESOLVE_NO_MAGICLINKS), so that nothing in a repository or a data directory can lead outside. The
// empty path names the root itself.
//
// Durability: a new name survives a crash only after sync_directory() of its parent; a file's bytes
//             only after File::sync(); sync_file_system() stands for both. The simulation
//             (io/sim_directory.h) loses everything else.
// Threads:  every function may be called from any thread.
// Errors:   not_found (also: a component that is no directory), already_exists, permission,
//           no_space, io; usage (a path that breaks the rule above, that meets a symbolic link, or
//           that names another kind of file than the function works on); busy (a directory that is
//           not empty).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "io/file.h"

namespace haul::io {

struct DirectoryEntry {
  std::string name;
  FileKind kind = FileKind::other;
};

using DirectoryEntryVisitor = std::function<Status(const DirectoryEntry&)>;

enum class Caching {
  buffered,
  // O_DIRECT where the file system has it, else buffered; the reader still aligns its requests.
  direct,
};

class Directory {
 public:
  virtual ~Directory() = default;

  // Opens an existing regular file for reading; anything else under that name is `usage`. Never
  // blocks on a FIFO.
  virtual Result<std::unique_ptr<File>> open_file(std::string_view path, Caching caching) = 0;
  // The same for reading and writing, e.g. to continue or repair a restored file.
  virtual Result<std::unique_ptr<File>> open_for_update(std::string_view path, Caching caching) = 0;
  // Creates a file that must not exist (O_EXCL), mode `mode` regardless of umask.
  virtual Result<std::unique_ptr<File>> create_file(std::string_view path, std::uint32_t mode,
                                                    Caching caching) = 0;

  // Creates a file that has no final name yet: nameless (O_TMPFILE) where the file system can, else
  // under a random unique name in `directory`. An abandoned one leaves nothing, or after a kill a
  // file "<random>.tmp".
  virtual Result<std::unique_ptr<File>> create_temporary(std::string_view directory,
                                                         Caching caching) = 0;
  // Gives a file from create_temporary() its name without replacing anything: already_exists if it
  // is taken. The caller has synced it before and syncs the parent of `path` afterwards.
  virtual Status publish(File& temporary, std::string_view path) = 0;
  // The same, atomically replacing what had the name. Only leases are ever replaced.
  virtual Status publish_over(File& temporary, std::string_view path) = 0;

  // Of the name itself: a symbolic link is reported, not followed.
  virtual Result<FileInfo> info(std::string_view path) = 0;
  // Calls `visit` with every entry but "." and "..", in no order, and ends with its first failure.
  // A name that comes or goes meanwhile may be seen or not; one that is moved, even twice.
  virtual Status for_each_entry(std::string_view path, const DirectoryEntryVisitor& visit) = 0;
  // The same at once, sorted by name: for directories that cannot be large.
  Result<std::vector<DirectoryEntry>> list(std::string_view path);
  virtual Result<std::string> read_link(std::string_view path) = 0;

  // Mode `mode` regardless of umask, at no time wider than the owner's alone or `mode`.
  virtual Status make_directory(std::string_view path, std::uint32_t mode) = 0;
  virtual Status make_link(const std::string& target, std::string_view path) = 0;
  // Of a symbolic link: its own owner. set_mode() of one is `usage`, it has none.
  virtual Status set_owner(std::string_view path, std::uint32_t user, std::uint32_t group) = 0;
  virtual Status set_mode(std::string_view path, std::uint32_t mode) = 0;
  // Removes a name that is no directory; of a symbolic link the link itself.
  virtual Status remove_file(std::string_view path) = 0;
  // `busy` when it is not empty.
  virtual Status remove_directory(std::string_view path) = 0;
  virtual Status sync_directory(std::string_view path) = 0;
  // Syncs every file and name on the file system that holds the root, whoever made them. Writes
  // that were lost since the root was opened make it fail, now and ever after. `unsupported` where
  // that is not certain: kernels before 5.8 do not report lost writes here, and neither do file
  // systems without a device of their own (network, FUSE, overlay).
  virtual Status sync_file_system() = 0;
  // False: sync_file_system() is `unsupported`. Looks at nothing that changes.
  virtual bool can_sync_file_system() = 0;

  // The directory beneath as a root of its own.
  virtual Result<std::unique_ptr<Directory>> open_directory(std::string_view path) = 0;

  // For messages: the root as the user named it.
  virtual const std::string& name() const = 0;
};

// "root/path" for messages.
std::string full_name(const Directory& directory, std::string_view path);

// True for a relative path of plain components: not empty, no leading or trailing or double slash,
// no "." or "..", no NUL.
bool is_plain_path(std::string_view path);

}  // namespace haul::io
