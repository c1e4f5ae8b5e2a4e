// One open regular file: positioned reads and writes, sync, close with its error.
//
// Units:    offsets and sizes are bytes.
// Memory:   owns its descriptor; nothing is allocated per operation.
// Threads:  read_at and write_at from any thread at once; everything else one owner at a time, also
//           beside them.
// Errors:   io, no_space, permission.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/types.h"

namespace haul::io {

enum class FileKind : std::uint8_t { regular, directory, symlink, other };

struct FileInfo {
  FileKind kind = FileKind::other;
  std::uint64_t size_bytes = 0;
  std::uint32_t mode = 0;  // permission bits only (07777)
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t modified_ns = 0;  // since the Unix epoch
};

class File {
 public:
  virtual ~File() = default;  // abandons: closes without reporting

  // Fills `into` from `offset`; the count is short only at the end of the file. Interrupted and
  // short system calls are continued. A file opened direct needs offset, address and size aligned
  // to kDirectAlignment.
  virtual Result<std::size_t> read_at(std::uint64_t offset, MutableByteSpan into) = 0;
  // Fills `into` from the page cache if all of it is there, without waiting for the device, whether
  // opened direct or not. False where it is not, and where that cannot be told: Linux before 6.5,
  // somebody else's file, anything but a file of the operating system.
  virtual bool read_cached(std::uint64_t /*offset*/, MutableByteSpan /*into*/) { return false; }
  // Writes all of `from` or fails. Same alignment rule.
  virtual Status write_at(std::uint64_t offset, ByteSpan from) = 0;
  virtual Status resize(std::uint64_t size_bytes) = 0;
  // Reserves disk space without changing the size; ok where the file system cannot.
  virtual Status preallocate(std::uint64_t size_bytes) = 0;
  // Ends direct mode, e.g. to write an unaligned tail.
  virtual Status end_direct() = 0;
  virtual Status set_mode(std::uint32_t mode) = 0;
  virtual Status set_owner(std::uint32_t user, std::uint32_t group) = 0;
  virtual Result<FileInfo> info() = 0;

  // fsync: data and metadata are on the device. After a failure the content is unknown and the file
  // must be written anew under another name; syncing again would prove nothing and fails.
  virtual Status sync() = 0;
  // Closes and reports what close reported. The file is unusable afterwards whatever the answer.
  virtual Status finish() = 0;

  // For rings that need one; absent in simulations.
  virtual std::optional<int> descriptor() const = 0;
};

}  // namespace haul::io
