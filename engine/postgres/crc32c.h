// CRC-32C (Castagnoli), as PostgreSQL computes it for pg_control, WAL records and backup manifests.
//
// Units:    sizes are bytes.
// Threads:  a Crc32c has one owner; pieces computed in parallel are joined with combine().
// Errors:   none.
#pragma once

#include <cstdint>

#include "base/types.h"

namespace haul::postgres {

// INIT_CRC32C, COMP_CRC32C and FIN_CRC32C.
class Crc32c {
 public:
  Crc32c& update(ByteSpan bytes);
  std::uint32_t finish() const { return ~state_; }

 private:
  std::uint32_t state_ = 0xFFFFFFFF;
};

// Of one range.
std::uint32_t crc32c(ByteSpan bytes);

// The finished CRC of a range whose bytes need not be at hand. The default is the empty range.
struct Crc32cPiece {
  std::uint32_t crc = 0;
  std::uint64_t size_bytes = 0;

  bool operator==(const Crc32cPiece&) const = default;
};

// Of `first` followed by `second`. Costs some 100 ns however long they are; sizes may exceed
// memory.
Crc32cPiece combine(Crc32cPiece first, Crc32cPiece second);

}  // namespace haul::postgres
