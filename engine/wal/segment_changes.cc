#include "engine/wal/segment_changes.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/format.h"
#include "engine/postgres/wal_segment.h"
#include "engine/repository/byte_io.h"
#include "engine/repository/framed_object.h"

namespace haul::wal {
namespace {

using postgres::ChangedFork;
using postgres::ChangedLeaf;
using postgres::DatabaseInTablespace;
using postgres::Fork;
using postgres::kLeafBlocks;
using postgres::kNoBlock;
using postgres::LeafBlocks;
using postgres::RelationFork;
using postgres::WalEvent;
using postgres::WalReader;
using postgres::WalSegment;
using repository::ByteReader;
using repository::ByteWriter;
using repository::Cluster;
using repository::ObjectKind;

constexpr std::string_view kSuffix = ".changes";
constexpr std::size_t kForkReservedBytes = 3;
// A leaf with more changed blocks is stored as bits, else as a list.
constexpr std::size_t kListedBlocksMax = 31;
constexpr std::size_t kWordBits = 64;

enum class EventKind : std::uint8_t {
  parameters = 1,
  full_page_writes = 2,
  timeline = 3,
  tablespace_created = 4,
  tablespace_dropped = 5,
};

struct StoredEvent {
  EventKind kind = EventKind::parameters;
  std::uint32_t first = 0;
  std::uint32_t second = 0;
};

StoredEvent stored(const postgres::ParameterChange& change) {
  return {EventKind::parameters, std::to_underlying(change.wal_level), change.wal_log_hints};
}

StoredEvent stored(const postgres::FullPageWritesChange& change) {
  return {EventKind::full_page_writes, change.full_page_writes, 0};
}

StoredEvent stored(const postgres::TimelineBegin& begin) {
  return {EventKind::timeline, begin.timeline.value, begin.previous.value};
}

StoredEvent stored(const postgres::TablespaceChange& change) {
  const bool created = change.kind == postgres::TablespaceChange::Kind::created;
  return {created ? EventKind::tablespace_created : EventKind::tablespace_dropped,
          change.tablespace, 0};
}

// Nothing where no event is stored like this.
std::optional<WalEvent> event_of(Lsn lsn, std::uint8_t kind, std::uint32_t first,
                                 std::uint32_t second) {
  using postgres::TablespaceChange;
  const bool plain = second == 0;
  switch (static_cast<EventKind>(kind)) {
    case EventKind::parameters:
      if (first > std::to_underlying(postgres::WalLevel::logical) || second > 1) break;
      return WalEvent{
          lsn, postgres::ParameterChange{static_cast<postgres::WalLevel>(first), second != 0}};
    case EventKind::full_page_writes:
      if (!plain || first > 1) break;
      return WalEvent{lsn, postgres::FullPageWritesChange{first != 0}};
    case EventKind::timeline:
      if (first == second) break;
      return WalEvent{lsn, postgres::TimelineBegin{TimelineId{first}, TimelineId{second}}};
    case EventKind::tablespace_created:
      if (!plain) break;
      return WalEvent{lsn, TablespaceChange{first, TablespaceChange::Kind::created}};
    case EventKind::tablespace_dropped:
      if (!plain) break;
      return WalEvent{lsn, TablespaceChange{first, TablespaceChange::Kind::dropped}};
  }
  return std::nullopt;
}

void write_event(ByteWriter& out, const WalEvent& event) {
  const StoredEvent fields = std::visit([](const auto& what) { return stored(what); }, event.what);
  out.u64(event.lsn.value);
  out.u8(std::to_underlying(fields.kind));
  out.u32(fields.first);
  out.u32(fields.second);
}

void write_leaf(ByteWriter& out, const ChangedLeaf& leaf) {
  const std::size_t count = leaf.blocks.count();
  out.u32(leaf.number);
  out.u16(static_cast<std::uint16_t>(count));
  if (count <= kListedBlocksMax) {
    for (std::size_t block = leaf.blocks._Find_first(); block < kLeafBlocks;
         block = leaf.blocks._Find_next(block)) {
      out.u16(static_cast<std::uint16_t>(block));
    }
    return;
  }
  static const LeafBlocks kWord{std::numeric_limits<std::uint64_t>::max()};
  for (std::size_t at = 0; at < kLeafBlocks; at += kWordBits) {
    out.u64(((leaf.blocks >> at) & kWord).to_ullong());
  }
}

void write_fork(ByteWriter& out, const ChangedFork& fork) {
  const postgres::RelationId& relation = fork.fork.relation;
  out.u32(relation.tablespace);
  out.u32(relation.database);
  out.u32(relation.relfilenode);
  out.u8(std::to_underlying(fork.fork.fork));
  out.zeros(kForkReservedBytes);
  out.u32(fork.limit);
  out.u32(static_cast<std::uint32_t>(fork.leaves.size()));
  for (const ChangedLeaf& leaf : fork.leaves) write_leaf(out, leaf);
}

std::vector<std::byte> encode_body(const SegmentChanges& changes) {
  ByteWriter out;
  out.u32(kChangesRules);
  out.u32(changes.server_major);
  out.u64(changes.system_identifier);
  out.u64(changes.segment.number);
  out.u32(changes.segment.timeline.value);
  out.u32(changes.segment_size_bytes);
  out.u64(changes.begin.value);
  out.u64(changes.end.value);
  const std::vector<ChangedFork> forks = changes.changes.blocks.forks();
  const std::vector<WalEvent>& events = changes.changes.events;
  out.u32(static_cast<std::uint32_t>(events.size()));
  out.u32(static_cast<std::uint32_t>(changes.changes.blocks.databases().size()));
  out.u32(static_cast<std::uint32_t>(forks.size()));
  for (const WalEvent& event : events) write_event(out, event);
  for (const DatabaseInTablespace& place : changes.changes.blocks.databases()) {
    out.u32(place.tablespace);
    out.u32(place.database);
  }
  for (const ChangedFork& fork : forks) write_fork(out, fork);
  return std::move(out).take();
}

// Reads a body in the one form that each content has. Each part says whether it was in order.
class BodyReader {
 public:
  BodyReader(const ChangesKey& key, ByteSpan body) : key_(key), in_(body) {}

