#include "base/types.h"

#include <charconv>

#include "base/format.h"

namespace haul {

std::string to_string(Lsn lsn) {
  return format("{:X}/{:X}", lsn.value >> 32, lsn.value & 0xFFFFFFFFU);
}

namespace {

std::optional<std::uint32_t> parse_hex_half(std::string_view text) {
  if (text.empty() || text.size() > 8) return std::nullopt;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<unsigned> lowercase_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  return std::nullopt;
}

}  // namespace

std::optional<Lsn> parse_lsn(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto high = parse_hex_half(text.substr(0, slash));
  const auto low = parse_hex_half(text.substr(slash + 1));
  if (!high || !low) return std::nullopt;
  return Lsn{(std::uint64_t{*high} << 32) | *low};
}

std::string to_hex(ByteSpan bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::byte b : bytes) {
    text.push_back(kDigits[std::to_integer<unsigned>(b) >> 4]);
    text.push_back(kDigits[std::to_integer<unsigned>(b) & 15]);
  }
  return text;
}

bool from_hex(std::string_view text, MutableByteSpan into) {
  if (text.size() != into.size() * 2) return false;
  for (std::size_t i = 0; i < into.size(); ++i) {
    const auto high = lowercase_digit(text[2 * i]);
    const auto low = lowercase_digit(text[2 * i + 1]);
    if (!high || !low) return false;
    into[i] = static_cast<std::byte>((*high << 4) | *low);
  }
  return true;
}

}  // namespace haul
