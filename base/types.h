// Small value types that every layer shares: positions in WAL, timelines, bytes.
//
// Units:    an Lsn is a byte position in the WAL stream; a TimelineId counts from 1.
// Source:   PostgreSQL's xlogdefs.h (XLogRecPtr, TimeLineID).
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace haul {

using ByteSpan = std::span<const std::byte>;
using MutableByteSpan = std::span<std::byte>;

struct Lsn {
  std::uint64_t value = 0;

  auto operator<=>(const Lsn&) const = default;
  bool valid() const { return value != 0; }
};

struct TimelineId {
  std::uint32_t value = 0;

  auto operator<=>(const TimelineId&) const = default;
};

// "16/B374D848", as PostgreSQL prints it.
std::string to_string(Lsn lsn);
// The inverse; nothing but two hexadecimal halves of 1 to 8 digits around one slash is accepted.
std::optional<Lsn> parse_lsn(std::string_view text);

// Lowercase hexadecimal.
std::string to_hex(ByteSpan bytes);
// Fills `into` exactly; false when the text is not 2 * into.size() lowercase hexadecimal digits.
bool from_hex(std::string_view text, MutableByteSpan into);

// The bytes of a text, for hashing and writing.
inline ByteSpan bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
// The text in a range of bytes, uninterpreted.
inline std::string_view text_of(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace haul
