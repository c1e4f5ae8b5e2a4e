#include "engine/postgres/wal_reader.h"

#include <algorithm>
#include <bit>

#include "base/format.h"
#include "engine/postgres/internal/little_endian.h"
#include "engine/postgres/internal/wal_page.h"
#include "engine/postgres/internal/wal_version.h"

namespace haul::postgres {
namespace {

// Records begin at multiples of this (MAXALIGN).
constexpr std::uint64_t kRecordAlignment = 8;
constexpr std::size_t kBlockSizeMinBytes = 1024;  // what a server can be built with
constexpr std::size_t kBlockSizeMaxBytes = 65536;

constexpr std::uint8_t kOverwriteOperation = 0xD0;  // XLOG_OVERWRITE_CONTRECORD

std::uint64_t aligned(std::uint64_t size_bytes) {
  return (size_bytes + kRecordAlignment - 1) & ~(kRecordAlignment - 1);
}

bool continues_record(const WalPageHeader& header) {
  return (header.info & internal::kFirstIsContinuationFlag) != 0;
}

bool overwrites_record(const WalPageHeader& header) {
  return (header.info & internal::kFirstIsOverwriteFlag) != 0;
}

Status check_geometry(const WalGeometry& geometry) {
  if (internal::find_wal_version(geometry.server_major) == nullptr) {
    return Error(ErrorCode::unsupported,
                 format("WAL of PostgreSQL {} is not known", geometry.server_major));
  }
  const std::uint32_t block = geometry.block_size_bytes;
  if (!is_valid_wal_segment_size(geometry.segment_size_bytes) || !std::has_single_bit(block) ||
      block < kBlockSizeMinBytes || block > kBlockSizeMaxBytes) {
    return Error(ErrorCode::unsupported, format("WAL segments of {} bytes in pages of {} bytes",
                                                geometry.segment_size_bytes, block));
  }
  return ok();
}

}  // namespace

Result<ByteSpan> WalPagesInMemory::pages_at(Lsn page) {
  const std::size_t whole_bytes = bytes_.size() - bytes_.size() % geometry_.block_size_bytes;
  if (page < start_ || page.value - start_.value >= whole_bytes) return ByteSpan();
  const std::uint64_t offset = page.value - start_.value;
  const std::uint64_t segment = geometry_.segment_size_bytes;
  return bytes_.subspan(offset, std::min(whole_bytes - offset, segment - page.value % segment));
}

Result<WalReader> WalReader::open(const WalGeometry& geometry, TimelineId timeline,
                                  const WalRange& range, WalPageSource& source) {
  HAUL_TRY(check_geometry(geometry));
  WalReader reader(geometry, timeline, range, source);
  const Lsn page = reader.page_of(range.begin);
  const std::uint64_t offset = range.begin.value - page.value;
  if (offset % kRecordAlignment != 0 || (offset != 0 && offset < reader.header_size(page))) {
    return Error(ErrorCode::usage, format("no WAL record can begin at {}", to_string(range.begin)));
  }
  return reader;
}

WalReader::WalReader(const WalGeometry& geometry, TimelineId timeline, const WalRange& range,
                     WalPageSource& source)
    : geometry_(geometry), timeline_(timeline), range_(range), source_(&source) {}

// Sizes are powers of two, and a mask is an order of magnitude faster than a division.
Lsn WalReader::page_of(Lsn lsn) const {
  return {lsn.value & ~(std::uint64_t{geometry_.block_size_bytes} - 1)};
}

std::size_t WalReader::header_size(Lsn page) const {
  return (page.value & (geometry_.segment_size_bytes - 1)) == 0 ? kWalLongPageHeaderSizeBytes
                                                                : kWalPageHeaderSizeBytes;
}

// Where a record that would begin at `lsn` begins: behind the header, when this is a page's start.
Lsn WalReader::after_page_header(Lsn lsn) const {
  return lsn == page_of(lsn) ? Lsn{lsn.value + header_size(lsn)} : lsn;
}

bool WalReader::end_at(Lsn lsn, WalEnd::Kind kind, std::string reason) {
  end_ = WalEnd{kind, lsn, std::move(reason)};
  return false;
}

bool WalReader::no_record(std::string reason) {
  return end_at(next_, WalEnd::Kind::no_record, std::move(reason));
}

const WalEnd& WalReader::end() const {
  HAUL_ASSERT(end_.has_value());
  return *end_;
}

Error WalReader::failure() const {
  const WalSegment segment = segment_of(end_->lsn, timeline_, geometry_.segment_size_bytes);
  const ErrorCode code =
      end_->kind == WalEnd::Kind::absent ? ErrorCode::not_found : ErrorCode::corrupt;
  return {code, format("WAL at {} (segment {}): {}", to_string(end_->lsn),
                       to_name(segment, geometry_.segment_size_bytes), end_->reason)};
}

Result<const WalRecord*> WalReader::next() {
  if (!end_ && !begun_) begun_ = HAUL_TRY(begin());
  if (!end_ && HAUL_TRY(read_record())) return &record_;
  if (end_->kind != WalEnd::Kind::stopped && end_->lsn < range_.required_end) return failure();
  return nullptr;
}

// Only a segment's first page tells which cluster it is of, so that one is looked at as well.
Result<bool> WalReader::begin() {
  next_ = range_.begin;
  if (next_ >= range_.stop) return end_at(next_, WalEnd::Kind::stopped, "");
  const WalSegment segment = segment_of(next_, timeline_, geometry_.segment_size_bytes);
  if (!HAUL_TRY(load_page(segment.start(geometry_.segment_size_bytes)))) return false;
  return next_ == page_of(next_) ? skip_to_first_record() : true;
}

// Passes over what is left of a record that began before the first page, if there is one.
Result<bool> WalReader::skip_to_first_record() {
  std::optional<std::uint64_t> expected_bytes;
  for (Lsn page = next_; page < range_.stop; page.value += geometry_.block_size_bytes) {
    next_ = page;
    if (!HAUL_TRY(load_page(page))) return false;
    next_ = after_page_header(page);
    if (overwrites_record(page_header_)) return true;
    const std::uint64_t left_bytes = page_header_.remaining_size_bytes;
    if (expected_bytes && left_bytes != *expected_bytes) {
      return no_record(
          format("{} bytes of a record go on here instead of {}", left_bytes, *expected_bytes));
    }
    const std::size_t room_bytes = geometry_.block_size_bytes - header_size(page);
    if (left_bytes <= room_bytes) {
      next_.value += aligned(left_bytes);
      return true;
    }
    expected_bytes = left_bytes - room_bytes;
  }
  next_ = range_.stop;
  return end_at(next_, WalEnd::Kind::stopped, "");
}

Result<bool> WalReader::load_page(Lsn page) {
  if (page_ == page) return true;
  const std::size_t block = geometry_.block_size_bytes;
  // Of a page before the run the difference wraps around.
  if (page.value - run_start_.value >= run_.size()) {
    run_ = HAUL_TRY(source_->pages_at(page));
    run_start_ = page;
    HAUL_ASSERT(run_.size() % block == 0);
    if (run_.empty()) return end_at(next_, WalEnd::Kind::absent, "there is no more WAL");
  }
  page_bytes_ = run_.subspan(page.value - run_start_.value, block);
  page_header_ = HAUL_TRY(parse_wal_page_header(page_bytes_));
  if (!check_page(page)) return false;
  page_ = page;
  if (page >= newest_page_) {
    newest_page_ = page;
    newest_timeline_ = page_header_.timeline;
  }
  return true;
}

bool WalReader::check_page(Lsn page) {
  std::string fault = internal::wal_page_fault(page_header_, geometry_, page, timeline_);
  if (!fault.empty()) return no_record(std::move(fault));
  // After an error of the source an older page is loaded again.
  if (page > newest_page_ && page_header_.timeline < newest_timeline_) {
    return no_record(format("page of timeline {} after one of timeline {}",
                            page_header_.timeline.value, newest_timeline_.value));
  }
  if (continues_record(page_header_) != (page_header_.remaining_size_bytes != 0)) {
    return no_record(format("page flags {:04X} with {} bytes of a record going on",
                            page_header_.info, page_header_.remaining_size_bytes));
  }
  return true;
}

Result<bool> WalReader::read_record() {
  ByteSpan bytes;
  do {
    next_ = after_page_header(next_);
    if (next_ >= range_.stop) return end_at(next_, WalEnd::Kind::stopped, "");
    if (!HAUL_TRY(load_page(page_of(next_)))) return false;
    if (!HAUL_TRY(take_record_bytes(bytes))) return false;
  } while (bytes.empty());
  return accept(bytes);
}

// Where the record is in one piece, else together in assembly_. Nothing when it was cut off and
// another one took its place, which is next then.
Result<bool> WalReader::take_record_bytes(ByteSpan& bytes) {
  const Lsn page = page_of(next_);
  const std::size_t offset = next_.value - page.value;
  if (offset == header_size(page) && continues_record(page_header_)) {
    return no_record("a record goes on where one should begin");
  }
  const ByteSpan rest = page_bytes_.subspan(offset);
  // Records are aligned: the length is always on the page where the record begins.
  const std::uint32_t size_bytes = wal_record_size(rest);
  if (size_bytes < kWalRecordHeaderSizeBytes || size_bytes > kWalRecordSizeMaxBytes) {
    return no_record(format("record length {}", size_bytes));
  }
  if (size_bytes <= rest.size()) {
    bytes = rest.first(size_bytes);
    record_end_ = Lsn{next_.value + aligned(size_bytes)};
    return true;
  }
  assembly_.assign(rest.begin(), rest.end());
  switch (HAUL_TRY(assemble(size_bytes))) {
    case Assembly::whole: bytes = assembly_; return true;
    case Assembly::overwritten: bytes = {}; return true;
    case Assembly::ended: return false;
  }
  return false;
}

Result<WalReader::Assembly> WalReader::assemble(std::uint32_t size_bytes) {
  Lsn page = page_of(next_);
  while (assembly_.size() < size_bytes) {
    page.value += geometry_.block_size_bytes;
    if (!HAUL_TRY(load_page(page))) return Assembly::ended;
    if (overwrites_record(page_header_)) {
      overwritten_ = next_;
      next_ = page;
      return Assembly::overwritten;
    }
    const std::size_t left_bytes = size_bytes - assembly_.size();
    if (page_header_.remaining_size_bytes != left_bytes) {
      no_record(format("record of {} bytes goes on at {} with {} bytes instead of {}", size_bytes,
                       to_string(page), page_header_.remaining_size_bytes, left_bytes));
      return Assembly::ended;
    }
    const ByteSpan piece = page_bytes_.subspan(header_size(page));
    const ByteSpan taken = piece.first(std::min(piece.size(), left_bytes));
    assembly_.insert(assembly_.end(), taken.begin(), taken.end());
    record_end_ = Lsn{page.value + header_size(page) + aligned(taken.size())};
  }
  return Assembly::whole;
}

bool WalReader::accept(ByteSpan bytes) {
  // The first record's predecessor is not known, only that it began before the range did. That also
  // shows a length, skipped at the start, that led past the first record.
  const Lsn previous = wal_record_previous(bytes);
  if (previous_.valid() ? previous != previous_ : previous >= range_.begin) {
    return no_record(format("record says that it follows {}", to_string(previous)));
  }
  const Status decoded = decode_wal_record(bytes, geometry_.server_major, record_);
  if (!decoded) return no_record(decoded.error().message());
  if (overwritten_ && !check_overwrite()) return false;
  const std::uint64_t segment = geometry_.segment_size_bytes;
  if (record_.is_wal_switch()) {
    record_end_.value = (record_end_.value + segment - 1) / segment * segment;
  }
  record_.lsn = next_;
  record_.end = record_end_;
  previous_ = next_;
  next_ = record_end_;
  return true;
}

// What stands in place of the rest of a record has to name it.
bool WalReader::check_overwrite() {
  const bool names_it = record_.manager == ResourceManager::xlog &&
                        record_.operation() == kOverwriteOperation &&
                        record_.main_data.size() >= sizeof(std::uint64_t) &&
                        load<std::uint64_t>(record_.main_data, 0) == overwritten_->value;
  if (!names_it) {
    return no_record(format("record in place of the one cut off at {} does not name it",
                            to_string(*overwritten_)));
  }
  overwritten_.reset();
  return true;
}

}  // namespace haul::postgres
