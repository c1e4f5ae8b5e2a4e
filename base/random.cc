#include "base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

namespace haul {

Status SystemRandom::fill(MutableByteSpan into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t count = getrandom(into.data() + done, into.size() - done, 0);
    if (count < 0) {
      if (errno == EINTR) continue;
      return error_from_errno(errno, "cannot read random bytes");
    }
    done += static_cast<std::size_t>(count);
  }
  return ok();
}

std::uint64_t SeededRandom::next() {
  state_ += 0x9E3779B97F4A7C15U;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

Status SeededRandom::fill(MutableByteSpan into) {
  for (std::size_t done = 0; done < into.size(); done += 8) {
    const std::uint64_t value = next();
    std::memcpy(into.data() + done, &value, std::min<std::size_t>(8, into.size() - done));
  }
  return ok();
}

}  // namespace haul