  // unsupported, when other rules were followed.
  Result<SegmentChanges> read() {
    const std::uint32_t rules = in_.u32();
    if (!in_.ok()) return Error(ErrorCode::corrupt, "too short");
    if (rules != kChangesRules) {
      return Error(ErrorCode::unsupported, format("made by rules {}", rules));
    }
    if (!read_head() || !read_events() || !read_databases() || !read_forks() || !in_.finished()) {
      return Error(ErrorCode::corrupt, format("not valid before byte {}", in_.position()));
    }
    return std::move(result_);
  }

 private:
  bool read_head() {
    const std::uint32_t major = in_.u32();
    result_.server_major = static_cast<std::uint16_t>(major);
    result_.system_identifier = in_.u64();
    result_.segment.number = in_.u64();
    result_.segment.timeline = TimelineId{in_.u32()};
    result_.segment_size_bytes = in_.u32();
    result_.begin = Lsn{in_.u64()};
    result_.end = Lsn{in_.u64()};
    event_count_ = in_.u32();
    database_count_ = in_.u32();
    fork_count_ = in_.u32();
    const std::uint32_t size = result_.segment_size_bytes;
    if (!in_.ok() || major > std::numeric_limits<std::uint16_t>::max() ||
        postgres::wal_page_magic(static_cast<int>(major)) == 0 ||
        !postgres::is_valid_wal_segment_size(size) ||
        result_.system_identifier != key_.system_identifier ||
        postgres::parse_wal_segment_name(key_.segment.text, size) != result_.segment) {
      return false;
    }
    const Lsn segment_end = result_.segment.end(size);
    return result_.begin > result_.segment.start(size) && result_.end > segment_end &&
           (result_.begin < segment_end || result_.begin == result_.end);
  }

