#include "engine/postgres/internal/wal_page.h"

#include "base/format.h"

namespace haul::postgres::internal {
namespace {

std::string first_page_fault(const WalPageHeader& header, const WalGeometry& geometry) {
  if (!header.is_long) return "first page lacks the long header";
  if (header.system_identifier != geometry.system_identifier) {
    return format("belongs to system identifier {}, not {}", header.system_identifier,
                  geometry.system_identifier);
  }
  if (header.segment_size_bytes != geometry.segment_size_bytes) {
    return format("made for segments of {} bytes", header.segment_size_bytes);
  }
  if (header.block_size_bytes != geometry.block_size_bytes) {
    return format("made for pages of {} bytes", header.block_size_bytes);
  }
  return "";
}

}  // namespace

std::string wal_page_fault(const WalPageHeader& header, const WalGeometry& geometry, Lsn address,
                           TimelineId newest) {
  const std::uint16_t magic = wal_page_magic(geometry.server_major);
  if (header.magic != magic) {
    return format("page magic {:04X} instead of {:04X}", header.magic, magic);
  }
  if (header.page_address != address) {
    return format("page address {} instead of {}", to_string(header.page_address),
                  to_string(address));
  }
  if ((header.info & ~kKnownPageFlags) != 0) return format("page flags {:04X}", header.info);
  if (header.timeline.value == 0 || header.timeline > newest) {
    return format("page of timeline {}", header.timeline.value);
  }
  if (address.value % geometry.segment_size_bytes == 0) return first_page_fault(header, geometry);
  return header.is_long ? "long header within the segment" : "";
}

}  // namespace haul::postgres::internal
