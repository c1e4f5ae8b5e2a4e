// The Ring on io_uring, and what tests may put between it and the kernel.
//
// Threads:  see io/ring.h.
// Errors:   unsupported: the kernel, or the profile of a container, refuses io_uring.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "base/result.h"
#include "io/ring.h"

namespace haul::io::internal {

// Every default is what the kernel does; anything else is for tests.
struct UringHooks {
  // No single request to the kernel transfers more; a multiple of kDirectAlignment.
  std::size_t transfer_max_bytes = std::size_t{1} << 30;
  // Sees the result of each request and answers with the one that the ring is to go by.
  std::function<int(int result)> on_result = {};
  // Asked before the ring is set up with these flags; an error number stands for a refusal.
  std::function<int(unsigned flags)> refuse_setup = {};
  std::function<bool(int opcode)> is_missing = {};
};

Result<std::unique_ptr<Ring>> open_uring_ring(const RingOptions& options, UringHooks hooks = {});

}  // namespace haul::io::internal
