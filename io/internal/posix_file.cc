#include "io/internal/posix_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <utility>

#include "base/format.h"
#include "io/aligned_buffer.h"
#include "io/internal/posix_calls.h"

namespace haul::io::internal {

PosixFile::PosixFile(UniqueFd fd, std::string name, Caching caching)
    : fd_(std::move(fd)), name_(std::move(name)) {
  // Direct mode is set here and not by open: where the file system refuses it,
  // open(O_CREAT|O_DIRECT) fails after it has created the file. Clearing O_NONBLOCK matters to
  // io_uring, which would answer EAGAIN for uncached data.
  direct_ = caching == Caching::direct && ::fcntl(fd_.get(), F_SETFL, O_DIRECT) == 0;
  if (!direct_) ::fcntl(fd_.get(), F_SETFL, 0);
}

PosixFile::~PosixFile() {
  if (temporary_ && !temporary_->name.empty()) {
    ::unlinkat(temporary_->parent.get(), temporary_->name.c_str(), 0);
  }
}

void PosixFile::set_published(std::string name) {
  temporary_.reset();
  name_ = std::move(name);
}

std::size_t PosixFile::resume_point(std::size_t done_bytes) const {
  return direct_ ? done_bytes / kDirectAlignment * kDirectAlignment : done_bytes;
}

bool PosixFile::takes_ring_transfers() {
  if (!takes_ring_transfers_) {
    struct statfs info{};
    takes_ring_transfers_ = ::fstatfs(fd_.get(), &info) == 0 && info.f_type != FUSE_SUPER_MAGIC;
  }
  return *takes_ring_transfers_;
}

Error PosixFile::transfer_error(int error_number, std::string_view verb,
                                std::uint64_t offset) const {
  return path_error(error_number, verb, format("{} at offset {}", name_, offset));
}

Result<std::size_t> PosixFile::read_at(std::uint64_t offset, MutableByteSpan into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const std::size_t from = resume_point(done);
    const ssize_t count = uninterrupted([&] {
      return ::pread(fd_.get(), into.data() + from, into.size() - from,
                     static_cast<off_t>(offset + from));
    });
    if (count < 0) return transfer_error(errno, "read", offset + from);
    const std::size_t reached = from + static_cast<std::size_t>(count);
    if (reached <= done) break;  // no further than before: the end of the file
    done = reached;
  }
  return done;
}

bool PosixFile::read_cached(std::uint64_t offset, MutableByteSpan into) {
  // Asked first: a read that may not wait still makes the kernel fetch what is not there.
  if (!is_in_page_cache(fd_.get(), offset, into.size())) return false;
  const int fd = direct_ ? buffered_descriptor() : fd_.get();
  if (fd < 0) return false;
  const iovec part{into.data(), into.size()};
  const ssize_t count = uninterrupted(
      [&] { return ::preadv2(fd, &part, 1, static_cast<off_t>(offset), RWF_NOWAIT); });
  return count >= 0 && static_cast<std::size_t>(count) == into.size();
}

// Negative where the file cannot be opened a second time.
int PosixFile::buffered_descriptor() {
  if (!buffered_fd_) {
    // The very file that is open: its name may have gone to another one.
    const std::string self = format("/proc/self/fd/{}", fd_.get());
    buffered_fd_ = UniqueFd(::open(self.c_str(), O_RDONLY | O_CLOEXEC));
  }
  return buffered_fd_.get();
}

Status PosixFile::write_at(std::uint64_t offset, ByteSpan from) {
  std::size_t done = 0;
  while (done < from.size()) {
    const std::size_t start = resume_point(done);
    const ssize_t count = uninterrupted([&] {
      return ::pwrite(fd_.get(), from.data() + start, from.size() - start,
                      static_cast<off_t>(offset + start));
    });
    if (count < 0) return transfer_error(errno, "write", offset + start);
    const std::size_t reached = start + static_cast<std::size_t>(count);
    if (reached <= done) {
      // No further than before, and no reason given: the space or the size limit is used up to
      // here.
      return transfer_error(ENOSPC, "write", offset + done);
    }
    done = reached;
  }
  return ok();
}

Status PosixFile::resize(std::uint64_t size_bytes) {
  const auto length = static_cast<off_t>(size_bytes);
  if (uninterrupted([&] { return ::ftruncate(fd_.get(), length); }) != 0) {
    return path_error(errno, "resize", name_);
  }
  return ok();
}

Status PosixFile::preallocate(std::uint64_t size_bytes) {
  if (size_bytes == 0) return ok();
  const auto length = static_cast<off_t>(size_bytes);
  const int answer =
      uninterrupted([&] { return ::fallocate(fd_.get(), FALLOC_FL_KEEP_SIZE, 0, length); });
  if (answer != 0 && errno != EOPNOTSUPP && errno != ENOSYS) {
    return path_error(errno, "reserve space for", name_);
  }
  return ok();
}

Status PosixFile::end_direct() {
  if (!direct_) return ok();
  if (::fcntl(fd_.get(), F_SETFL, 0) != 0) return path_error(errno, "end direct mode of", name_);
  direct_ = false;
  return ok();
}

Status PosixFile::set_mode(std::uint32_t mode) {
  if (::fchmod(fd_.get(), mode) != 0) return path_error(errno, "set the mode of", name_);
  return ok();
}

Status PosixFile::set_owner(std::uint32_t user, std::uint32_t group) {
  if (::fchown(fd_.get(), user, group) != 0) return path_error(errno, "set the owner of", name_);
  return ok();
}

Result<FileInfo> PosixFile::info() {
  struct stat status{};
  if (::fstat(fd_.get(), &status) != 0) return path_error(errno, "examine", name_);
  return file_info(status);
}

Status PosixFile::sync() {
  HAUL_TRY(note_sync(0));
  return note_sync(::fsync(fd_.get()) == 0 ? 0 : errno);
}

// The kernel reports a lost write once and may answer the next fsync with success, so the failure
// is kept here.
Status PosixFile::note_sync(int error_number) {
  if (sync_failed_) return path_error(EIO, "sync", name_);
  if (error_number == 0) return ok();
  sync_failed_ = true;
  return path_error(error_number, "sync", name_);
}

Status PosixFile::finish() {
  Status closed = fd_.finish();
  if (!closed) return std::move(closed).take_error().with_context(format("cannot close {}", name_));
  return ok();
}

}  // namespace haul::io::internal
