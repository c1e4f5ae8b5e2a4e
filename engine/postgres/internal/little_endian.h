// Little-endian integers out of bytes whose length the caller has checked.
//
// Threads:  functions over values.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>

#include "base/assert.h"
#include "base/types.h"

namespace haul::postgres {

// On-disk structures of PostgreSQL are in the machine's byte order; the ones read here are
// little-endian, and so are the machines this program runs on.
static_assert(std::endian::native == std::endian::little);

template <std::unsigned_integral Integer>
Integer load(ByteSpan bytes, std::size_t offset) {
  HAUL_ASSERT(offset + sizeof(Integer) <= bytes.size());
  Integer value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

}  // namespace haul::postgres
