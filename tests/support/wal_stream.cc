#include "tests/support/wal_stream.h"

#include <algorithm>

#include "base/assert.h"
#include "engine/postgres/crc32c.h"

namespace haul::support {
namespace {

using postgres::ImageCodec;

constexpr std::size_t kHeaderBytes = 24;
constexpr std::size_t kCrcAt = 20;

std::uint8_t image_flags(const WalBlockSpec& block, int server_major) {
  const bool before_15 = server_major < 15;
  unsigned flags = block.hole_offset != 0 ? 0x01 : 0;
  if (block.image_applied) flags |= before_15 ? 0x04 : 0x02;
  switch (block.image_codec) {
    case ImageCodec::none: break;
    case ImageCodec::pglz: flags |= before_15 ? 0x02 : 0x04; break;
    case ImageCodec::lz4: flags |= 0x08; break;
    case ImageCodec::zstd: flags |= 0x10; break;
  }
  return static_cast<std::uint8_t>(flags);
}

std::string block_header(const WalBlockSpec& block, int server_major) {
  unsigned flags = static_cast<unsigned>(block.fork);
  if (!block.image.empty()) flags |= 0x10;
  if (!block.data.empty()) flags |= 0x20;
  if (block.will_init) flags |= 0x40;
  if (block.same_relation) flags |= 0x80;
  std::string header = packed(block.id, static_cast<std::uint8_t>(flags),
                              static_cast<std::uint16_t>(block.data.size()));
  if (!block.image.empty()) {
    header += packed(static_cast<std::uint16_t>(block.image.size()), block.hole_offset,
                     image_flags(block, server_major));
    if (block.image_codec != ImageCodec::none && block.hole_offset != 0) {
      header += packed(block.hole_size_bytes);
    }
  }
  if (!block.same_relation) {
    header +=
        packed(block.relation.tablespace, block.relation.database, block.relation.relfilenode);
  }
  return header + packed(block.block);
}

std::string main_data_header(std::size_t size_bytes) {
  if (size_bytes == 0) return "";
  if (size_bytes < 256) return packed(std::uint8_t{255}, static_cast<std::uint8_t>(size_bytes));
  return packed(std::uint8_t{254}, static_cast<std::uint32_t>(size_bytes));
}

}  // namespace

void seal_wal_record(WalBytes& record) {
  const ByteSpan bytes = record;
  const std::uint32_t crc =
      postgres::Crc32c().update(bytes.subspan(kHeaderBytes)).update(bytes.first(kCrcAt)).finish();
  std::memcpy(record.data() + kCrcAt, &crc, sizeof crc);
}

WalBytes encode_wal_record(const WalRecordSpec& spec, int server_major, Lsn previous) {
  std::string parts;
  std::string data;
  for (const WalBlockSpec& block : spec.blocks) {
    parts += block_header(block, server_major);
    data += block.image + block.data;
  }
  if (spec.origin != 0) parts += packed(std::uint8_t{253}, spec.origin);
  if (spec.top_level_xid != 0) parts += packed(std::uint8_t{252}, spec.top_level_xid);
  parts += main_data_header(spec.main_data.size());
  parts += data + spec.main_data;
  const auto size_bytes = static_cast<std::uint32_t>(kHeaderBytes + parts.size());
  const std::string header = packed(size_bytes, spec.xid, previous.value, spec.info, spec.manager,
                                    std::uint16_t{0}, std::uint32_t{0});
  const std::string text = header + parts;
  const ByteSpan bytes = bytes_of(text);
  WalBytes record(bytes.begin(), bytes.end());
  seal_wal_record(record);
  return record;
}

WalStream::WalStream(const postgres::WalGeometry& geometry, TimelineId timeline,
                     std::uint64_t first_segment)
    : geometry_(geometry),
      timeline_(timeline),
      start_{first_segment * geometry.segment_size_bytes},
      previous_{start_.value - 64} {}

std::size_t WalStream::page_room() const {
  const std::size_t block = geometry_.block_size_bytes;
  return block - bytes_.size() % block;
}

void WalStream::begin_page(std::uint16_t flags, std::uint32_t remaining_size_bytes) {
  const bool is_first = position().value % geometry_.segment_size_bytes == 0;
  const auto info = static_cast<std::uint16_t>(flags | (is_first ? 0x02 : 0));
  std::string header =
      packed(postgres::wal_page_magic(geometry_.server_major), info, timeline_.value,
             position().value, remaining_size_bytes, std::uint32_t{0});
  if (is_first) {
    header += packed(geometry_.system_identifier, geometry_.segment_size_bytes,
                     geometry_.block_size_bytes);
  }
  put(bytes_of(header));
}

Lsn WalStream::append(const WalRecordSpec& spec) {
  return append_bytes(encode_wal_record(spec, geometry_.server_major, previous_));
}

void WalStream::put_piece(ByteSpan& record) {
  const std::size_t piece = std::min(record.size(), page_room());
  put(record.first(piece));
  record = record.subspan(piece);
}

Lsn WalStream::append_bytes(ByteSpan record) {
  if (bytes_.size() % geometry_.block_size_bytes == 0) {
    begin_page(next_page_overwrites_ ? 0x08 : 0, 0);
    next_page_overwrites_ = false;
  }
  const Lsn lsn = position();
  put_piece(record);
  while (!record.empty()) {
    begin_page(0x01, static_cast<std::uint32_t>(record.size()));
    put_piece(record);
  }
  align();
  previous_ = lsn;
  return lsn;
}

Lsn WalStream::append_cut_off(const WalRecordSpec& spec, int pages) {
  HAUL_ASSERT(page_room() < geometry_.block_size_bytes);
  const WalBytes record = encode_wal_record(spec, geometry_.server_major, previous_);
  const Lsn lsn = position();
  ByteSpan rest = record;
  put_piece(rest);
  for (int page = 1; page < pages; ++page) {
    begin_page(0x01, static_cast<std::uint32_t>(rest.size()));
    put_piece(rest);
  }
  HAUL_ASSERT(!rest.empty());
  next_page_overwrites_ = true;
  return lsn;
}

Lsn WalStream::append_switch() {
  WalRecordSpec spec;
  spec.info = 0x40;
  const Lsn lsn = append(spec);
  const std::size_t segment = geometry_.segment_size_bytes;
  bytes_.resize((bytes_.size() + segment - 1) / segment * segment);
  return lsn;
}

void WalStream::fill_page_to(std::size_t room_bytes) {
  WalRecordSpec spec;
  spec.info = 0x20;  // XLOG_NOOP
  if (page_room() == geometry_.block_size_bytes) append(spec);
  HAUL_ASSERT(page_room() >= room_bytes + 32 || page_room() == room_bytes);
  if (page_room() == room_bytes) return;
  const std::size_t size_bytes = page_room() - room_bytes;
  // A length takes two bytes up to 255 of data, five beyond.
  const std::size_t data_bytes = size_bytes - kHeaderBytes - 2;
  spec.main_data.assign(data_bytes < 256 ? data_bytes : data_bytes - 3, 'f');
  append(spec);
}

WalBytes WalStream::segments() const {
  const std::size_t segment = geometry_.segment_size_bytes;
  WalBytes bytes = bytes_;
  bytes.resize((bytes.size() + segment - 1) / segment * segment);
  return bytes;
}

}  // namespace haul::support
