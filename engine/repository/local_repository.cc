#include "engine/repository/local_repository.h"

#include "base/format.h"
#include "io/posix_directory.h"
#include "io/posix_object_store.h"

namespace haul::repository {

namespace {

constexpr std::uint32_t kPrivate = 0700;

// An absolute path as its parent and its last component; "/" has none.
std::pair<std::string, std::string> split(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

Result<std::unique_ptr<io::ObjectStore>> open_store(std::unique_ptr<io::Directory> root,
                                                    LocalOwner owner, io::RingFactory rings) {
  io::PosixObjectStoreOptions options;
  options.rings = std::move(rings);
  if (owner == LocalOwner::top_directory) {
    const io::FileInfo info = HAUL_TRY(root->info(""));
    options.owner = io::FileOwner{info.user, info.group};
  }
  return io::make_posix_object_store(std::move(root), std::move(options));
}

struct Made {
  std::unique_ptr<io::Directory> parent;
  std::string name;
  std::unique_ptr<io::Directory> root;
  enum class Root { was_there, created } state = Root::was_there;
  enum class Config { absent, ours } config = Config::absent;

  // Takes away what a failed init may have made; nothing here can make the failure worse. Another
  // init may be at work in the same place: what is not surely ours stays, and directories only go
  // when they are empty.
  void undo() {
    if (config == Config::ours) static_cast<void>(root->remove_file(kConfigKey));
    static_cast<void>(root->remove_directory("tmp"));
    if (state == Root::created) static_cast<void>(parent->remove_directory(name));
  }
};

Result<Made> make_root(const LocalDirectoryOpener& open, const std::string& path) {
  Made made;
  auto existing = open(path);
  if (existing) {
    made.root = std::move(existing).take();
    const auto entries = HAUL_TRY(made.root->list(""));
    for (const io::DirectoryEntry& entry : entries) {
      if (entry.name == kConfigKey) {
        return Error(ErrorCode::already_exists, format("{} is a repository already", path));
      }
    }
    if (!entries.empty()) {
      return Error(ErrorCode::usage, format("{} is not empty", path),
                   "name a new or empty directory");
    }
    return made;
  }
  if (existing.error().code() != ErrorCode::not_found) return std::move(existing).take_error();
  const auto [parent, name] = split(path);
  made.name = name;
  made.parent = HAUL_TRY(open(parent));
  HAUL_TRY(made.parent->make_directory(name, kPrivate));
  made.state = Made::Root::created;
  auto root = open(path);
  if (!root) {
    static_cast<void>(made.parent->remove_directory(name));
    return std::move(root).take_error();
  }
  made.root = std::move(root).take();
  return made;
}

}  // namespace

Result<std::unique_ptr<io::Directory>> open_local_directory(const std::string& path) {
  return io::open_posix_directory(path);
}

Result<Repository> open_local_repository(const LocalDirectoryOpener& open, const std::string& path,
                                         LocalOwner owner, io::RingFactory rings) {
  auto root = open(path);
  if (!root && root.error().code() == ErrorCode::not_found) {
    return Error(ErrorCode::no_repository,
                 format("{} is not a repository: there is no such directory", path),
                 "create one with pghaul init, or check that its file system is mounted");
  }
  if (!root) return std::move(root).take_error();
  auto store = HAUL_TRY(open_store(std::move(root).take(), owner, std::move(rings)));
  return Repository::open(std::move(store),
                          [open, path, owner]() -> Result<std::unique_ptr<io::ObjectStore>> {
                            return open_store(HAUL_TRY(open(path)), owner, {});
                          });
}

Result<Repository> init_local_repository(const LocalDirectoryOpener& open, const LocalInit& init,
                                         Random& random, Clock& clock) {
  Made made = HAUL_TRY(make_root(open, init.path));
  const auto fill = [&]() -> Result<Repository> {
    const auto store = HAUL_TRY(open_store(HAUL_TRY(open(init.path)), init.owner, {}));
    HAUL_TRY(Repository::init(*store, init.parameters, random, clock));
    made.config = Made::Config::ours;
    if (made.parent) HAUL_TRY(made.parent->sync_directory(""));
    return open_local_repository(open, init.path, init.owner);
  };
  auto repository = fill();
  // A name that was taken meanwhile is another init's, and so is everything else there.
  if (!repository && repository.error().code() != ErrorCode::already_exists) made.undo();
  return repository;
}

}  // namespace haul::repository
