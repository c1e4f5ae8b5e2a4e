// A simulated file system that forgets what was not synced: layer A of the fault plan.
//
// All SimDirectory roots of one SimDisk share its state. Every mutating operation is counted; a
// plan can fail the k-th with an error, or cut the power there. crash() then decides by seed, for
// every unsynced write and directory entry, whether it survived, was lost or (writes) was torn at a
// 512-byte boundary, and unsynced entries of one directory may survive in any combination. After
// crash() the disk holds the state a restarted machine would find; handles opened before fail with
// io.
//
// A file whose sync failed has lost what it should have kept, although programs go on seeing it and
// the next sync succeeds: that is what Linux does, and what makes retrying a sync a fault.
//
// Threads:  one at a time (schedules are made repeatable by the caller); a mutex guards against
//           accidents.
// Errors:   see io/directory.h, and whatever a plan injects.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "io/directory.h"

namespace haul::io {

// What goes wrong, and when. Operations are numbered from 1 in the order they reach the disk; those
// that change nothing are not counted. A short_write leaves half of the bytes and fails; it does
// nothing to an operation that is no write.
struct SimFault {
  std::uint64_t at_operation = 0;  // 0: never
  enum class Kind { power_loss, io_error, no_space, short_write } kind = Kind::power_loss;
  enum class Repeat { once, from_then_on } repeat = Repeat::once;
};

// Deliberately broken disks: the test suite must notice each (negative controls).
struct SimBreakage {
  enum class Kind {
    none,
    file_sync_is_ignored,
    directory_sync_is_ignored,
    file_system_sync_is_ignored,
    publish_replaces
  } kind = Kind::none;
};

class SimDisk {
 public:
  SimDisk();
  ~SimDisk();
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  // A root for the existing directory `path`, to which links may lead; "" is the disk's top.
  Result<std::unique_ptr<Directory>> open(const std::string& path);

  void set_fault(SimFault fault);
  void set_breakage(SimBreakage breakage);
  // Whether its file system is one that can_sync_file_system(); true at first.
  enum class FileSystemSync { supported, unsupported };
  void set_file_system_sync(FileSystemSync sync);
  std::uint64_t operations() const;
  bool power_is_lost() const;
  // The machine comes back. Clears the fault; what survives is decided by `seed`.
  void crash(std::uint64_t seed);
  // The bytes that would survive any crash now, if the file and its path are durable.
  std::optional<std::string> durable_content(const std::string& path) const;

  // Opaque; defined in io/internal/sim_state.h.
  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace haul::io
