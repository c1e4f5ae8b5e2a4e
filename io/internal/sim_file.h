// Handles on a simulated disk: what files and directories have in common, and the files.
//
// Threads:  see io/sim_directory.h.
// Errors:   io (what the plan injects, no power, a handle from before a crash), no_space.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "io/directory.h"
#include "io/file.h"
#include "io/internal/sim_state.h"

namespace haul::io::internal {

using SimStatePointer = std::shared_ptr<SimDisk::State>;

// "cannot <verb> <name>", as the plan has it.
Error sim_failure(SimFault::Kind kind, std::string_view verb, const std::string& name);

FileInfo sim_file_info(const SimInode& inode, SimInodeId id);

// A handle on the disk: dead after a crash.
class SimHandle {
 public:
  SimHandle(SimStatePointer state, SimInodeId inode, std::string name)
      : state_(std::move(state)),
        inode_(inode),
        generation_(state_->generation),
        shown_(std::move(name)) {}

 protected:
  Status check_running() const { return state_->check_running(generation_); }
  SimInode& inode() { return state_->at(inode_); }

  // Carries a mutating operation out, unless the plan has something for it. The caller holds the
  // mutex. The power may fail with the operation half done: its changes are then among those that a
  // crash keeps or loses.
  template <typename Effect>
  Status mutate(std::string_view verb, const std::string& name, Effect effect) {
    HAUL_TRY(check_running());
    const std::optional<SimFault::Kind> fault = state_->next_operation();
    if (!fault || *fault == SimFault::Kind::short_write) return effect();
    if (*fault == SimFault::Kind::power_loss) {
      std::ignore = effect();
      state_->power_is_lost = true;
    }
    return sim_failure(*fault, verb, name);
  }

  // fsync of a file or a directory. Cut by the power it has promised nothing; failed it has lost
  // what it should have kept.
  Status sync_inode(SimInode& synced, SimBreakage::Kind ignored_by, const std::string& name);

  const SimStatePointer state_;
  const SimInodeId inode_;
  const std::uint64_t generation_;
  std::string shown_;  // for messages
};

class SimFile final : public File, private SimHandle {
 public:
  SimFile(SimStatePointer state, SimInodeId inode, std::string name, Caching caching)
      : SimHandle(std::move(state), inode, std::move(name)), direct_(caching == Caching::direct) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteSpan into) override;
  Status write_at(std::uint64_t offset, ByteSpan from) override;
  Status resize(std::uint64_t size_bytes) override;
  Status preallocate(std::uint64_t size_bytes) override;
  Status end_direct() override;
  Status set_mode(std::uint32_t mode) override;
  Status set_owner(std::uint32_t user, std::uint32_t group) override;
  Result<FileInfo> info() override;
  Status sync() override;
  Status finish() override;
  std::optional<int> descriptor() const override { return std::nullopt; }

  void set_temporary() { naming_ = Naming::temporary; }
  bool is_temporary() const { return naming_ == Naming::temporary; }
  void set_published(std::string name);
  SimInodeId inode_id() const { return inode_; }
  bool is_on(const SimStatePointer& state) const { return state_ == state; }

 private:
  enum class Naming { named, temporary };

  Status check_usable(std::string_view verb, std::uint64_t offset, ByteSpan bytes) const;
  template <typename Effect>
  Status change(std::string_view verb, Effect effect);

  bool direct_ = false;
  bool closed_ = false;
  Naming naming_ = Naming::named;
};

}  // namespace haul::io::internal
