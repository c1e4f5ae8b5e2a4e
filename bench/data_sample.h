// Bytes like a cluster's, for measurements that depend on what is compressed or digested.
//
// Units:    sizes are bytes.
// Threads:  functions over values.
#pragma once

#include <cstddef>
#include <vector>

#include "base/types.h"

namespace haul::bench {

inline constexpr std::size_t kPageBytes = 8192;
inline constexpr std::size_t kChunkBytes = 32 * kPageBytes;

// Heap pages with their headers, line pointers and rows, always the same ones. Of every five chunks
// two are rows of numbers with blank padding (pgbench's), one is texts, one is jsonb, one cannot be
// compressed; `size_bytes` is a multiple of kPageBytes.
std::vector<std::byte> cluster_like(std::size_t size_bytes);

}  // namespace haul::bench
