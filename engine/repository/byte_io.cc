#include "engine/repository/byte_io.h"

#include <algorithm>

#include "base/assert.h"

namespace haul::repository {

void ByteWriter::short_text(std::string_view text) {
  HAUL_ASSERT(text.size() <= UINT16_MAX);
  u16(static_cast<std::uint16_t>(text.size()));
  bytes(bytes_of(text));
}

void ByteWriter::pad_to_multiple_of(std::size_t alignment) {
  const std::size_t excess = buffer_.size() % alignment;
  if (excess != 0) zeros(alignment - excess);
}

void ByteWriter::patch(std::size_t offset, ByteSpan v) {
  HAUL_ASSERT(offset <= buffer_.size() && v.size() <= buffer_.size() - offset);
  std::ranges::copy(v, buffer_.begin() + static_cast<std::ptrdiff_t>(offset));
}

std::string ByteReader::short_text() {
  const std::size_t length = u16();
  return std::string(text_of(bytes(length)));
}

void ByteReader::zeros(std::size_t count) {
  const ByteSpan range = bytes(count);
  if (std::ranges::any_of(range, [](std::byte b) { return b != std::byte{0}; })) failed_ = true;
}

}  // namespace haul::repository
