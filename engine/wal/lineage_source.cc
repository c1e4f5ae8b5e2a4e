#include "engine/wal/lineage_source.h"

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"

namespace haul::wal {

using postgres::WalSegment;

WalSegment WalRoute::segment(std::uint64_t number) const {
  const std::uint32_t size = geometry.segment_size_bytes;
  const Lsn end = WalSegment{{}, number}.end(size);
  WalSegment segment{lineage.periods.front().timeline, number};
  for (const TimelinePeriod& period : lineage.periods) {
    if (period.begin < end) segment.timeline = period.timeline;
  }
  return segment;
}

WalName WalRoute::name(const WalSegment& segment) const {
  auto name = parse_wal_name(postgres::to_name(segment, geometry.segment_size_bytes));
  HAUL_ASSERT(name.has_value());
  return *std::move(name);
}

Result<ByteSpan> LineageSource::pages_at(Lsn page) {
  const std::uint32_t size = route_->geometry.segment_size_bytes;
  const std::uint64_t number = page.value / size;
  if (number_ != number) HAUL_TRY(enter(number));
  if (!archived_ && file_ == nullptr) return ByteSpan();
  const std::uint64_t offset = page.value % size;
  const std::size_t frame = offset / kFrameBytes;
  if (frame_ != frame) HAUL_TRY(load(frame));
  const std::size_t within = offset % kFrameBytes;
  return within < content_.size() ? content_.subspan(within) : ByteSpan();
}

Status LineageSource::enter(std::uint64_t number) {
  number_.reset();
  frame_.reset();
  archived_.reset();
  file_.reset();
  const WalSegment segment = route_->segment(number);
  const WalName name = route_->name(segment);
  auto archived = WalFrames::open(route_->cluster, {route_->geometry.system_identifier, name});
  if (archived) {
    const WalFacts& facts = archived->header().facts;
    if (facts.segment_size_bytes != route_->geometry.segment_size_bytes ||
        facts.server_major != route_->geometry.server_major) {
      return Error(ErrorCode::corrupt,
                   format("archived WAL segment {} is of PostgreSQL {} with segments of {} bytes",
                          name.text, facts.server_major, facts.segment_size_bytes));
    }
    archived_ = std::move(archived).take();
  } else if (archived.error().code() != ErrorCode::not_found) {
    return std::move(archived).take_error();
  } else if (route_->wal_directory != nullptr) {
    auto file = route_->wal_directory->open_file(name.text, io::Caching::buffered);
    if (!file && file.error().code() != ErrorCode::not_found) return std::move(file).take_error();
    if (file) file_ = std::move(file).take();
  }
  if (archived_ || file_ != nullptr) {
    newest_timeline_ = std::max(newest_timeline_, segment.timeline);
  }
  number_ = number;
  return ok();
}

Status LineageSource::load(std::size_t frame) {
  frame_.reset();
  if (archived_) {
    content_ = HAUL_TRY(archived_->read(frame));
  } else {
    from_file_ = HAUL_TRY(read_file(frame));
    content_ = from_file_;
  }
  bytes_read_ += content_.size();
  frame_ = frame;
  return ok();
}

// Whole pages; a file is shorter only while it is made.
Result<std::vector<std::byte>> LineageSource::read_file(std::size_t frame) const {
  std::vector<std::byte> bytes(kFrameBytes);
  const std::size_t size = HAUL_TRY(file_->read_at(std::uint64_t{frame} * kFrameBytes, bytes));
  bytes.resize(size - size % route_->geometry.block_size_bytes);
  return bytes;
}

}  // namespace haul::wal
