// One WAL record taken apart: its header, the blocks it refers to, its main data.
//
// Units:    sizes are bytes.
// Memory:   a WalRecord is some 3 KiB, made once and decoded into again and again; its spans point
// into the bytes it was decoded from.
// Threads:  functions over values.
// Errors:   corrupt (these bytes are not a record).
// Format:   PostgreSQL's xlogrecord.h, 13 to 18, little-endian.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "base/types.h"
#include "engine/postgres/file_grammar.h"

namespace haul::postgres {

// RmgrId. These are the ones looked into here; the others are numbers, and those of extensions
// (from 15 on) begin at 128.
enum class ResourceManager : std::uint8_t {
  xlog = 0,
  transaction = 1,
  storage = 2,
  database = 4,
  tablespace = 5,
};

// RelFileLocator: where a relation's files are.
struct RelationId {
  std::uint32_t tablespace = 0;
  std::uint32_t database = 0;  // 0: shared by all databases
  std::uint32_t relfilenode = 0;

  auto operator<=>(const RelationId&) const = default;
};

enum class ImageCodec : std::uint8_t { none, pglz, lz4, zstd };

struct BlockReference {
  RelationId relation;
  std::uint32_t block = 0;
  std::uint8_t id = 0;
  Fork fork = Fork::main;
  // Replay makes the block anew, whatever it held.
  bool will_init = false;
  bool has_image = false;
  // Replay writes the image to the block; else it is there to be compared with.
  bool image_applied = false;
  ImageCodec image_codec = ImageCodec::none;
  // As stored: without the hole in the middle of the page, and maybe compressed.
  ByteSpan image;
  ByteSpan data;
};

inline constexpr std::size_t kWalRecordHeaderSizeBytes = 24;
// XLR_MAX_BLOCK_ID and zero.
inline constexpr std::size_t kWalBlockReferencesMax = 33;
// What the server can hold in one piece of memory, which limits what it writes.
inline constexpr std::uint32_t kWalRecordSizeMaxBytes = (1U << 30) - 1;

struct WalRecord {
  // Where it begins.
  Lsn lsn;
  // The end of its last byte, rounded up to 8: the next record begins here, or behind the page
  // header that is here. After a WAL switch the start of the next segment.
  Lsn end;
  // Where the record before it begins.
  Lsn previous;
  std::uint32_t size_bytes = 0;
  std::uint32_t xid = 0;
  // 0 where the record names none.
  std::uint32_t top_level_xid = 0;
  std::uint16_t replication_origin = 0;
  ResourceManager manager = ResourceManager::xlog;
  std::uint8_t info = 0;
  ByteSpan main_data;
  std::size_t block_count = 0;
  std::array<BlockReference, kWalBlockReferencesMax> block_storage;

  // In the order of their ids.
  std::span<const BlockReference> blocks() const {
    return std::span(block_storage).first(block_count);
  }
  // The half of `info` whose meaning is the resource manager's.
  std::uint8_t operation() const { return info & 0xF0; }
  // Relation files change in ways that blocks() does not tell (XLR_SPECIAL_REL_UPDATE).
  bool changes_files() const { return (info & 0x01) != 0; }
  // The rest of the segment is unused.
  bool is_wal_switch() const { return manager == ResourceManager::xlog && operation() == 0x40; }
};

// xl_tot_len and xl_prev of a record header: what a reader needs before it has the record. Needs
// 4 bytes and 16.
std::uint32_t wal_record_size(ByteSpan header);
Lsn wal_record_previous(ByteSpan header);

// Fills all of `record` but lsn and end from the bytes of exactly one record. Its checksum is
// verified first, then every length. After a failure `record` holds nothing of use. `server_major`
// must be 13 to 18.
//
// The page size is not known here, so an uncompressed image is not checked to make up a whole page.
Status decode_wal_record(ByteSpan bytes, int server_major, WalRecord& record);

}  // namespace haul::postgres
