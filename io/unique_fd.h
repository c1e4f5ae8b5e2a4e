// Owner of a file descriptor.
//
// Threads:  a value, one owner at a time.
#pragma once

#include <utility>

#include "base/result.h"

namespace haul::io {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd();  // closes without reporting

  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  // Closes and reports close(2)'s error; never retried, the descriptor is gone either way.
  Status finish();

 private:
  int fd_ = -1;
};

}  // namespace haul::io
