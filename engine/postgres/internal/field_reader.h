// Takes little-endian fields off the front of a range, and remembers when it ran out.
//
// Threads:  one owner at a time.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstring>

#include "base/types.h"
#include "engine/postgres/internal/little_endian.h"

namespace haul::postgres::internal {

// Once a field was wanted that is not there, ran_short() is true and every further one reads as
// zero: a run of fields is read first and judged once.
class FieldReader {
 public:
  explicit FieldReader(ByteSpan bytes) : bytes_(bytes) {}

  template <std::integral Integer>
  Integer take() {
    Integer value = 0;
    const ByteSpan field = take_bytes(sizeof value);
    if (!field.empty()) std::memcpy(&value, field.data(), sizeof value);
    return value;
  }

  // All of them or none.
  ByteSpan take_bytes(std::size_t size_bytes) {
    if (size_bytes > bytes_.size()) {
      ran_short_ = true;
      bytes_ = {};
      return {};
    }
    const ByteSpan taken = bytes_.first(size_bytes);
    bytes_ = bytes_.subspan(size_bytes);
    return taken;
  }

  // An int32 count, then as many items.
  ByteSpan take_counted(std::size_t item_size_bytes) {
    const auto count = take<std::uint32_t>();
    return take_bytes(count * item_size_bytes);
  }

  ByteSpan rest() const { return bytes_; }
  bool ran_short() const { return ran_short_; }

 private:
  ByteSpan bytes_;
  bool ran_short_ = false;
};

}  // namespace haul::postgres::internal
