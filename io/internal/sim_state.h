// What a simulated disk remembers: for every inode the state that programs see, the state that
// survives any crash, and the changes in between, each of which a crash may keep or lose.
//
// Units:    offsets and sizes are bytes; a sector is 512 bytes.
// Threads:  the caller holds State::mutex.
// Errors:   io (what the plan injects, handles from before a crash).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/random.h"
#include "io/file.h"
#include "io/sim_directory.h"

namespace haul::io::internal {

using SimInodeId = std::uint64_t;

struct SimMetadata {
  std::uint32_t mode = 0;
  std::uint32_t user = 0;
  std::uint32_t group = 0;

  bool operator==(const SimMetadata&) const = default;
};

// A write, or with `is_resize` a new size (then `offset` is that size and `bytes` empty).
struct SimContentChange {
  std::uint64_t offset = 0;
  std::string bytes;
  bool is_resize = false;
};

// A name that began to point to another inode, or to none.
struct SimEntryChange {
  std::string name;
  std::optional<SimInodeId> inode;
};

struct SimInode {
  FileKind kind = FileKind::regular;
  SimMetadata metadata;
  SimMetadata durable_metadata;
  std::int64_t modified_ns = 0;

  // Of a regular file.
  std::string content;
  std::string durable_content;
  std::vector<SimContentChange> content_changes;

  // Of a directory.
  std::map<std::string, SimInodeId, std::less<>> entries;
  std::map<std::string, SimInodeId, std::less<>> durable_entries;
  std::vector<SimEntryChange> entry_changes;
  bool is_removed = false;

  // Of a symbolic link.
  std::string target;

  void write(std::uint64_t offset, std::string_view bytes);
  void resize(std::uint64_t size_bytes);
  void set_entry(const std::string& name, std::optional<SimInodeId> inode);
  // What fsync promises, and what its failure means: the changes until then never reach the disk,
  // although programs see them and a later fsync succeeds.
  void make_durable();
  void forget_unsynced();
};

}  // namespace haul::io::internal

namespace haul::io {

struct SimDisk::State {
  State();

  mutable std::mutex mutex;  // guards everything below
  std::unordered_map<internal::SimInodeId, internal::SimInode> inodes;
  internal::SimInodeId root = 0;
  internal::SimInodeId next_inode = 1;
  std::uint64_t operations = 0;
  std::uint64_t generation = 0;  // how often the machine was restarted
  bool power_is_lost = false;
  SimFault fault;
  SimBreakage breakage;
  FileSystemSync file_system_sync = FileSystemSync::supported;
  bool file_system_sync_failed = false;  // since the machine was started

  internal::SimInodeId make_inode(FileKind kind, std::uint32_t mode);
  internal::SimInode& at(internal::SimInodeId id) { return inodes.at(id); }
  std::int64_t now_ns() const { return static_cast<std::int64_t>(operations) * 1000; }

  // For every function of a handle from `opened_in_generation`.
  Status check_running(std::uint64_t opened_in_generation) const;
  // Counts a mutating operation; what the plan has for it.
  std::optional<SimFault::Kind> next_operation();
  void crash(std::uint64_t seed);
  std::optional<std::string> durable_content(std::string_view path) const;
};

}  // namespace haul::io
