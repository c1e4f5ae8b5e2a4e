#include "io/sim_directory.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <tuple>
#include <utility>

#include "base/format.h"
#include "io/internal/posix_calls.h"
#include "io/internal/sim_file.h"
#include "io/internal/sim_state.h"

namespace haul::io {
namespace {

using internal::path_error;
using internal::sim_file_info;
using internal::SimFile;
using internal::SimHandle;
using internal::SimInode;
using internal::SimInodeId;
using internal::SimStatePointer;

constexpr std::uint32_t kTemporaryMode = 0600;

SimFile& as_temporary(File& file, const SimStatePointer& state) {
  auto* sim_file = dynamic_cast<SimFile*>(&file);
  HAUL_ASSERT(sim_file != nullptr && sim_file->is_on(state) && sim_file->is_temporary());
  return *sim_file;
}

class SimDirectory final : public Directory, private SimHandle {
 public:
  SimDirectory(SimStatePointer state, SimInodeId inode, const std::string& name)
      : SimHandle(std::move(state), inode, name), name_(name) {}

  Result<std::unique_ptr<File>> open_file(std::string_view path, Caching caching) override {
    const std::lock_guard lock(state_->mutex);
    HAUL_TRY(check_running());
    const SimInodeId found = HAUL_TRY(find(path, "open"));
    if (state_->at(found).kind == FileKind::symlink) return path_error(ELOOP, "open", shown(path));
    if (state_->at(found).kind != FileKind::regular) return path_error(ENXIO, "open", shown(path));
    return std::make_unique<SimFile>(state_, found, shown(path), caching);
  }
  Result<std::unique_ptr<File>> open_for_update(std::string_view path, Caching caching) override {
    return open_file(path, caching);
  }
  Result<std::unique_ptr<File>> create_file(std::string_view path, std::uint32_t mode,
                                            Caching caching) override;
  Result<std::unique_ptr<File>> create_temporary(std::string_view directory,
                                                 Caching caching) override;
  Status publish(File& temporary, std::string_view path) override {
    return give_name(temporary, path, Taken::refuse);
  }
  Status publish_over(File& temporary, std::string_view path) override {
    return give_name(temporary, path, Taken::replace);
  }

  Result<FileInfo> info(std::string_view path) override {
    const std::lock_guard lock(state_->mutex);
    HAUL_TRY(check_running());
    const SimInodeId found = path.empty() ? inode_ : HAUL_TRY(find(path, "examine"));
    return sim_file_info(state_->at(found), found);
  }
  Status for_each_entry(std::string_view path, const DirectoryEntryVisitor& visit) override;
  Result<std::string> read_link(std::string_view path) override;

  Status make_directory(std::string_view path, std::uint32_t mode) override {
    return create_entry(path, [&] { return state_->make_inode(FileKind::directory, mode); });
  }
  Status make_link(const std::string& target, std::string_view path) override {
    return create_entry(path, [&] {
      const SimInodeId made = state_->make_inode(FileKind::symlink, 0777);
      state_->at(made).target = target;
      return made;
    });
  }
  Status set_mode(std::string_view path, std::uint32_t mode) override;
  Status set_owner(std::string_view path, std::uint32_t user, std::uint32_t group) override;
  Status remove_file(std::string_view path) override;
  Status remove_directory(std::string_view path) override;
  Status sync_directory(std::string_view path) override;
  Status sync_file_system() override;
  bool can_sync_file_system() override {
    const std::lock_guard lock(state_->mutex);
    return state_->file_system_sync == SimDisk::FileSystemSync::supported;
  }
  Result<std::unique_ptr<Directory>> open_directory(std::string_view path) override;
  const std::string& name() const override { return name_; }

 private:
  enum class Taken { refuse, replace };
  struct Place {
    SimInodeId parent = 0;
    std::string name;
  };

  std::string shown(std::string_view path) const { return full_name(*this, path); }
  Status check_plain(std::string_view path, std::string_view verb) const;
  Result<SimInodeId> find(std::string_view path, std::string_view verb);
  Result<SimInodeId> find_directory(std::string_view path, std::string_view verb);
  Result<SimInodeId> walk(std::string_view rest, std::string_view verb, const std::string& name);
  Result<Place> place_of(std::string_view path, std::string_view verb);
  Status give_name(File& temporary, std::string_view path, Taken taken);
  template <typename Make>
  Status create_entry(std::string_view path, Make make);