  bool read_events() {
    Lsn next = result_.begin;
    const Lsn end = result_.segment.end(result_.segment_size_bytes);
    for (std::uint32_t i = 0; i < event_count_; ++i) {
      const Lsn lsn{in_.u64()};
      const std::uint8_t kind = in_.u8();
      const std::uint32_t first = in_.u32();
      const std::uint32_t second = in_.u32();
      const auto event = event_of(lsn, kind, first, second);
      if (!in_.ok() || !event || lsn < next || lsn >= end) return false;
      result_.changes.events.push_back(*event);
      next = Lsn{lsn.value + 1};
    }
    return true;
  }

  bool read_databases() {
    std::optional<DatabaseInTablespace> last;
    for (std::uint32_t i = 0; i < database_count_; ++i) {
      DatabaseInTablespace place;
      place.tablespace = in_.u32();
      place.database = in_.u32();
      if (!in_.ok() || (last && place <= *last)) return false;
      result_.changes.blocks.add_database(place);
      last = place;
    }
    return true;
  }

  bool read_forks() {
    std::optional<RelationFork> last;
    for (std::uint32_t i = 0; i < fork_count_; ++i) {
      RelationFork fork;
      fork.relation.tablespace = in_.u32();
      fork.relation.database = in_.u32();
      fork.relation.relfilenode = in_.u32();
      const std::uint8_t number = in_.u8();
      in_.zeros(kForkReservedBytes);
      fork.fork = static_cast<Fork>(number);
      const bool is_tracked = number <= std::to_underlying(Fork::init) && fork.fork != Fork::fsm &&
                              fork.relation.tablespace != 0 && fork.relation.relfilenode != 0;
      // A fork of a database that came or went is not told, as its limit is known.
      if (!in_.ok() || !is_tracked || (last && fork <= *last) ||
          result_.changes.blocks.touches(fork)) {
        return false;
      }
      if (!read_fork(fork)) return false;
      last = fork;
    }
    return true;
  }

  bool read_fork(const RelationFork& fork) {
    const std::uint32_t limit = in_.u32();
    const std::uint32_t leaves = in_.u32();
    if (!in_.ok() || (limit == kNoBlock && leaves == 0)) return false;
    if (limit != kNoBlock) result_.changes.blocks.lower_limit(fork, limit);
    std::uint32_t next = 0;
    for (std::uint32_t i = 0; i < leaves; ++i) {
      ChangedLeaf leaf;
      leaf.number = in_.u32();
      if (!in_.ok() || leaf.number < next || leaf.number > (limit - 1) / kLeafBlocks) return false;
      if (!read_leaf(leaf)) return false;
      const std::uint64_t last_block = std::uint64_t{leaf.number} * kLeafBlocks + last_of(leaf);
      if (last_block >= limit) return false;
      result_.changes.blocks.add(fork, leaf);
      next = leaf.number + 1;
    }
    return true;
  }

  bool read_leaf(ChangedLeaf& leaf) {
    const std::uint16_t count = in_.u16();
    if (count > kListedBlocksMax) {
      for (std::size_t at = 0; at < kLeafBlocks; at += kWordBits) {
        leaf.blocks |= LeafBlocks(in_.u64()) << at;
      }
      return in_.ok() && leaf.blocks.count() == count;
    }
    std::uint32_t next = 0;
    for (std::uint16_t i = 0; i < count; ++i) {
      const std::uint16_t block = in_.u16();
      if (!in_.ok() || block < next || block >= kLeafBlocks) return false;
      leaf.blocks[block] = true;
      next = block + 1U;
    }
    return count > 0;
  }

  static std::uint32_t last_of(const ChangedLeaf& leaf) {
    std::uint32_t block = kLeafBlocks - 1;
    while (!leaf.blocks[block]) --block;
    return block;
  }

