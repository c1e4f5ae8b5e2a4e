#include "engine/backup/path_key.h"

#include <algorithm>

#include "base/assert.h"

namespace haul::backup {

namespace {

// In the order of compare_paths(): the end, '/', other characters with all digits side by side.
constexpr std::uint8_t kEnd = 0;
constexpr std::uint8_t kSlash = 1;
constexpr std::uint8_t kNumber = '0';  // no other character becomes this one

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Moves what is below '/' up by one, into its place, and leaves the rest.
std::uint8_t character_key(char c) {
  const auto value = static_cast<std::uint8_t>(c);
  if (c == '/') return kSlash;
  return value < '/' ? static_cast<std::uint8_t>(value + 1) : value;
}

}  // namespace

void append_path_key(repository::ByteWriter& out, std::string_view path) {
  HAUL_ASSERT(path.size() <= UINT16_MAX && path.find('\0') == std::string_view::npos);
  for (std::string_view rest = path; !rest.empty();) {
    if (!is_digit(rest.front())) {
      out.u8(character_key(rest.front()));
      rest.remove_prefix(1);
      continue;
    }
    const std::size_t digits = std::min(rest.find_first_not_of("0123456789"), rest.size());
    std::string_view number = rest.substr(0, digits);
    rest.remove_prefix(digits);
    number.remove_prefix(std::min(number.find_first_not_of('0'), number.size()));
    // Of two numbers the one with more digits is larger.
    out.u8(kNumber);
    out.u8(static_cast<std::uint8_t>(number.size() >> 8));
    out.u8(static_cast<std::uint8_t>(number.size()));
    out.bytes(bytes_of(number));
  }
  out.u8(kEnd);
  // Leading zeros decide last.
  out.bytes(bytes_of(path));
  out.u8(kEnd);
}

std::string_view path_of_key(ByteSpan key) {
  const std::string_view text = text_of(key.first(key.size() - 1));
  return text.substr(text.rfind('\0') + 1);
}

}  // namespace haul::backup
