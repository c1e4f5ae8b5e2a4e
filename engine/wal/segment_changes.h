// What the records of one WAL segment change: found by reading it, kept beside it.
//
// A record belongs to the segment in which it begins; its rest is read from the segments behind.
// So segments are read side by side, each by itself. What was found says where the first record of
// the segment begins, and where the first one behind the segment does: the first of these has to be
// the second of the segment before, or something is missing between them.
//
// It is derived: when it is lost, damaged or too large to be kept, the segment is read again.
//
// Units:    positions are Lsn, sizes are bytes.
// Memory:   that of postgres::WalChanges; encoded at most kChangesObjectBytesMax, decoded at most
// twelve times the object.
// Threads:  functions over values.
// Errors:   corrupt, unsupported; not_found (WAL, or an object, that is not there); those of the
// source and of the store.
// Format:   docs/format.md, "Changes".
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine/postgres/wal_changes.h"
#include "engine/postgres/wal_reader.h"
#include "engine/repository/cluster.h"
#include "engine/wal/wal_layout.h"

namespace haul::wal {

inline constexpr std::uint64_t kChangesObjectBytesMax = std::uint64_t{32} << 20;
// Which records count, and as what. Raised when that changes: what was kept by other rules is found
// anew.
inline constexpr std::uint32_t kChangesRules = 1;

struct SegmentChanges {
  std::uint64_t system_identifier = 0;
  std::uint16_t server_major = 0;
  std::uint32_t segment_size_bytes = 0;
  postgres::WalSegment segment;
  // Where the first record begins that begins here or behind; of a segment within one long record
  // that is the same as `end`.
  Lsn begin;
  // Where the first record behind the segment begins.
  Lsn end;
  postgres::WalChanges changes;

  bool operator==(const SegmentChanges&) const = default;
};

// Which records of a segment are read.
struct SegmentScan {
  postgres::WalSegment segment;
  // Pages behind the segment may be of timelines up to this one.
  TimelineId newest_timeline;
  // Records from here on are not read; beyond the segment's end it is that.
  Lsn stop = {std::numeric_limits<std::uint64_t>::max()};
};

// Reads the segment from `source`, which must have all of it before `stop`, and what lies behind it
// as far as its last record goes. `end` is where the first record from `stop` on begins.
Result<SegmentChanges> find_segment_changes(const postgres::WalGeometry& geometry,
                                            const SegmentScan& scan,
                                            postgres::WalPageSource& source);

// Objects beside the segments, "SEGMENT.changes".
struct ChangesKey {
  std::uint64_t system_identifier = 0;
  WalName segment;

  bool operator==(const ChangesKey&) const = default;
};
std::string changes_key(const repository::ClusterLayout& cluster, const ChangesKey& key);
// The inverse; nothing when no such object has this key.
std::optional<ChangesKey> parse_changes_key(const repository::ClusterLayout& cluster,
                                            std::string_view key);

// Nothing when it would be larger than kChangesObjectBytesMax.
std::optional<std::vector<std::byte>> encode_changes(const repository::Cluster& cluster,
                                                     const SegmentChanges& changes);
Result<SegmentChanges> decode_changes(const repository::Cluster& cluster, const ChangesKey& key,
                                      ByteSpan object);

// not_found when there is none; unsupported also where it was made by other rules.
Result<SegmentChanges> read_changes(const repository::Cluster& cluster, const ChangesKey& key);
// Where something has the name already, that stays, and it is a success. It is not made durable:
// what is lost is found anew.
Status keep_changes(const repository::Cluster& cluster, const SegmentChanges& changes);

}  // namespace haul::wal
