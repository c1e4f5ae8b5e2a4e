// Archived WAL: objects, histories, names.
#include <algorithm>

#include "base/assert.h"
#include "engine/repository/framed_object.h"
#include "engine/repository/repository.h"
#include "engine/wal/segment_changes.h"
#include "engine/wal/timeline_history.h"
#include "engine/wal/wal_archive.h"
#include "engine/wal/wal_piece.h"
#include "tests/fuzz/target.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_object_store.h"

namespace haul::fuzz {

namespace {

using namespace wal;

constexpr std::uint64_t kSystem = 7'300'000'000'000'000'001;
constexpr std::string_view kHistory = "00000003.history";
constexpr std::string_view kHistoryText = "1\t0/3000000\tone\n2\t1/28\tbefore 2026\n";

Input to_input(ByteSpan bytes) { return {bytes.begin(), bytes.end()}; }

const repository::Repository& repository() {
  static const repository::Repository made = [] {
    auto store = support::make_memory_object_store();
    SeededRandom random(1);
    support::ManualClock clock;
    HAUL_ASSERT(repository::Repository::init(*store, {}, random, clock).has_value());
    return repository::Repository::open(std::move(store)).value();
  }();
  return made;
}

const WalKey& history_key() {
  static const WalKey key{kSystem, parse_wal_name(kHistory).value()};
  return key;
}

// The input as the object of a history; with its header's checksum made good where it has one.
void run_wal_object(ByteSpan input) {
  const repository::Cluster cluster = repository().cluster("main").value();
  const std::string key = WalLayout(cluster.layout, kSystem).key(history_key().name);
  Input object = to_input(input);
  for (const bool sealed : {false, true}) {
    if (sealed && object.size() >= kWalHeaderBytes + kFrameEntryBytes) {
      const ByteSpan head = ByteSpan(object).first(kWalHeaderBytes + kFrameEntryBytes);
      compress::Checksummer sum;
      sum.update(bytes_of(key)).update(head.first(128)).update(head.subspan(kWalHeaderBytes));
      std::ranges::copy(sum.finish().bytes, object.begin() + 128);
    }
    HAUL_ASSERT(cluster.store->replace(key, object).has_value());
    const auto content = read_wal_content(cluster, history_key());
    if (content) {
      HAUL_ASSERT(parse_timeline_history(history_key().name.timeline, text_of(*content)));
    }
  }
}

std::vector<Input> wal_object_seeds() {
  const repository::Cluster cluster = repository().cluster("main").value();
  const WalSource source{history_key(), {}, bytes_of(kHistoryText)};
  const EncodedWal encoded = encode_wal_object(cluster, source, 1).value();
  Input object = encoded.head;
  for (const auto& frame : encoded.frames) object.insert(object.end(), frame.begin(), frame.end());
  return {object};
}

void run_timeline_history(ByteSpan input) {
  const auto history = parse_timeline_history(TimelineId{9}, text_of(input));
  if (!history) return;
  HAUL_ASSERT(history->periods.size() >= 2 && history->periods.back().timeline == TimelineId{9});
  for (std::size_t i = 1; i < history->periods.size(); ++i) {
    HAUL_ASSERT(history->periods[i].begin == history->periods[i - 1].end);
    HAUL_ASSERT(history->periods[i].timeline > history->periods[i - 1].timeline);
  }
}

std::vector<Input> timeline_history_seeds() { return {to_input(bytes_of(kHistoryText))}; }

void run_wal_file_name(ByteSpan input) {
  const auto name = parse_wal_name(text_of(input));
  if (!name) return;
  const repository::ClusterLayout cluster("main");
  const std::string key = WalLayout(cluster, kSystem).key(*name);
  HAUL_ASSERT(parse_wal_key(cluster, key) == (WalKey{kSystem, *name}));
  HAUL_ASSERT(!text_of(input).contains('/'));
}

std::vector<Input> wal_file_name_seeds() {
  std::vector<Input> seeds;
  for (const std::string_view name :
       {std::string_view("000000010000000A000000FF"), kHistory,
        std::string_view("000000010000000A000000FF.partial"),
        std::string_view("000000010000000A000000FF.00000028.backup")}) {
    seeds.push_back(to_input(bytes_of(name)));
  }
  return seeds;
}

const PieceName& piece_name() {
  static const PieceName name{parse_wal_name("000000010000000A00000003").value(), 100, 400};
  return name;
}

// The input as a piece; with its header's checksum made good where it has one.
void run_wal_piece(ByteSpan input) {
  const repository::Cluster cluster = repository().cluster("main").value();
  const std::string key = piece_key(WalLayout(cluster.layout, kSystem), piece_name());
  Input object = to_input(input);
  for (const bool sealed : {false, true}) {
    if (sealed && object.size() >= kPieceHeaderBytes) {
      compress::Checksummer sum;
      sum.update(bytes_of(key)).update(ByteSpan(object).first(128));
      std::ranges::copy(sum.finish().bytes, object.begin() + 128);
    }
    HAUL_ASSERT(cluster.store->replace(key, object).has_value());
    const auto piece = read_piece(cluster, kSystem, piece_name());
    HAUL_ASSERT(!piece || piece->content.size() == piece_name().size_bytes());
  }
}

std::vector<Input> wal_piece_seeds() {
  const repository::Cluster cluster = repository().cluster("main").value();
  const WalFacts facts{kSystem, 10 * 256 + 3, 16U << 20, 15};
  std::string content(300, 'x');
  std::vector<Input> seeds = {
      encode_piece(cluster, piece_name(), facts, bytes_of(content)).value()};
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i * 31 >> 3);
  seeds.push_back(encode_piece(cluster, piece_name(), facts, bytes_of(content)).value());
  return seeds;
}

void run_wal_piece_name(ByteSpan input) {
  const auto name = parse_piece_name(text_of(input));
  if (!name) return;
  HAUL_ASSERT(name->text() == text_of(input) && name->begin < name->end);
  HAUL_ASSERT(!parse_wal_name(text_of(input)));
  const repository::ClusterLayout cluster("main");
  const std::string key = piece_key(WalLayout(cluster, kSystem), *name);
  HAUL_ASSERT(parse_piece_key(cluster, key) == (PieceKey{kSystem, *name}));
}

std::vector<Input> wal_piece_name_seeds() { return {to_input(bytes_of(piece_name().text()))}; }

SegmentChanges changes_example() {
  SegmentChanges changes;
  changes.system_identifier = kSystem;
  changes.server_major = 15;
  changes.segment_size_bytes = 16U << 20;
  changes.segment = {TimelineId{1}, 10 * 256 + 3};
  changes.begin = Lsn{changes.segment.start(16U << 20).value + 40};
  changes.end = Lsn{changes.segment.end(16U << 20).value + 40};
  changes.changes.events.push_back(
      {changes.begin, postgres::ParameterChange{postgres::WalLevel::replica, false}});
  postgres::ChangedBlocks& blocks = changes.changes.blocks;
  blocks.add_database({1663, 4});
  const postgres::RelationFork fork{{1663, 5, 16384}, postgres::Fork::main};
  blocks.add(fork, 3);
  for (std::uint32_t block = 600; block < 700; ++block) blocks.add(fork, block);
  blocks.lower_limit({{1663, 5, 16385}, postgres::Fork::init}, 0);
  return changes;
}

// The input as the body of an object whose checksum is good. What is accepted is written again as
// it was, and adds up.
void run_wal_changes(ByteSpan input) {
  const repository::Cluster cluster = repository().cluster("main").value();
  const ChangesKey key{kSystem, parse_wal_name("000000010000000A00000003").value()};
  const std::string name = changes_key(cluster.layout, key);
  const Input object = repository::frame_object(repository::ObjectKind::wal_changes,
                                                cluster.repository, name, input);
  const auto changes = decode_changes(cluster, key, object);
  HAUL_ASSERT(!decode_changes(cluster, key, input));
  if (!changes) return;
  HAUL_ASSERT(encode_changes(cluster, *changes) == object);
  postgres::ChangedBlocks merged;
  merged.merge(changes->changes.blocks);
  HAUL_ASSERT(merged == changes->changes.blocks);
}

std::vector<Input> wal_changes_seeds() {
  const repository::Cluster cluster = repository().cluster("main").value();
  Input object = encode_changes(cluster, changes_example()).value();
  object.erase(object.begin(), object.begin() + repository::kFrameHeaderBytes);
  return {object};
}

constexpr Target kTargets[] = {
    {"wal_object", run_wal_object, wal_object_seeds},
    {"timeline_history", run_timeline_history, timeline_history_seeds},
    {"wal_file_name", run_wal_file_name, wal_file_name_seeds},
    {"wal_piece", run_wal_piece, wal_piece_seeds},
    {"wal_piece_name", run_wal_piece_name, wal_piece_name_seeds},
    {"wal_changes", run_wal_changes, wal_changes_seeds},
};

}  // namespace

std::span<const Target> wal_targets() { return kTargets; }

}  // namespace haul::fuzz
