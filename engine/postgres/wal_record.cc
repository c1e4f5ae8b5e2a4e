#include "engine/postgres/wal_record.h"

#include "base/format.h"
#include "engine/postgres/crc32c.h"
#include "engine/postgres/internal/field_reader.h"
#include "engine/postgres/internal/little_endian.h"
#include "engine/postgres/internal/wal_version.h"

namespace haul::postgres {
namespace {

using internal::FieldReader;
using internal::WalVersion;

// Fields of XLogRecord.
constexpr std::size_t kTotalSizeAt = 0;
constexpr std::size_t kXidAt = 4;
constexpr std::size_t kPreviousAt = 8;
constexpr std::size_t kInfoAt = 16;
constexpr std::size_t kManagerAt = 17;
constexpr std::size_t kCrcAt = 20;

// What a part of the record begins with: the number of a block reference, or one of these.
constexpr std::uint8_t kMainDataShortId = 255;
constexpr std::uint8_t kMainDataLongId = 254;
constexpr std::uint8_t kOriginId = 253;
constexpr std::uint8_t kTopLevelXidId = 252;

// fork_flags
constexpr std::uint8_t kForkMask = 0x0F;
constexpr std::uint8_t kHasImageFlag = 0x10;
constexpr std::uint8_t kHasDataFlag = 0x20;
constexpr std::uint8_t kWillInitFlag = 0x40;
constexpr std::uint8_t kSameRelationFlag = 0x80;

// bimg_info; the other bits are the version's.
constexpr std::uint8_t kImageHasHoleFlag = 0x01;
// The largest block size that a server can be built with.
constexpr std::size_t kPageSizeMaxBytes = 32768;

constexpr std::uint8_t kBuiltinManagerMax = 21;
constexpr std::uint8_t kCustomManagerMin = 128;

Error damage(std::string message) { return {ErrorCode::corrupt, std::move(message)}; }

bool is_known_manager(std::uint8_t manager, const WalVersion& version) {
  return manager <= kBuiltinManagerMax ||
         (version.has_custom_managers && manager >= kCustomManagerMin);
}

// The checksum covers the data first and then the header up to the checksum itself.
bool checksum_matches(ByteSpan bytes) {
  const std::uint32_t crc = Crc32c()
                                .update(bytes.subspan(kWalRecordHeaderSizeBytes))
                                .update(bytes.first(kCrcAt))
                                .finish();
  return crc == load<std::uint32_t>(bytes, kCrcAt);
}

ImageCodec image_codec(std::uint8_t info, const WalVersion& version) {
  if ((info & version.image_pglz_flag) != 0) return ImageCodec::pglz;
  if ((info & version.image_lz4_flag) != 0) return ImageCodec::lz4;
  if ((info & version.image_zstd_flag) != 0) return ImageCodec::zstd;
  return ImageCodec::none;
}

// The parts of a record, read one after another: first all headers, then what they announce.
class PartReader {
 public:
  PartReader(ByteSpan parts, const WalVersion& version, WalRecord& record)
      : fields_(parts), version_(version), record_(record) {}

  Status read() {
    HAUL_TRY(read_headers());
    if (fields_.ran_short()) return damage("record ends within its headers");
    if (fields_.rest().size() != announced_bytes_) {
      return damage(format("record holds {} bytes of data instead of {}", fields_.rest().size(),
                           announced_bytes_));
    }
    take_data();
    return ok();
  }

 private:
  Status read_headers() {
    // Main data comes last, if at all.
    while (fields_.rest().size() > announced_bytes_) {
      const auto id = fields_.take<std::uint8_t>();
      if (id < kWalBlockReferencesMax) {
        HAUL_TRY(read_block(id));
      } else if (id == kMainDataShortId) {
        return announce_main_data(fields_.take<std::uint8_t>());
      } else if (id == kMainDataLongId) {
        return announce_main_data(fields_.take<std::uint32_t>());
      } else if (id == kOriginId) {
        record_.replication_origin = fields_.take<std::uint16_t>();
      } else if (id == kTopLevelXidId) {
        record_.top_level_xid = fields_.take<std::uint32_t>();
      } else {
        return damage(format("record with a part {}", id));
      }
    }
    return ok();
  }

  Status announce_main_data(std::size_t size_bytes) {
    main_data_bytes_ = size_bytes;
    announced_bytes_ += size_bytes;
    return ok();
  }

