#include "engine/postgres/wal_segment.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/format.h"
#include "engine/postgres/internal/little_endian.h"
#include "engine/postgres/internal/text.h"
#include "engine/postgres/internal/wal_page.h"

namespace haul::postgres {
namespace {

constexpr std::uint64_t kSegmentSizeMinBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kSegmentSizeMaxBytes = std::uint64_t{1} << 30;
// A segment's name holds the high 32 bits of its position and its number within them.
constexpr std::uint64_t kLogicalIdSizeBytes = std::uint64_t{1} << 32;
constexpr std::size_t kNameLength = 24;
constexpr std::string_view kHistorySuffix = ".history";

// Fields of XLogPageHeaderData and XLogLongPageHeaderData.
constexpr std::size_t kMagicAt = 0;
constexpr std::size_t kInfoAt = 2;
constexpr std::size_t kTimelineAt = 4;
constexpr std::size_t kPageAddressAt = 8;
constexpr std::size_t kRemainingAt = 16;
constexpr std::size_t kSystemIdentifierAt = 24;
constexpr std::size_t kSegmentSizeAt = 32;
constexpr std::size_t kBlockSizeAt = 36;

std::optional<std::uint32_t> parse_upper_hex(std::string_view text) {
  const bool strict = std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); });
  return strict ? parse_number<std::uint32_t>(text, 16) : std::nullopt;
}

