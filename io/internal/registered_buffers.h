// Memory that an io_uring knows: pinned and mapped once, so that requests need not do it each time.
//
// Memory:   what is registered counts against RLIMIT_MEMLOCK.
// Threads:  the owner of the ring.
// Errors:   none: what cannot be registered is not, and report() says so.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/types.h"

struct io_uring;

namespace haul::io::internal {

class RegisteredBuffers {
 public:
  RegisteredBuffers() = default;
  RegisteredBuffers(const RegisteredBuffers&) = delete;
  RegisteredBuffers& operator=(const RegisteredBuffers&) = delete;
  // Nothing that uses a buffer may be in flight any more; comes before the end of the ring.
  ~RegisteredBuffers();

  // Registers as many of the buffers, from the first, as the kernel takes.
  void open(io_uring& ring, std::span<const MutableByteSpan> buffers);
  // The registered buffer that all of `bytes` lie in.
  std::optional<unsigned> index_of(ByteSpan bytes) const;
  // "" when there is nothing to tell, else what follows the back end's name.
  std::string report() const;

 private:
  struct Range {
    const std::byte* begin = nullptr;
    const std::byte* end = nullptr;
    unsigned index = 0;
  };

  io_uring* ring_ = nullptr;
  std::size_t wanted_ = 0;
  std::vector<Range> ranges_;  // sorted
};

}  // namespace haul::io::internal
