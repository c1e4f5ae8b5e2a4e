// Strict reading of numbers and lines from texts that came from a disk or a server.
//
// Threads:  functions over values.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace haul::postgres {

// The whole text is a number of this type in `base`: no sign but '-' for signed ones, no spaces.
template <std::integral Integer>
std::optional<Integer> parse_number(std::string_view text, int base = 10) {
  Integer value = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value, base);
  if (text.empty() || error != std::errc() || stopped != end) return std::nullopt;
  return value;
}

// A decimal number as PostgreSQL prints an oid or a segment: no leading zero, at least 1.
inline std::optional<std::uint32_t> parse_oid(std::string_view text) {
  if (text.empty() || text.front() == '0') return std::nullopt;
  return parse_number<std::uint32_t>(text);
}

// Takes the text before the next `separator` off the front; everything when there is none.
inline std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t at = text.find(separator);
  const std::string_view taken = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
  return taken;
}

}  // namespace haul::postgres
