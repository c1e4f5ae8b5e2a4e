// The page checksum's inner loop, compiled once per vector width.
//
// Threads:  every function may be called from any thread.
#pragma once

#include <cstdint>
#include <span>

#include "base/types.h"

namespace haul::postgres::internal {

// One way to fold a page into 32 bits; the block number is not mixed in yet.
struct PageChecksumKernel {
  const char* name;
  std::uint32_t (*fold)(ByteSpan page);
};

// Those this processor can run, slowest first; never empty.
std::span<const PageChecksumKernel> page_checksum_kernels();

}  // namespace haul::postgres::internal
