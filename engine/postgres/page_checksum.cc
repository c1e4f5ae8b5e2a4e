#include "engine/postgres/page_checksum.h"

#include <bit>
#include <cstring>

#include "base/assert.h"
#include "engine/postgres/internal/page_checksum_kernels.h"

namespace haul::postgres {
namespace {

static_assert(std::endian::native == std::endian::little,
              "page headers are read as a little-endian server wrote them");

// Offsets in PageHeaderData (bufpage.h). pd_lsn is two 32-bit halves, the upper one first.
constexpr std::size_t kLsnHighOffset = 0;
constexpr std::size_t kLsnLowOffset = 4;
constexpr std::size_t kChecksumOffset = 8;
constexpr std::size_t kUpperOffset = 14;

template <typename Integer>
Integer load(ByteSpan page, std::size_t offset) {
  HAUL_ASSERT(is_page_size(page.size()));
  Integer value;
  std::memcpy(&value, page.data() + offset, sizeof value);
  return value;
}

// The last byte is zero and every byte equals its successor: memcmp is the C library's best vector
// code for this processor.
bool all_zero(ByteSpan page) {
  return page.back() == std::byte{0} &&
         std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0;
}

}  // namespace

bool is_page_size(std::size_t size_bytes) {
  return std::has_single_bit(size_bytes) && size_bytes >= kPageSizeMinBytes &&
         size_bytes <= kPageSizeMaxBytes;
}

Lsn page_lsn(ByteSpan page) {
  const std::uint64_t high = load<std::uint32_t>(page, kLsnHighOffset);
  return Lsn{(high << 32) | load<std::uint32_t>(page, kLsnLowOffset)};
}

std::uint16_t stored_checksum(ByteSpan page) { return load<std::uint16_t>(page, kChecksumOffset); }

bool is_new(ByteSpan page) { return load<std::uint16_t>(page, kUpperOffset) == 0; }

std::uint16_t page_checksum(ByteSpan page, std::uint32_t block_number) {
  HAUL_ASSERT(is_page_size(page.size()));
  // The block number tells a page that was written to the wrong place.
  const std::uint32_t folded = internal::page_checksum_kernels().back().fold(page) ^ block_number;
  return static_cast<std::uint16_t>(folded % 65535 + 1);
}

PageVerdict check_page(ByteSpan page, std::uint32_t block_number) {
  if (is_new(page)) return all_zero(page) ? PageVerdict::zero : PageVerdict::bad;
  const bool matches = stored_checksum(page) == page_checksum(page, block_number);
  return matches ? PageVerdict::good : PageVerdict::bad;
}

}  // namespace haul::postgres