  const ChangesKey& key_;
  ByteReader in_;
  SegmentChanges result_;
  std::uint32_t event_count_ = 0;
  std::uint32_t database_count_ = 0;
  std::uint32_t fork_count_ = 0;
};

ChangesKey key_of(const SegmentChanges& changes) {
  auto name = parse_wal_name(postgres::to_name(changes.segment, changes.segment_size_bytes));
  HAUL_ASSERT(name.has_value());
  return {changes.system_identifier, *std::move(name)};
}

// Where the first record begins in a segment, or behind it.
Result<Lsn> find_first_record(const postgres::WalGeometry& geometry, const SegmentScan& scan,
                              postgres::WalPageSource& source) {
  postgres::WalRange range;
  range.begin = scan.segment.start(geometry.segment_size_bytes);
  range.required_end = range.stop;
  auto reader = HAUL_TRY(WalReader::open(geometry, scan.newest_timeline, range, source));
  const postgres::WalRecord* record = HAUL_TRY(reader.next());
  HAUL_ASSERT(record != nullptr);
  return record->lsn;
}

}  // namespace

Result<SegmentChanges> find_segment_changes(const postgres::WalGeometry& geometry,
                                            const SegmentScan& scan,
                                            postgres::WalPageSource& source) {
  SegmentChanges found;
  found.system_identifier = geometry.system_identifier;
  found.server_major = static_cast<std::uint16_t>(geometry.server_major);
  found.segment_size_bytes = geometry.segment_size_bytes;
  found.segment = scan.segment;
  const Lsn segment_end = scan.segment.end(geometry.segment_size_bytes);
  postgres::WalRange range;
  range.begin = scan.segment.start(geometry.segment_size_bytes);
  range.stop = range.required_end = std::min(scan.stop, segment_end);
  auto reader = HAUL_TRY(WalReader::open(geometry, scan.newest_timeline, range, source));
  while (const postgres::WalRecord* record = HAUL_TRY(reader.next())) {
    if (!found.begin.valid()) found.begin = record->lsn;
    HAUL_TRY(postgres::add_changes(*record, geometry.server_major, found.changes));
  }
  found.end = reader.end().lsn;
  // A record never begins where a page does: none was found, the segment lies within one.
  if (found.end == segment_end) found.end = HAUL_TRY(find_first_record(geometry, scan, source));
  if (!found.begin.valid()) found.begin = found.end;
  return found;
}

std::string changes_key(const repository::ClusterLayout& cluster, const ChangesKey& key) {
  return WalLayout(cluster, key.system_identifier).key(key.segment) + std::string(kSuffix);
}

std::optional<ChangesKey> parse_changes_key(const repository::ClusterLayout& cluster,
                                            std::string_view key) {
  if (!key.ends_with(kSuffix)) return std::nullopt;
  key.remove_suffix(kSuffix.size());
  auto segment = parse_wal_key(cluster, key);
  if (!segment || segment->name.kind != WalFileKind::segment) return std::nullopt;
  return ChangesKey{segment->system_identifier, std::move(segment->name)};
}

std::optional<std::vector<std::byte>> encode_changes(const Cluster& cluster,
                                                     const SegmentChanges& changes) {
  const std::vector<std::byte> body = encode_body(changes);
  if (repository::kFrameHeaderBytes + body.size() > kChangesObjectBytesMax) return std::nullopt;
  return repository::frame_object(ObjectKind::wal_changes, cluster.repository,
                                  changes_key(cluster.layout, key_of(changes)), body);
}

Result<SegmentChanges> decode_changes(const Cluster& cluster, const ChangesKey& key,
                                      ByteSpan object) {
  const std::string name = changes_key(cluster.layout, key);
  const auto framed = HAUL_TRY(repository::unframe_object(ObjectKind::wal_changes, name, object));
  if (framed.repository != cluster.repository) {
    return Error(ErrorCode::corrupt, format("{}: belongs to another repository", name));
  }
  auto changes = BodyReader(key, framed.body).read();
  if (!changes) return std::move(changes).take_error().with_context(name);
  return changes;
}

Result<SegmentChanges> read_changes(const Cluster& cluster, const ChangesKey& key) {
  const std::vector<std::byte> object =
      HAUL_TRY(cluster.store->get(changes_key(cluster.layout, key), kChangesObjectBytesMax));
  return decode_changes(cluster, key, object);
}

Status keep_changes(const Cluster& cluster, const SegmentChanges& changes) {
  const auto object = encode_changes(cluster, changes);
  if (!object) return ok();
  Status kept = cluster.store->put_if_absent(changes_key(cluster.layout, key_of(changes)), *object);
  if (!kept && kept.error().code() != ErrorCode::already_exists) return kept;
  return ok();
}

}  // namespace haul::wal
