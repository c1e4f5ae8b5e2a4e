// WAL as a server would have written it, made record by record. It shares nothing with the code
// that reads WAL but types and the checksum.
//
// Units:    positions are Lsn, sizes are bytes.
// Threads:  one owner at a time.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/types.h"
#include "engine/postgres/wal_record.h"
#include "engine/postgres/wal_segment.h"

namespace haul::support {

// Fields one after another, little-endian, without padding.
template <typename... Fields>
std::string packed(Fields... fields) {
  std::string bytes;
  const auto put = [&bytes](auto field) {
    char raw[sizeof field];
    std::memcpy(raw, &field, sizeof field);
    bytes.append(raw, sizeof field);
  };
  (put(fields), ...);
  return bytes;
}

struct WalBlockSpec {
  postgres::RelationId relation;
  std::uint32_t block = 0;
  postgres::Fork fork = postgres::Fork::main;
  std::uint8_t id = 0;
  bool same_relation = false;  // as the block before; `relation` is not stored
  bool will_init = false;
  std::string data;
  // None when empty. A hole goes with a hole offset; its size is stored with compressed images.
  std::string image;
  std::uint16_t hole_offset = 0;
  std::uint16_t hole_size_bytes = 0;
  postgres::ImageCodec image_codec = postgres::ImageCodec::none;
  bool image_applied = true;
};

struct WalRecordSpec {
  std::uint8_t manager = 0;
  std::uint8_t info = 0;
  std::uint32_t xid = 0;
  std::uint16_t origin = 0;         // not stored when 0
  std::uint32_t top_level_xid = 0;  // not stored when 0
  std::vector<WalBlockSpec> blocks;
  std::string main_data;
};

using WalBytes = std::vector<std::byte>;

// The bytes of one record, checksum included.
WalBytes encode_wal_record(const WalRecordSpec& spec, int server_major, Lsn previous);
// Puts the right checksum into a record that was changed.
void seal_wal_record(WalBytes& record);

class WalStream {
 public:
  WalStream(const postgres::WalGeometry& geometry, TimelineId timeline,
            std::uint64_t first_segment);

  // Where the record begins.
  Lsn append(const WalRecordSpec& spec);
  Lsn append_bytes(ByteSpan record);
  // A record of which only the part on its first pages is written, as a crash leaves it; the next
  // page says that another one takes its place. It must not fit on them.
  Lsn append_cut_off(const WalRecordSpec& spec, int pages = 1);
  // A record of XLOG_SWITCH; what follows is in the next segment.
  Lsn append_switch();
  // Appends records until the page has so much room left.
  void fill_page_to(std::size_t room_bytes);
  // Pages begun from now on are of this timeline.
  void set_timeline(TimelineId timeline) { timeline_ = timeline; }

  // Of the first byte: a segment's start.
  Lsn start() const { return start_; }
  // Behind the last record.
  Lsn position() const { return {start_.value + bytes_.size()}; }
  Lsn previous() const { return previous_; }
  // Whole segments; zeros behind the last record.
  WalBytes segments() const;

 private:
  void begin_page(std::uint16_t flags, std::uint32_t remaining_size_bytes);
  std::size_t page_room() const;
  // Puts what fits on the page; what does not is left.
  void put_piece(ByteSpan& record);
  void put(ByteSpan bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void align() { bytes_.resize((bytes_.size() + 7) / 8 * 8); }

  postgres::WalGeometry geometry_;
  TimelineId timeline_;
  Lsn start_;
  Lsn previous_;
  WalBytes bytes_;
  bool next_page_overwrites_ = false;
};

}  // namespace haul::support
