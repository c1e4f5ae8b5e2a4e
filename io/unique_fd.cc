#include "io/unique_fd.h"

#include <unistd.h>

#include <cerrno>

namespace haul::io {

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.release();
  }
  return *this;
}

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

Status UniqueFd::finish() {
  HAUL_ASSERT(fd_ >= 0);
  if (::close(release()) != 0) return error_from_errno(errno, "close");
  return ok();
}

}  // namespace haul::io