  Status read_block(std::uint8_t id) {
    const std::size_t count = record_.block_count;
    if (count > 0 && record_.block_storage[count - 1].id >= id) {
      return damage(format("block reference {} after {}", id, record_.block_storage[count - 1].id));
    }
    BlockReference& block = record_.block_storage[count];
    block = BlockReference();
    block.id = id;
    const auto flags = fields_.take<std::uint8_t>();
    data_bytes_[count] = fields_.take<std::uint16_t>();
    if (((flags & kHasDataFlag) != 0) != (data_bytes_[count] != 0)) {
      return damage(format("block reference {} with {} bytes of data", id, data_bytes_[count]));
    }
    if ((flags & kForkMask) > static_cast<std::uint8_t>(Fork::init)) {
      return damage(format("block reference {} to fork {}", id, flags & kForkMask));
    }
    block.fork = static_cast<Fork>(flags & kForkMask);
    block.will_init = (flags & kWillInitFlag) != 0;
    block.has_image = (flags & kHasImageFlag) != 0;
    image_bytes_[count] = 0;
    if (block.has_image) HAUL_TRY(read_image(block));
    HAUL_TRY(read_place(block, (flags & kSameRelationFlag) != 0 ? Place::same : Place::own));
    announced_bytes_ += std::size_t{image_bytes_[count]} + data_bytes_[count];
    ++record_.block_count;
    return ok();
  }

  Status read_image(BlockReference& block) {
    const auto size_bytes = fields_.take<std::uint16_t>();
    const auto hole_offset = fields_.take<std::uint16_t>();
    const auto info = fields_.take<std::uint8_t>();
    const unsigned known = kImageHasHoleFlag | version_.image_applied_flag |
                           version_.image_pglz_flag | version_.image_lz4_flag |
                           version_.image_zstd_flag;
    block.image_applied = (info & version_.image_applied_flag) != 0;
    block.image_codec = image_codec(info, version_);
    const bool has_hole = (info & kImageHasHoleFlag) != 0;
    // Of an uncompressed page the hole is what is missing.
    const bool names_hole = has_hole && block.image_codec != ImageCodec::none;
    const std::size_t hole_bytes = names_hole ? fields_.take<std::uint16_t>() : 0;
    const bool plausible = (info & ~known) == 0 && has_hole == (hole_offset != 0) &&
                           names_hole == (hole_bytes != 0) && size_bytes != 0 &&
                           hole_offset + hole_bytes <= kPageSizeMaxBytes &&
                           size_bytes + hole_bytes <= kPageSizeMaxBytes;
    if (!plausible && !fields_.ran_short()) {
      return damage(format("page image of {} bytes, hole of {} at {}, flags {:02X}", size_bytes,
                           hole_bytes, hole_offset, info));
    }
    image_bytes_[record_.block_count] = size_bytes;
    return ok();
  }

  enum class Place : std::uint8_t { own, same };

  Status read_place(BlockReference& block, Place place) {
    if (place == Place::own) {
      block.relation.tablespace = fields_.take<std::uint32_t>();
      block.relation.database = fields_.take<std::uint32_t>();
      block.relation.relfilenode = fields_.take<std::uint32_t>();
    } else if (record_.block_count == 0) {
      return damage("block reference to the relation of the one before, which there is not");
    } else {
      block.relation = record_.block_storage[record_.block_count - 1].relation;
    }
    block.block = fields_.take<std::uint32_t>();
    return ok();
  }

  void take_data() {
    for (std::size_t i = 0; i < record_.block_count; ++i) {
      record_.block_storage[i].image = fields_.take_bytes(image_bytes_[i]);
      record_.block_storage[i].data = fields_.take_bytes(data_bytes_[i]);
    }
    record_.main_data = fields_.take_bytes(main_data_bytes_);
  }

  FieldReader fields_;
  const WalVersion& version_;
  WalRecord& record_;
  std::size_t announced_bytes_ = 0;
  std::size_t main_data_bytes_ = 0;
  // Only those of the block references read so far hold anything.
  std::array<std::uint16_t, kWalBlockReferencesMax> image_bytes_;
  std::array<std::uint16_t, kWalBlockReferencesMax> data_bytes_;
};

}  // namespace

std::uint32_t wal_record_size(ByteSpan header) { return load<std::uint32_t>(header, kTotalSizeAt); }

Lsn wal_record_previous(ByteSpan header) { return {load<std::uint64_t>(header, kPreviousAt)}; }

Status decode_wal_record(ByteSpan bytes, int server_major, WalRecord& record) {
  const WalVersion* version = internal::find_wal_version(server_major);
  HAUL_ASSERT(version != nullptr);
  if (bytes.size() < kWalRecordHeaderSizeBytes || wal_record_size(bytes) != bytes.size()) {
    return damage(format("record length {}", bytes.size()));
  }
  const auto manager = load<std::uint8_t>(bytes, kManagerAt);
  if (!is_known_manager(manager, *version)) {
    return damage(format("record of resource manager {}", manager));
  }
  if (!checksum_matches(bytes)) return damage("record checksum does not match");
  record.previous = wal_record_previous(bytes);
  record.size_bytes = wal_record_size(bytes);
  record.xid = load<std::uint32_t>(bytes, kXidAt);
  record.top_level_xid = 0;
  record.replication_origin = 0;
  record.manager = static_cast<ResourceManager>(manager);
  record.info = load<std::uint8_t>(bytes, kInfoAt);
  record.main_data = {};
  record.block_count = 0;
  return PartReader(bytes.subspan(kWalRecordHeaderSizeBytes), *version, record).read();
}

}  // namespace haul::postgres
