#include "io/internal/sim_file.h"

#include <algorithm>
#include <cerrno>

#include "io/aligned_buffer.h"
#include "io/internal/posix_calls.h"

namespace haul::io::internal {

Error sim_failure(SimFault::Kind kind, std::string_view verb, const std::string& name) {
  return path_error(kind == SimFault::Kind::no_space ? ENOSPC : EIO, verb, name);
}

FileInfo sim_file_info(const SimInode& inode, SimInodeId id) {
  FileInfo info;
  info.kind = inode.kind;
  info.size_bytes = inode.kind == FileKind::symlink ? inode.target.size() : inode.content.size();
  info.mode = inode.metadata.mode;
  info.user = inode.metadata.user;
  info.group = inode.metadata.group;
  info.device = 1;
  info.inode = id;
  info.modified_ns = inode.modified_ns;
  return info;
}

Status SimHandle::sync_inode(SimInode& synced, SimBreakage::Kind ignored_by,
                             const std::string& name) {
  HAUL_TRY(check_running());
  const std::optional<SimFault::Kind> fault = state_->next_operation();
  if (fault == SimFault::Kind::power_loss) {
    state_->power_is_lost = true;
    return sim_failure(*fault, "sync", name);
  }
  if (fault && *fault != SimFault::Kind::short_write) {
    synced.forget_unsynced();
    return sim_failure(*fault, "sync", name);
  }
  if (state_->breakage.kind != ignored_by) synced.make_durable();
  return ok();
}

// As strict as the strictest device in direct mode, so that no test passes by luck.
Status SimFile::check_usable(std::string_view verb, std::uint64_t offset, ByteSpan bytes) const {
  HAUL_TRY(check_running());
  if (closed_) return path_error(EBADF, verb, shown_);
  const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
  if (direct_ && (offset | address | bytes.size()) % kDirectAlignment != 0) {
    return path_error(EINVAL, verb, shown_);
  }
  return ok();
}

template <typename Effect>
Status SimFile::change(std::string_view verb, Effect effect) {
  const std::lock_guard lock(state_->mutex);
  HAUL_TRY(check_usable(verb, 0, ByteSpan()));
  return mutate(verb, shown_, [&]() -> Status {
    effect();
    return ok();
  });
}

Result<std::size_t> SimFile::read_at(std::uint64_t offset, MutableByteSpan into) {
  const std::lock_guard lock(state_->mutex);
  HAUL_TRY(check_usable("read", offset, into));
  const std::string& content = inode().content;
  if (offset >= content.size()) return std::size_t{0};
  const std::size_t count = std::min<std::uint64_t>(into.size(), content.size() - offset);
  std::ranges::copy(bytes_of(std::string_view(content).substr(offset, count)), into.begin());
  return count;
}

Status SimFile::write_at(std::uint64_t offset, ByteSpan from) {
  const std::lock_guard lock(state_->mutex);
  HAUL_TRY(check_usable("write", offset, from));
  const std::optional<SimFault::Kind> fault = state_->next_operation();
  if (fault == SimFault::Kind::io_error || fault == SimFault::Kind::no_space) {
    return sim_failure(*fault, "write", shown_);
  }
  const bool is_short = fault == SimFault::Kind::short_write;
  inode().write(offset, text_of(is_short ? from.first(from.size() / 2) : from));
  inode().modified_ns = state_->now_ns();
  if (fault == SimFault::Kind::power_loss) state_->power_is_lost = true;
  if (fault) return sim_failure(*fault, "write", shown_);
  return ok();
}

Status SimFile::resize(std::uint64_t size_bytes) {
  return change("resize", [&] { inode().resize(size_bytes); });
}

Status SimFile::preallocate(std::uint64_t) {
  return change("reserve space for", [] {});
}

Status SimFile::end_direct() {
  direct_ = false;
  return ok();
}

Status SimFile::set_mode(std::uint32_t mode) {
  return change("set the mode of", [&] { inode().metadata.mode = mode; });
}

Status SimFile::set_owner(std::uint32_t user, std::uint32_t group) {
  return change("set the owner of", [&] {
    inode().metadata.user = user;
    inode().metadata.group = group;
  });
}

Result<FileInfo> SimFile::info() {
  const std::lock_guard lock(state_->mutex);
  HAUL_TRY(check_usable("examine", 0, ByteSpan()));
  return sim_file_info(inode(), inode_);
}

Status SimFile::sync() {
  const std::lock_guard lock(state_->mutex);
  HAUL_TRY(check_usable("sync", 0, ByteSpan()));
  return sync_inode(inode(), SimBreakage::Kind::file_sync_is_ignored, shown_);
}

Status SimFile::finish() {
  Status finished = change("close", [] {});
  closed_ = true;
  return finished;
}

void SimFile::set_published(std::string name) {
  naming_ = Naming::named;
  shown_ = std::move(name);
}

}  // namespace haul::io::internal
