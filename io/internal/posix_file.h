// File on a descriptor, and what PosixDirectory has to know about its temporary files.
//
// Threads:  see io/file.h.
// Errors:   see io/file.h; a failed sync is remembered and repeated by every later one.
#pragma once

#include <optional>
#include <string>

#include "io/directory.h"
#include "io/file.h"
#include "io/unique_fd.h"

namespace haul::io::internal {

// A file that has no final name yet.
struct TemporaryName {
  std::string directory;  // where create_temporary() was asked to put it, beneath the root
  UniqueFd parent;        // that directory, once the file has a name there
  std::string name;       // empty: nameless
};

class PosixFile final : public File {
 public:
  // `fd` may be in non-blocking mode, which ends here. `name` is for messages.
  PosixFile(UniqueFd fd, std::string name, Caching caching);
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;
  // Removes a temporary file that was not published.
  ~PosixFile() override;

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteSpan into) override;
  bool read_cached(std::uint64_t offset, MutableByteSpan into) override;
  Status write_at(std::uint64_t offset, ByteSpan from) override;
  Status resize(std::uint64_t size_bytes) override;
  Status preallocate(std::uint64_t size_bytes) override;
  Status end_direct() override;
  Status set_mode(std::uint32_t mode) override;
  Status set_owner(std::uint32_t user, std::uint32_t group) override;
  Result<FileInfo> info() override;
  Status sync() override;
  Status finish() override;
  std::optional<int> descriptor() const override { return fd_.get(); }

  // Present until the file is published.
  std::optional<TemporaryName>& temporary() { return temporary_; }
  void set_published(std::string name);

  const std::string& name() const { return name_; }
  // For rings, which transfer and sync past the functions above.
  //
  // Where to go on after `done_bytes` of a short transfer: direct mode cannot start inside a block
  // and repeats its part.
  std::size_t resume_point(std::size_t done_bytes) const;
  // False on FUSE: the kernel continues short direct transfers of io_uring there at the offset
  // where they began, and reports them as whole (seen with Linux 6.18).
  bool takes_ring_transfers();
  // The failure of a transfer at `offset`.
  Error transfer_error(int error_number, std::string_view verb, std::uint64_t offset) const;
  // What sync() returns when fsync answered `error_number`, 0 for success: a failure now, or one
  // that an earlier call was told of.
  Status note_sync(int error_number);

 private:
  int buffered_descriptor();

  UniqueFd fd_;
  UniqueFd buffered_fd_;  // of the same file when it is direct, once something was read cached
  std::string name_;
  bool direct_ = false;
  bool sync_failed_ = false;
  std::optional<bool> takes_ring_transfers_;  // from the first on
  std::optional<TemporaryName> temporary_;
};

}  // namespace haul::io::internal
