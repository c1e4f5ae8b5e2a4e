#include "engine/restore/marker.h"

#include <charconv>
#include <optional>

#include "base/format.h"

namespace haul::restore {

namespace {

constexpr std::string_view kSentence =
    "A restore began here and has not finished. This is no whole cluster.\n";
constexpr std::string_view kIdentifier = "system identifier: ";
constexpr std::string_view kTablespace = "tablespace: ";

// The value of the next line, which has to have this name; a backslash stands before a newline or a
// backslash of the value.
std::optional<std::string> take_value(std::string_view& text, std::string_view name) {
  if (!text.starts_with(name)) return std::nullopt;
  std::string value;
  for (std::size_t at = name.size(); at < text.size(); ++at) {
    if (text[at] == '\n') {
      text.remove_prefix(at + 1);
      return value;
    }
    if (text[at] == '\\' && ++at == text.size()) break;
    value.push_back(text[at]);
  }
  return std::nullopt;
}

std::string escaped(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\n' || c == '\\') text.push_back('\\');
    text.push_back(c);
  }
  return text;
}

}  // namespace

std::string to_text(const Marker& marker) {
  std::string text = format("{}{}{}\n", kSentence, kIdentifier, marker.system_identifier);
  for (const std::string& place : marker.tablespaces) {
    text += format("{}{}\n", kTablespace, escaped(place));
  }
  return text;
}

Result<Marker> parse_marker(std::string_view text) {
  const Error broken(ErrorCode::corrupt, "not the marker of an unfinished restore");
  if (!text.starts_with(kSentence)) return broken;
  text.remove_prefix(kSentence.size());
  const auto identifier = take_value(text, kIdentifier);
  if (!identifier) return broken;
  Marker marker;
  const char* const end = identifier->data() + identifier->size();
  const auto [stop, error] = std::from_chars(identifier->data(), end, marker.system_identifier);
  if (error != std::errc{} || stop != end) return broken;
  while (!text.empty()) {
    auto place = take_value(text, kTablespace);
    if (!place) return broken;
    marker.tablespaces.push_back(*std::move(place));
  }
  return marker;
}

}  // namespace haul::restore
