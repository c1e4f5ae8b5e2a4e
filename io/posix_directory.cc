#include "io/posix_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <tuple>
#include <utility>

#include "base/format.h"
#include "base/random.h"
#include "io/internal/file_system_kind.h"
#include "io/internal/posix_calls.h"
#include "io/internal/posix_directory.h"
#include "io/internal/posix_file.h"
#include "io/unique_fd.h"

namespace haul::io {
namespace {

using internal::file_info;
using internal::open_beneath;
using internal::path_error;
using internal::PosixFeatures;
using internal::PosixFile;
using internal::TemporaryName;
using internal::uninterrupted;

constexpr std::uint32_t kPrivateFileMode = 0600;
constexpr std::uint32_t kPrivateDirectoryMode = 0700;
constexpr std::size_t kLinkTargetSizeMaxBytes = 4096;  // PATH_MAX, the kernel's own limit

struct CloseStream {
  void operator()(DIR* stream) const { ::closedir(stream); }
};

// The last component of a path and the open directory that it is looked up in.
struct Place {
  UniqueFd opened;  // empty when the parent is the root
  int parent = -1;
  std::string name;
};

Result<std::string> random_temporary_name() {
  std::array<std::byte, 16> bytes{};
  HAUL_TRY(SystemRandom().fill(bytes));
  return to_hex(bytes) + ".tmp";
}

Result<FileKind> kind_of(int parent, const dirent& entry) {
  switch (entry.d_type) {
    case DT_REG: return FileKind::regular;
    case DT_DIR: return FileKind::directory;
    case DT_LNK: return FileKind::symlink;
    case DT_UNKNOWN: break;
    default: return FileKind::other;
  }
  struct stat status{};
  if (::fstatat(parent, entry.d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return path_error(errno, "examine", entry.d_name);
  }
  return file_info(status).kind;
}

bool reports_lost_writes(int fd) {
  struct statfs status{};
  struct utsname system{};
  if (::fstatfs(fd, &status) != 0 || ::uname(&system) != 0) return false;
  return internal::reports_lost_writes(static_cast<std::uint64_t>(status.f_type), system.release);
}

class PosixDirectory final : public Directory {
 public:
  PosixDirectory(UniqueFd root, std::string name, PosixFeatures features)
      : root_(std::move(root)), name_(std::move(name)), features_(features) {}

  Result<std::unique_ptr<File>> open_file(std::string_view path, Caching caching) override {
    return open_existing(path, O_RDONLY, caching);
  }
  Result<std::unique_ptr<File>> open_for_update(std::string_view path, Caching caching) override {
    auto file = HAUL_TRY(open_existing(path, O_RDWR, caching));
    // Direct writes to what the page cache holds go one after another, a tenth as fast. Only
    // advice.
    if (caching == Caching::direct) {
      std::ignore = ::posix_fadvise(*file->descriptor(), 0, 0, POSIX_FADV_DONTNEED);
    }
    return file;
  }
  Result<std::unique_ptr<File>> create_file(std::string_view path, std::uint32_t mode,
                                            Caching caching) override;
  Result<std::unique_ptr<File>> create_temporary(std::string_view directory,
                                                 Caching caching) override;
  Status publish(File& temporary, std::string_view path) override;
  Status publish_over(File& temporary, std::string_view path) override;

  Result<FileInfo> info(std::string_view path) override;
  Status for_each_entry(std::string_view path, const DirectoryEntryVisitor& visit) override;
  Result<std::string> read_link(std::string_view path) override;

  Status make_directory(std::string_view path, std::uint32_t mode) override;
  Status make_link(const std::string& target, std::string_view path) override;
  Status set_mode(std::string_view path, std::uint32_t mode) override;
  Status set_owner(std::string_view path, std::uint32_t user, std::uint32_t group) override;
  Status remove_file(std::string_view path) override;
  Status remove_directory(std::string_view path) override;
  Status sync_directory(std::string_view path) override;
  Status sync_file_system() override;
  bool can_sync_file_system() override { return features_.lost_writes_reported; }

  Result<std::unique_ptr<Directory>> open_directory(std::string_view path) override;
  const std::string& name() const override { return name_; }

 private:
  std::string shown(std::string_view path) const { return full_name(*this, path); }
  Result<std::unique_ptr<File>> open_existing(std::string_view path, int access, Caching caching);
  Result<std::unique_ptr<File>> create_named_temporary(std::string_view directory, Caching caching);
  Result<UniqueFd> open_as_directory(std::string_view path, std::uint64_t flags,
                                     std::string_view verb);
  Result<Place> place_of(std::string_view path, std::string_view verb);
  Status give_name(int fd, TemporaryName& temporary);
  // Each returns 0 or the error number.
  int link_nameless(int fd, int parent, const std::string& name);
  int rename_new(const TemporaryName& temporary, const Place& to);

  const UniqueFd root_;
  const std::string name_;
  const PosixFeatures features_;
  std::atomic<bool> file_system_sync_failed_ = false;
};

// Handing over a file that another kind of directory made, or one that has its name already, is a
// bug.
PosixFile& as_temporary(File& file) {
  auto* posix_file = dynamic_cast<PosixFile*>(&file);
  HAUL_ASSERT(posix_file != nullptr && posix_file->temporary().has_value());
  return *posix_file;
}

Status check_plain(std::string_view path, std::string_view verb) {
  if (is_plain_path(path)) return ok();
  return Error(ErrorCode::usage, format("cannot {} '{}': not a plain relative path", verb, path));
}

// `flags` is O_RDONLY or O_PATH; the empty path names the root.
Result<UniqueFd> PosixDirectory::open_as_directory(std::string_view path, std::uint64_t flags,
                                                   std::string_view verb) {
  if (!path.empty()) HAUL_TRY(check_plain(path, verb));
  const std::string beneath = path.empty() ? "." : std::string(path);
  UniqueFd fd(open_beneath(root_.get(), beneath, flags | O_DIRECTORY, 0));
  if (!fd) return path_error(errno, verb, shown(path));
  return fd;
}

Result<Place> PosixDirectory::place_of(std::string_view path, std::string_view verb) {
  HAUL_TRY(check_plain(path, verb));
  Place place;
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) {
    place.parent = root_.get();
    place.name = path;
    return place;
  }
  const std::string parent(path.substr(0, slash));
  place.opened = UniqueFd(open_beneath(root_.get(), parent, O_PATH | O_DIRECTORY, 0));
  if (!place.opened) return path_error(errno, verb, shown(path));
  place.parent = place.opened.get();
  place.name = path.substr(slash + 1);
  return place;
}

Result<std::unique_ptr<File>> PosixDirectory::open_existing(std::string_view path, int access,
                                                            Caching caching) {
  HAUL_TRY(check_plain(path, "open"));
  // O_NONBLOCK: a FIFO that lies where a file is expected must not hang us.
  const int flags = access | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY;
  UniqueFd fd(open_beneath(root_.get(), std::string(path), static_cast<unsigned>(flags), 0));
  if (!fd) return path_error(errno, "open", shown(path));
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return path_error(errno, "examine", shown(path));
  if (!S_ISREG(status.st_mode)) return path_error(ENXIO, "open", shown(path));
  return std::make_unique<PosixFile>(std::move(fd), shown(path), caching);
}

Result<std::unique_ptr<File>> PosixDirectory::create_file(std::string_view path, std::uint32_t mode,
                                                          Caching caching) {
  HAUL_TRY(check_plain(path, "create"));
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
  UniqueFd fd(open_beneath(root_.get(), std::string(path), kFlags, kPrivateFileMode));
  if (!fd) return path_error(errno, "create", shown(path));
  auto file = std::make_unique<PosixFile>(std::move(fd), shown(path), caching);
  Status set = file->set_mode(mode);
  if (!set) {
    std::ignore = remove_file(path);
    return std::move(set).take_error();
  }
  return file;
}

Result<std::unique_ptr<File>> PosixDirectory::create_temporary(std::string_view directory,
                                                               Caching caching) {
  if (!features_.nameless_files) return create_named_temporary(directory, caching);
  if (!directory.empty()) HAUL_TRY(check_plain(directory, "create a file in"));
  const std::string beneath = directory.empty() ? "." : std::string(directory);
  UniqueFd fd(open_beneath(root_.get(), beneath, O_RDWR | O_TMPFILE, kPrivateFileMode));
  if (!fd) {
    // What file systems and kernels without O_TMPFILE answer.
    if (errno == EOPNOTSUPP || errno == EISDIR) return create_named_temporary(directory, caching);
    return path_error(errno, "create a file in", shown(directory));
  }
  auto file = std::make_unique<PosixFile>(std::move(fd), shown(directory) + "/(nameless)", caching);
  file->temporary() = TemporaryName{std::string(directory), UniqueFd(), ""};
  HAUL_TRY(file->set_mode(kPrivateFileMode));
  return file;
}

Result<std::unique_ptr<File>> PosixDirectory::create_named_temporary(std::string_view directory,
                                                                     Caching caching) {
  std::string name = HAUL_TRY(random_temporary_name());
  TemporaryName temporary{std::string(directory), UniqueFd(), std::move(name)};
  temporary.parent = HAUL_TRY(open_as_directory(directory, O_PATH, "create a file in"));
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
  UniqueFd fd(open_beneath(temporary.parent.get(), temporary.name, kFlags, kPrivateFileMode));
  if (!fd) return path_error(errno, "create a file in", shown(directory));
  auto file =
      std::make_unique<PosixFile>(std::move(fd), shown(directory) + "/" + temporary.name, caching);
  file->temporary() = std::move(temporary);
  HAUL_TRY(file->set_mode(kPrivateFileMode));
  return file;
}

int PosixDirectory::link_nameless(int fd, int parent, const std::string& name) {
  // linkat(AT_EMPTY_PATH) would need a capability before Linux 6.10.
  const std::string source = format("/proc/self/fd/{}", fd);
  const int answer = ::linkat(AT_FDCWD, source.c_str(), parent, name.c_str(), AT_SYMLINK_FOLLOW);
  return answer == 0 ? 0 : errno;
}

int PosixDirectory::rename_new(const TemporaryName& temporary, const Place& to) {
  const int from = temporary.parent.get();
  const char* old_name = temporary.name.c_str();
  if (features_.rename_noreplace) {
    if (::renameat2(from, old_name, to.parent, to.name.c_str(), RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return errno;
  }
  // A plain rename would replace; a link refuses a taken name just as well.
  if (::linkat(from, old_name, to.parent, to.name.c_str(), 0) != 0) return errno;
  ::unlinkat(from, old_name, 0);  // what stays is a "<random>.tmp" like one left by a kill
  return 0;
}

Status PosixDirectory::publish(File& temporary, std::string_view path) {
  PosixFile& file = as_temporary(temporary);
  const Place to = HAUL_TRY(place_of(path, "publish"));
  const int error_number = file.temporary()->name.empty()
                               ? link_nameless(*file.descriptor(), to.parent, to.name)
                               : rename_new(*file.temporary(), to);
  if (error_number != 0) return path_error(error_number, "publish", shown(path));
  file.set_published(shown(path));
  return ok();
}

// Gives a nameless file a name in its own directory; rename needs one.
Status PosixDirectory::give_name(int fd, TemporaryName& temporary) {
  const std::string name = HAUL_TRY(random_temporary_name());
  UniqueFd parent = HAUL_TRY(open_as_directory(temporary.directory, O_PATH, "create a file in"));
  const int error_number = link_nameless(fd, parent.get(), name);
  if (error_number != 0) {
    return path_error(error_number, "create a file in", shown(temporary.directory));
  }
  temporary.parent = std::move(parent);
  temporary.name = name;
  return ok();
}

Status PosixDirectory::publish_over(File& temporary, std::string_view path) {
  PosixFile& file = as_temporary(temporary);
  const Place to = HAUL_TRY(place_of(path, "publish"));
  TemporaryName& from = *file.temporary();
  if (from.name.empty()) HAUL_TRY(give_name(*file.descriptor(), from));
  if (::renameat(from.parent.get(), from.name.c_str(), to.parent, to.name.c_str()) != 0) {
    return path_error(errno, "publish", shown(path));
  }
  file.set_published(shown(path));
  return ok();
}

Result<FileInfo> PosixDirectory::info(std::string_view path) {
  struct stat status{};
  if (path.empty()) {
    if (::fstat(root_.get(), &status) != 0) return path_error(errno, "examine", name_);
    return file_info(status);
  }
  const Place place = HAUL_TRY(place_of(path, "examine"));
  if (::fstatat(place.parent, place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return path_error(errno, "examine", shown(path));
  }
  return file_info(status);
}

Status PosixDirectory::for_each_entry(std::string_view path, const DirectoryEntryVisitor& visit) {
  UniqueFd fd = HAUL_TRY(open_as_directory(path, O_RDONLY, "list"));
  const std::unique_ptr<DIR, CloseStream> stream(::fdopendir(fd.get()));
  if (!stream) return path_error(errno, "list", shown(path));
  const int parent = fd.release();  // the stream's from here on
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr && errno != 0) return path_error(errno, "list", shown(path));
    if (entry == nullptr) return ok();
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const Result<FileKind> kind = kind_of(parent, *entry);
    if (!kind && kind.error().code() == ErrorCode::not_found) continue;  // gone meanwhile
    if (!kind) return Error(kind.error()).with_context(format("cannot list {}", shown(path)));
    HAUL_TRY(visit({std::string(name), *kind}));
  }
}

Result<std::string> PosixDirectory::read_link(std::string_view path) {
  const Place place = HAUL_TRY(place_of(path, "read the link"));
  std::string target(kLinkTargetSizeMaxBytes, '\0');
  const ssize_t size = ::readlinkat(place.parent, place.name.c_str(), target.data(), target.size());
  if (size < 0 && errno == EINVAL) {
    return Error(ErrorCode::usage, format("{} is not a symbolic link", shown(path)));
  }
  if (size < 0) return path_error(errno, "read the link", shown(path));
  target.resize(static_cast<std::size_t>(size));
  return target;
}

Status PosixDirectory::make_directory(std::string_view path, std::uint32_t mode) {
  const Place place = HAUL_TRY(place_of(path, "create"));
  if (::mkdirat(place.parent, place.name.c_str(), kPrivateDirectoryMode) != 0) {
    return path_error(errno, "create", shown(path));
  }
  const UniqueFd fd(open_beneath(place.parent, place.name, O_RDONLY | O_DIRECTORY, 0));
  if (!fd || ::fchmod(fd.get(), mode) != 0) {
    return path_error(errno, "set the mode of", shown(path));
  }
  return ok();
}

Status PosixDirectory::make_link(const std::string& target, std::string_view path) {
  const Place place = HAUL_TRY(place_of(path, "create"));
  if (::symlinkat(target.c_str(), place.parent, place.name.c_str()) != 0) {
    return path_error(errno, "create", shown(path));
  }
  return ok();
}

Status PosixDirectory::set_mode(std::string_view path, std::uint32_t mode) {
  if (path.empty()) {
    if (::fchmod(root_.get(), mode) != 0) return path_error(errno, "set the mode of", name_);
    return ok();
  }
  const Place place = HAUL_TRY(place_of(path, "set the mode of"));
  if (::fchmodat(place.parent, place.name.c_str(), mode, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != EOPNOTSUPP) return path_error(errno, "set the mode of", shown(path));
    // glibc's answer for a symbolic link, which has no mode of its own, and for any file without
    // /proc.
    const bool is_link = HAUL_TRY(info(path)).kind == FileKind::symlink;
    return path_error(is_link ? ELOOP : ENOSYS, "set the mode of", shown(path));
  }
  return ok();
}

Status PosixDirectory::set_owner(std::string_view path, std::uint32_t user, std::uint32_t group) {
  if (path.empty()) {
    if (::fchown(root_.get(), user, group) != 0) {
      return path_error(errno, "set the owner of", name_);
    }
    return ok();
  }
  const Place place = HAUL_TRY(place_of(path, "set the owner of"));
  if (::fchownat(place.parent, place.name.c_str(), user, group, AT_SYMLINK_NOFOLLOW) != 0) {
    return path_error(errno, "set the owner of", shown(path));
  }
  return ok();
}

Status PosixDirectory::remove_file(std::string_view path) {
  const Place place = HAUL_TRY(place_of(path, "remove"));
  if (::unlinkat(place.parent, place.name.c_str(), 0) != 0) {
    return path_error(errno, "remove", shown(path));
  }
  return ok();
}

Status PosixDirectory::remove_directory(std::string_view path) {
  const Place place = HAUL_TRY(place_of(path, "remove"));
  if (::unlinkat(place.parent, place.name.c_str(), AT_REMOVEDIR) != 0) {
    return path_error(errno, "remove", shown(path));
  }
  return ok();
}

Status PosixDirectory::sync_directory(std::string_view path) {
  UniqueFd fd = HAUL_TRY(open_as_directory(path, O_RDONLY, "sync"));
  if (::fsync(fd.get()) != 0) return path_error(errno, "sync", shown(path));
  Status closed = fd.finish();
  if (!closed) return std::move(closed).take_error().with_context(shown(path));
  return ok();
}

Status PosixDirectory::sync_file_system() {
  constexpr std::string_view kVerb = "sync the file system of";
  if (!can_sync_file_system()) return path_error(ENOSYS, kVerb, name_);
  // The kernel reports a lost write once per descriptor, so the failure is kept here.
  if (file_system_sync_failed_) return path_error(EIO, kVerb, name_);
  if (features_.sync_file_system(root_.get()) != 0) {
    file_system_sync_failed_ = true;
    return path_error(errno, kVerb, name_);
  }
  return ok();
}

Result<std::unique_ptr<Directory>> PosixDirectory::open_directory(std::string_view path) {
  UniqueFd fd = HAUL_TRY(open_as_directory(path, O_RDONLY, "open"));
  PosixFeatures features = features_;
  // It may be the root of another file system.
  features.lost_writes_reported = features.lost_writes_reported && reports_lost_writes(fd.get());
  return internal::make_posix_directory(std::move(fd), shown(path), features);
}

}  // namespace

namespace internal {

std::unique_ptr<Directory> make_posix_directory(UniqueFd root, std::string name,
                                                PosixFeatures features) {
  return std::make_unique<PosixDirectory>(std::move(root), std::move(name), features);
}

}  // namespace internal

Result<std::unique_ptr<Directory>> open_posix_directory(const std::string& path) {
  UniqueFd root(
      uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!root) return path_error(errno, "open", path);
  const UniqueFd probe(open_beneath(root.get(), ".", O_PATH | O_DIRECTORY, 0));
  if (!probe) {
    // Container profiles from before the call existed answer EPERM.
    const int error_number = errno == EPERM ? ENOSYS : errno;
    return path_error(error_number, "confine path names to", path)
        .with_hint("the system call openat2 is needed: Linux 5.6, not filtered by the container");
  }
  PosixFeatures features;
  const std::string own_link = format("/proc/self/fd/{}", root.get());
  features.nameless_files = ::faccessat(AT_FDCWD, own_link.c_str(), F_OK, 0) == 0;
  features.lost_writes_reported = reports_lost_writes(root.get());
  return internal::make_posix_directory(std::move(root), path, features);
}

}  // namespace haul::io
