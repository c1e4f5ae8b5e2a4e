// WAL segment files: their names, and the page headers within.
//
// Units:    a segment number counts from 0 in steps of the segment size; sizes are bytes.
// Memory:   SegmentChecker keeps no data, only where it is.
// Threads:  functions over values; a checker has one owner at a time.
// Errors:   corrupt (a header or a name that is not what the position demands).
// Format:   PostgreSQL's xlog_internal.h, 13 to 18, little-endian.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/types.h"

namespace haul::postgres {

// 1 MiB to 1 GiB, a power of two.
bool is_valid_wal_segment_size(std::uint64_t size_bytes);

struct WalSegment {
  TimelineId timeline;
  std::uint64_t number = 0;

  auto operator<=>(const WalSegment&) const = default;

  Lsn start(std::uint32_t segment_size_bytes) const { return {number * segment_size_bytes}; }
  Lsn end(std::uint32_t segment_size_bytes) const { return {(number + 1) * segment_size_bytes}; }
};

// "000000010000000A000000FF"
std::string to_name(const WalSegment& segment, std::uint32_t segment_size_bytes);
// 24 uppercase hexadecimal digits, a timeline of at least 1, a low part that the segment size
// allows.
std::optional<WalSegment> parse_wal_segment_name(std::string_view name,
                                                 std::uint32_t segment_size_bytes);
// "00000002.history"
std::string timeline_history_name(TimelineId timeline);
std::optional<TimelineId> parse_timeline_history_name(std::string_view name);

// The segment that holds the byte at `lsn`.
WalSegment segment_of(Lsn lsn, TimelineId timeline, std::uint32_t segment_size_bytes);
// The segment that holds the last byte before `lsn`: the last one a backup ending there needs.
WalSegment segment_before(Lsn lsn, TimelineId timeline, std::uint32_t segment_size_bytes);

// xlp_magic of a release; 0 for one that is not 13 to 18.
std::uint16_t wal_page_magic(int server_major);

inline constexpr std::size_t kWalPageHeaderSizeBytes = 24;
inline constexpr std::size_t kWalLongPageHeaderSizeBytes = 40;

struct WalPageHeader {
  std::uint16_t magic = 0;
  std::uint16_t info = 0;
  TimelineId timeline;
  Lsn page_address;
  std::uint32_t remaining_size_bytes = 0;
  // Only in a long header, on the first page of a segment.
  bool is_long = false;
  std::uint64_t system_identifier = 0;
  std::uint32_t segment_size_bytes = 0;
  std::uint32_t block_size_bytes = 0;
};

// Needs 40 bytes when the long flag is set, else 24; no judgement beyond that.
Result<WalPageHeader> parse_wal_page_header(ByteSpan page);

// What the pages of one cluster's WAL have in common.
struct WalGeometry {
  int server_major = 0;
  std::uint64_t system_identifier = 0;
  std::uint32_t segment_size_bytes = 0;
  std::uint32_t block_size_bytes = 0;
};

// Checks the pages of one segment in order. A page must carry its release's magic, its own address,
// known flags and a timeline not after the segment's; the first one also system id and sizes. After
// a WAL switch the server leaves whole pages of zeros, to the end of the segment.
class SegmentChecker {
 public:
  // Pages from `needed_size_bytes` on are not looked at; it is rounded up to whole pages.
  SegmentChecker(const WalGeometry& geometry, const WalSegment& segment,
                 std::uint64_t needed_size_bytes);

  // The next bytes; any whole number of pages.
  Status check(ByteSpan pages);
  // All needed pages were seen.
  bool complete() const { return offset_ >= needed_size_bytes_; }

 private:
  Status check_page(ByteSpan page);
  Error damage(std::string_view what) const;

  WalGeometry geometry_;
  WalSegment segment_;
  std::uint64_t needed_size_bytes_;
  std::uint64_t offset_ = 0;
  bool after_switch_ = false;
};

// A whole segment at once: its size, and the pages up to `needed_size_bytes`.
Status check_segment(ByteSpan bytes, const WalGeometry& geometry, const WalSegment& segment,
                     std::uint64_t needed_size_bytes);

}  // namespace haul::postgres
