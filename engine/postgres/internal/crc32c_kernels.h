// The CRC-32C loop by table and by instruction.
//
// Threads:  every function may be called from any thread.
#pragma once

#include <cstdint>
#include <span>

#include "base/types.h"

namespace haul::postgres::internal {

// One way to carry a CRC's inner state over some bytes.
struct Crc32cKernel {
  const char* name;
  std::uint32_t (*update)(std::uint32_t state, ByteSpan bytes);
};

// Those this processor can run, slowest first; never empty.
std::span<const Crc32cKernel> crc32c_kernels();

}  // namespace haul::postgres::internal