  const std::string name_;
};

Status SimDirectory::check_plain(std::string_view path, std::string_view verb) const {
  if (is_plain_path(path)) return ok();
  return Error(ErrorCode::usage, format("cannot {} '{}': not a plain relative path", verb, path));
}

// The inode that `path` names; a symbolic link in its last place is found, on the way it is an
// error.
Result<SimInodeId> SimDirectory::find(std::string_view path, std::string_view verb) {
  const Place place = HAUL_TRY(place_of(path, verb));
  const auto& entries = state_->at(place.parent).entries;
  const auto entry = entries.find(place.name);
  if (entry == entries.end()) return path_error(ENOENT, verb, shown(path));
  return entry->second;
}

Result<SimInodeId> SimDirectory::find_directory(std::string_view path, std::string_view verb) {
  if (!path.empty()) HAUL_TRY(check_plain(path, verb));
  return walk(path, verb, shown(path));
}

// The directory at the end of `rest`; `name` is for messages.
Result<SimInodeId> SimDirectory::walk(std::string_view rest, std::string_view verb,
                                      const std::string& name) {
  SimInodeId at = inode_;
  while (!rest.empty()) {
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    const auto& entries = state_->at(at).entries;
    const auto entry = entries.find(rest.substr(0, slash));
    rest.remove_prefix(std::min(slash + 1, rest.size()));
    if (entry == entries.end()) return path_error(ENOENT, verb, name);
    at = entry->second;
    const FileKind kind = state_->at(at).kind;
    if (kind == FileKind::symlink) return path_error(ELOOP, verb, name);
    if (kind != FileKind::directory) return path_error(ENOTDIR, verb, name);
  }
  return at;
}

Result<SimDirectory::Place> SimDirectory::place_of(std::string_view path, std::string_view verb) {
  HAUL_TRY(check_plain(path, verb));
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return Place{inode_, std::string(path)};
  const SimInodeId parent = HAUL_TRY(walk(path.substr(0, slash), verb, shown(path)));
  return Place{parent, std::string(path.substr(slash + 1))};
}

// Adds the inode that `make` makes under a name that must be free.
template <typename Make>
Status SimDirectory::create_entry(std::string_view path, Make make) {
  const std::lock_guard lock(state_->mutex);
  return mutate("create", shown(path), [&]() -> Status {
    const Place place = HAUL_TRY(place_of(path, "create"));
    if (state_->at(place.parent).is_removed) return path_error(ENOENT, "create", shown(path));
    if (state_->at(place.parent).entries.contains(place.name)) {
      return path_error(EEXIST, "create", shown(path));
    }
    const SimInodeId made = make();
    state_->at(place.parent).set_entry(place.name, made);
    return ok();
  });
}

Result<std::unique_ptr<File>> SimDirectory::create_file(std::string_view path, std::uint32_t mode,
                                                        Caching caching) {
  SimInodeId made = 0;
  HAUL_TRY(create_entry(path, [&] { return made = state_->make_inode(FileKind::regular, mode); }));
  return std::make_unique<SimFile>(state_, made, shown(path), caching);
}

Result<std::unique_ptr<File>> SimDirectory::create_temporary(std::string_view directory,
                                                             Caching caching) {
  const std::lock_guard lock(state_->mutex);
  SimInodeId made = 0;
  const auto effect = [&]() -> Status {
    HAUL_TRY(find_directory(directory, "create a file in"));
    made = state_->make_inode(FileKind::regular, kTemporaryMode);
    return ok();
  };
  HAUL_TRY(mutate("create a file in", shown(directory), effect));
  auto file = std::make_unique<SimFile>(state_, made, shown(directory) + "/(nameless)", caching);
  file->set_temporary();
  return file;
}

Status SimDirectory::give_name(File& temporary, std::string_view path, Taken taken) {
  SimFile& file = as_temporary(temporary, state_);
  const std::lock_guard lock(state_->mutex);
  const bool replaces =
      taken == Taken::replace || state_->breakage.kind == SimBreakage::Kind::publish_replaces;
  const auto effect = [&]() -> Status {
    const Place place = HAUL_TRY(place_of(path, "publish"));
    SimInode& parent = state_->at(place.parent);
    if (parent.is_removed) return path_error(ENOENT, "publish", shown(path));
    const auto entry = parent.entries.find(place.name);
    if (entry != parent.entries.end()) {
      if (!replaces) return path_error(EEXIST, "publish", shown(path));
      const bool is_directory = state_->at(entry->second).kind == FileKind::directory;
      if (is_directory) return path_error(EISDIR, "publish", shown(path));
    }
    parent.set_entry(place.name, file.inode_id());
    return ok();
  };
  HAUL_TRY(mutate("publish", shown(path), effect));
  file.set_published(shown(path));
  return ok();
}

// Entries are visited unlocked: a visitor may use the disk.
Status SimDirectory::for_each_entry(std::string_view path, const DirectoryEntryVisitor& visit) {
  std::vector<DirectoryEntry> entries;
  {
    const std::lock_guard lock(state_->mutex);
    HAUL_TRY(check_running());
    const SimInodeId found = HAUL_TRY(find_directory(path, "list"));
    for (const auto& [name, child] : state_->at(found).entries) {
      entries.push_back({name, state_->at(child).kind});
    }
  }
  for (const DirectoryEntry& entry : entries) HAUL_TRY(visit(entry));
  return ok();
}

Result<std::string> SimDirectory::read_link(std::string_view path) {
  const std::lock_guard lock(state_->mutex);
  HAUL_TRY(check_running());
  const SimInode& found = state_->at(HAUL_TRY(find(path, "read the link")));
  if (found.kind == FileKind::symlink) return found.target;
  return Error(ErrorCode::usage, format("{} is not a symbolic link", shown(path)));
}

Status SimDirectory::set_mode(std::string_view path, std::uint32_t mode) {
  constexpr std::string_view kVerb = "set the mode of";
  const std::lock_guard lock(state_->mutex);
  return mutate(kVerb, shown(path), [&]() -> Status {
    SimInode& found = state_->at(path.empty() ? inode_ : HAUL_TRY(find(path, kVerb)));
    if (found.kind == FileKind::symlink) return path_error(ELOOP, kVerb, shown(path));
    found.metadata.mode = mode;
    return ok();
  });
}

Status SimDirectory::set_owner(std::string_view path, std::uint32_t user, std::uint32_t group) {
  constexpr std::string_view kVerb = "set the owner of";
  const std::lock_guard lock(state_->mutex);
  return mutate(kVerb, shown(path), [&]() -> Status {
    SimInode& found = state_->at(path.empty() ? inode_ : HAUL_TRY(find(path, kVerb)));
    found.metadata.user = user;
    found.metadata.group = group;
    return ok();
  });
}

Status SimDirectory::remove_file(std::string_view path) {
  const std::lock_guard lock(state_->mutex);
  return mutate("remove", shown(path), [&]() -> Status {
    const Place place = HAUL_TRY(place_of(path, "remove"));
    const SimInode& found = state_->at(HAUL_TRY(find(path, "remove")));
    if (found.kind == FileKind::directory) return path_error(EISDIR, "remove", shown(path));
    state_->at(place.parent).set_entry(place.name, std::nullopt);
    return ok();
  });
}

Status SimDirectory::remove_directory(std::string_view path) {
  const std::lock_guard lock(state_->mutex);
  return mutate("remove", shown(path), [&]() -> Status {
    const Place place = HAUL_TRY(place_of(path, "remove"));
    SimInode& found = state_->at(HAUL_TRY(find(path, "remove")));
    if (found.kind != FileKind::directory) return path_error(ENOTDIR, "remove", shown(path));
    if (!found.entries.empty()) return path_error(ENOTEMPTY, "remove", shown(path));
    found.is_removed = true;
    state_->at(place.parent).set_entry(place.name, std::nullopt);
    return ok();
  });
}

Status SimDirectory::sync_directory(std::string_view path) {
  const std::lock_guard lock(state_->mutex);
  HAUL_TRY(check_running());
  SimInode& found = state_->at(HAUL_TRY(find_directory(path, "sync")));
  return sync_inode(found, SimBreakage::Kind::directory_sync_is_ignored, shown(path));
}

Status SimDirectory::sync_file_system() {
  constexpr std::string_view kVerb = "sync the file system of";
  const std::lock_guard lock(state_->mutex);
  if (state_->file_system_sync == SimDisk::FileSystemSync::unsupported) {
    return path_error(ENOSYS, kVerb, name_);
  }
  const auto each_inode = [this](void (SimInode::*apply)()) {
    for (auto& [id, inode] : state_->inodes) (inode.*apply)();
  };
  bool carried_out = false;
  Status synced = mutate(kVerb, name_, [&]() -> Status {
    carried_out = true;
    if (state_->file_system_sync_failed) return path_error(EIO, kVerb, name_);
    return ok();
  });
  if (synced && state_->breakage.kind != SimBreakage::Kind::file_system_sync_is_ignored) {
    each_inode(&SimInode::make_durable);
  }
  // Cut by the power it has promised nothing; failed it has lost what it should have kept.
  if (!synced && !carried_out && !state_->power_is_lost) {
    each_inode(&SimInode::forget_unsynced);
    state_->file_system_sync_failed = true;
  }
  return synced;
}

Result<std::unique_ptr<Directory>> SimDirectory::open_directory(std::string_view path) {
  const std::lock_guard lock(state_->mutex);
  HAUL_TRY(check_running());
  const SimInodeId found = HAUL_TRY(find_directory(path, "open"));
  return std::make_unique<SimDirectory>(state_, found, shown(path));
}

}  // namespace

namespace {

// A path of the disk's without symbolic links in it.
Result<std::string> follow_links(Directory& top, const std::string& path) {
  constexpr int kLinksMax = 40;
  std::filesystem::path left = path;
  for (int links = 0; links <= kLinksMax; ++links) {
    std::filesystem::path done;
    std::filesystem::path next;
    for (const std::filesystem::path& name : left.relative_path()) {
      if (!next.empty()) {
        next /= name;
        continue;
      }
      const auto target = top.read_link((done / name).string());
      if (target) {
        next = (done / *target).relative_path();
      } else {
        done /= name;
      }
    }
    if (next.empty()) return done.string();
    left = next.lexically_normal();
  }
  return path_error(ELOOP, "open", path);
}

}  // namespace

SimDisk::SimDisk() : state_(std::make_shared<State>()) {}
SimDisk::~SimDisk() = default;

Result<std::unique_ptr<Directory>> SimDisk::open(const std::string& path) {
  std::unique_ptr<Directory> top;
  {
    const std::lock_guard lock(state_->mutex);
    top = std::make_unique<SimDirectory>(state_, state_->root, "sim:");
  }
  if (path.empty()) return top;
  return top->open_directory(HAUL_TRY(follow_links(*top, path)));
}

void SimDisk::set_fault(SimFault fault) {
  const std::lock_guard lock(state_->mutex);
  state_->fault = fault;
}

void SimDisk::set_breakage(SimBreakage breakage) {
  const std::lock_guard lock(state_->mutex);
  state_->breakage = breakage;
}

void SimDisk::set_file_system_sync(FileSystemSync sync) {
  const std::lock_guard lock(state_->mutex);
  state_->file_system_sync = sync;
}

std::uint64_t SimDisk::operations() const {
  const std::lock_guard lock(state_->mutex);
  return state_->operations;
}

bool SimDisk::power_is_lost() const {
  const std::lock_guard lock(state_->mutex);
  return state_->power_is_lost;
}

void SimDisk::crash(std::uint64_t seed) {
  const std::lock_guard lock(state_->mutex);
  state_->crash(seed);
}

std::optional<std::string> SimDisk::durable_content(const std::string& path) const {
  const std::lock_guard lock(state_->mutex);
  return state_->durable_content(path);
}

}  // namespace haul::io
