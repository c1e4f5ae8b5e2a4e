#include "io/internal/posix_calls.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/format.h"

namespace haul::io::internal {

int open_beneath(int root, const std::string& path, std::uint64_t flags, std::uint32_t mode) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  // glibc 2.36 has no wrapper.
  return static_cast<int>(
      uninterrupted([&] { return ::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how); }));
}

Error path_error(int error_number, std::string_view verb, const std::string& name) {
  const std::string what = format("cannot {} {}", verb, name);
  switch (error_number) {
    case ELOOP: return Error(ErrorCode::usage, what + ": a symbolic link is in the way");
    case ENXIO:
    case ENODEV: return Error(ErrorCode::usage, what + ": it is not a regular file");
    case EISDIR:
    case ENAMETOOLONG:
      return Error(ErrorCode::usage, error_from_errno(error_number, what).message());
    case ENOTEMPTY: return Error(ErrorCode::busy, error_from_errno(error_number, what).message());
    case ENOSYS:
      return Error(ErrorCode::unsupported, error_from_errno(error_number, what).message());
    default: return error_from_errno(error_number, what);
  }
}

bool is_in_page_cache(int fd, std::uint64_t offset, std::uint64_t size_bytes) {
  // cachestat(2), of which neither glibc 2.36 nor Linux 6.1's headers know.
  constexpr long kCachestat = 451;
  struct {
    std::uint64_t offset, size_bytes;
  } const range{offset, size_bytes};
  struct {
    std::uint64_t cached, dirty, in_writeback, evicted, recently_evicted;
  } pages{};
  if (size_bytes == 0 || ::syscall(kCachestat, fd, &range, &pages, 0U) != 0) return false;
  static const auto page_size_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t first = offset / page_size_bytes;
  const std::uint64_t last = (offset + size_bytes - 1) / page_size_bytes;
  return pages.cached == last - first + 1;
}

FileInfo file_info(const struct stat& status) {
  FileInfo info;
  if (S_ISREG(status.st_mode)) info.kind = FileKind::regular;
  if (S_ISDIR(status.st_mode)) info.kind = FileKind::directory;
  if (S_ISLNK(status.st_mode)) info.kind = FileKind::symlink;
  info.size_bytes = static_cast<std::uint64_t>(status.st_size);
  info.mode = status.st_mode & 07777U;
  info.user = status.st_uid;
  info.group = status.st_gid;
  info.device = status.st_dev;
  info.inode = status.st_ino;
  info.modified_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
  return info;
}

}  // namespace haul::io::internal