bool all_zero(ByteSpan bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

bool is_valid_wal_segment_size(std::uint64_t size_bytes) {
  return std::has_single_bit(size_bytes) && size_bytes >= kSegmentSizeMinBytes &&
         size_bytes <= kSegmentSizeMaxBytes;
}

std::string to_name(const WalSegment& segment, std::uint32_t segment_size_bytes) {
  const std::uint64_t per_id = kLogicalIdSizeBytes / segment_size_bytes;
  return format("{:08X}{:08X}{:08X}", segment.timeline.value, segment.number / per_id,
                segment.number % per_id);
}

std::optional<WalSegment> parse_wal_segment_name(std::string_view name,
                                                 std::uint32_t segment_size_bytes) {
  HAUL_ASSERT(is_valid_wal_segment_size(segment_size_bytes));
  if (name.size() != kNameLength) return std::nullopt;
  const auto timeline = parse_upper_hex(name.substr(0, 8));
  const auto high = parse_upper_hex(name.substr(8, 8));
  const auto low = parse_upper_hex(name.substr(16, 8));
  const std::uint64_t per_id = kLogicalIdSizeBytes / segment_size_bytes;
  if (!timeline || *timeline == 0 || !high || !low || *low >= per_id) return std::nullopt;
  return WalSegment{TimelineId{*timeline}, *high * per_id + *low};
}

std::string timeline_history_name(TimelineId timeline) {
  return format("{:08X}{}", timeline.value, kHistorySuffix);
}

std::optional<TimelineId> parse_timeline_history_name(std::string_view name) {
  if (name.size() != 8 + kHistorySuffix.size() || !name.ends_with(kHistorySuffix)) {
    return std::nullopt;
  }
  const auto timeline = parse_upper_hex(name.substr(0, 8));
  // Timeline 1 has no ancestors and so no history.
  if (!timeline || *timeline < 2) return std::nullopt;
  return TimelineId{*timeline};
}

WalSegment segment_of(Lsn lsn, TimelineId timeline, std::uint32_t segment_size_bytes) {
  return {timeline, lsn.value / segment_size_bytes};
}

WalSegment segment_before(Lsn lsn, TimelineId timeline, std::uint32_t segment_size_bytes) {
  HAUL_ASSERT(lsn.valid());
  return {timeline, (lsn.value - 1) / segment_size_bytes};
}

std::uint16_t wal_page_magic(int server_major) {
  switch (server_major) {
    case 13: return 0xD106;
    case 14: return 0xD10D;
    case 15: return 0xD110;
    case 16: return 0xD113;
    case 17: return 0xD116;
    case 18: return 0xD118;
    default: return 0;
  }
}

Result<WalPageHeader> parse_wal_page_header(ByteSpan page) {
  if (page.size() < kWalPageHeaderSizeBytes) {
    return Error(ErrorCode::corrupt, format("WAL page of {} bytes has no header", page.size()));
  }
  WalPageHeader header;
  header.magic = load<std::uint16_t>(page, kMagicAt);
  header.info = load<std::uint16_t>(page, kInfoAt);
  header.timeline = TimelineId{load<std::uint32_t>(page, kTimelineAt)};
  header.page_address = Lsn{load<std::uint64_t>(page, kPageAddressAt)};
  header.remaining_size_bytes = load<std::uint32_t>(page, kRemainingAt);
  header.is_long = (header.info & internal::kLongHeaderFlag) != 0;
  if (!header.is_long) return header;
  if (page.size() < kWalLongPageHeaderSizeBytes) {
    return Error(ErrorCode::corrupt, format("WAL page of {} bytes has no header", page.size()));
  }
  header.system_identifier = load<std::uint64_t>(page, kSystemIdentifierAt);
  header.segment_size_bytes = load<std::uint32_t>(page, kSegmentSizeAt);
  header.block_size_bytes = load<std::uint32_t>(page, kBlockSizeAt);
  return header;
}

SegmentChecker::SegmentChecker(const WalGeometry& geometry, const WalSegment& segment,
                               std::uint64_t needed_size_bytes)
    : geometry_(geometry), segment_(segment) {
  HAUL_ASSERT(is_valid_wal_segment_size(geometry.segment_size_bytes));
  HAUL_ASSERT(std::has_single_bit(geometry.block_size_bytes));
  const std::uint64_t block = geometry.block_size_bytes;
  HAUL_ASSERT(needed_size_bytes > 0 && needed_size_bytes <= geometry.segment_size_bytes);
  needed_size_bytes_ = (needed_size_bytes + block - 1) / block * block;
}

Error SegmentChecker::damage(std::string_view what) const {
  return {ErrorCode::corrupt,
          format("WAL segment {}, offset {}: {}", to_name(segment_, geometry_.segment_size_bytes),
                 offset_, what)};
}

Status SegmentChecker::check_page(ByteSpan page) {
  // Only the zeros after a switch are without header, and a switch leaves at least the first page.
  if (offset_ > 0 && all_zero(page)) {
    after_switch_ = true;
    return ok();
  }
  if (after_switch_) return damage("data after pages of zeros");
  const WalPageHeader header = HAUL_TRY(parse_wal_page_header(page));
  const Lsn address{segment_.start(geometry_.segment_size_bytes).value + offset_};
  const std::string fault = internal::wal_page_fault(header, geometry_, address, segment_.timeline);
  return fault.empty() ? ok() : damage(fault);
}

Status SegmentChecker::check(ByteSpan pages) {
  const std::size_t block = geometry_.block_size_bytes;
  HAUL_ASSERT(pages.size() % block == 0);
  for (; !pages.empty() && !complete(); pages = pages.subspan(block)) {
    HAUL_TRY(check_page(pages.first(block)));
    offset_ += block;
  }
  return ok();
}

Status check_segment(ByteSpan bytes, const WalGeometry& geometry, const WalSegment& segment,
                     std::uint64_t needed_size_bytes) {
  if (bytes.size() != geometry.segment_size_bytes) {
    return Error(ErrorCode::corrupt, format("WAL segment {}: {} bytes instead of {}",
                                            to_name(segment, geometry.segment_size_bytes),
                                            bytes.size(), geometry.segment_size_bytes));
  }
  SegmentChecker checker(geometry, segment, needed_size_bytes);
  return checker.check(bytes);
}

}  // namespace haul::postgres
