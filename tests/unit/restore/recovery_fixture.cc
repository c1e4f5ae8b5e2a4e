#include "tests/unit/restore/recovery_fixture.h"

#include <algorithm>

#include "base/format.h"
#include "engine/postgres/wal_segment.h"
#include "engine/wal/wal_piece.h"
#include "tests/support/fake_cluster.h"

namespace haul::restore {

using support::packed;

namespace {

constexpr std::uint64_t kFirstSegment = 3;
// From 1970 to 2000.
constexpr std::int64_t kPostgresEpoch = 946'684'800'000'000;

constexpr std::uint8_t kXlog = 0;
constexpr std::uint8_t kTransaction = 1;
constexpr std::uint8_t kTablespace = 5;
constexpr std::uint8_t kLogicalMessage = 21;

std::int64_t postgres_time(UtcTime time) { return time.microseconds - kPostgresEpoch; }

support::WalRecordSpec record(std::uint8_t manager, unsigned info, std::string main_data,
                              std::uint32_t xid = 0) {
  support::WalRecordSpec spec;
  spec.manager = manager;
  spec.info = static_cast<std::uint8_t>(info);
  spec.xid = xid;
  spec.main_data = std::move(main_data);
  return spec;
}

void put(TestRepository& repository, const std::string& text, std::string_view content) {
  const auto name = wal::parse_wal_name(text);
  HAUL_ASSERT(name.has_value());
  wal::WalArchive archive(repository.cluster(), support::kFakeSystemIdentifier);
  const auto facts = wal::examine_content(*name, bytes_of(content));
  HAUL_ASSERT(facts.has_value());
  HAUL_ASSERT(archive.put(*name, *facts, bytes_of(content)).has_value());
}

}  // namespace

UtcTime at(std::int64_t seconds, std::int64_t microseconds) {
  return {1'795'514'400'000'000 + seconds * 1'000'000 + microseconds};
}

postgres::WalGeometry test_geometry(int server_major) {
  return {server_major, support::kFakeSystemIdentifier, kSegmentBytes, 8192};
}

WalScript::WalScript(int server_major)
    : stream_(test_geometry(server_major), TimelineId{1}, kFirstSegment) {}

WalScript WalScript::branch(TimelineId timeline) const {
  WalScript branched = *this;
  branched.timeline_ = timeline;
  branched.stream_.set_timeline(timeline);
  return branched;
}

Lsn WalScript::filler(std::size_t bytes) {
  return stream_.append(record(kLogicalMessage, 0, std::string(bytes, 'f')));
}

Lsn WalScript::commit(std::uint32_t xid, UtcTime time) {
  return stream_.append(record(kTransaction, 0x00, packed(postgres_time(time)), xid));
}

Lsn WalScript::abort(std::uint32_t xid, UtcTime time) {
  return stream_.append(record(kTransaction, 0x20, packed(postgres_time(time)), xid));
}

Lsn WalScript::commit_prepared(std::uint32_t xid, UtcTime time) {
  return stream_.append(
      record(kTransaction, 0xB0, packed(postgres_time(time), std::uint32_t{1U << 4}, xid)));
}

Lsn WalScript::restore_point(std::string_view name, UtcTime time) {
  std::string padded(name);
  padded.resize(64);
  return stream_.append(record(kXlog, 0x70, packed(postgres_time(time)) + padded));
}

Lsn WalScript::create_tablespace(std::uint32_t oid, std::string_view path) {
  return stream_.append(record(kTablespace, 0x00, packed(oid) + std::string(path) + '\0'));
}

Lsn WalScript::shutdown_checkpoint() {
  std::string content =
      packed(stream_.position().value, timeline_.value, timeline_.value, std::uint8_t{1});
  content.resize(64, '\0');
  content += packed(std::int64_t{1'795'514'400}) + std::string(16, '\0');
  return stream_.append(record(kXlog, 0x00, content));
}

Lsn WalScript::end_of_recovery(TimelineId timeline, TimelineId previous) {
  return stream_.append(record(
      kXlog, 0x90, packed(std::int64_t{0}, timeline.value, previous.value, std::uint32_t{1})));
}

void WalScript::fill_segments(std::size_t count) {
  const std::uint64_t end = position().value / kSegmentBytes + count;
  while (position().value / kSegmentBytes < end) filler(30'000);
}

std::map<std::uint64_t, std::string> WalScript::segments() const {
  const support::WalBytes bytes = stream_.segments();
  std::map<std::uint64_t, std::string> result;
  for (std::size_t offset = 0; offset < bytes.size(); offset += kSegmentBytes) {
    result[(stream_.start().value + offset) / kSegmentBytes] =
        std::string(text_of(ByteSpan(bytes).subspan(offset, kSegmentBytes)));
  }
  return result;
}

void archive(TestRepository& repository, const WalScript& script,
             const std::vector<std::uint64_t>& without) {
  for (const auto& [number, content] : script.segments()) {
    if (std::ranges::find(without, number) != without.end()) continue;
    put(repository, postgres::to_name({script.timeline(), number}, kSegmentBytes), content);
  }
}

std::string archive_tail(TestRepository& repository, const WalScript& script,
                         std::uint32_t size_bytes) {
  const auto segments = script.segments();
  const auto& [number, content] = *segments.rbegin();
  if (size_bytes == 0) {
    size_bytes = static_cast<std::uint32_t>(script.position().value % kSegmentBytes);
  }
  const auto cluster = repository.cluster();
  const auto name =
      wal::parse_wal_name(postgres::to_name({script.timeline(), number}, kSegmentBytes));
  HAUL_ASSERT(name.has_value());
  const wal::PieceName piece{*name, 0, size_bytes};
  const auto object =
      wal::encode_piece(cluster, piece, {support::kFakeSystemIdentifier, number, kSegmentBytes, 15},
                        bytes_of(content).first(size_bytes));
  HAUL_ASSERT(object.has_value());
  const std::string key =
      wal::piece_key(wal::WalLayout(cluster.layout, support::kFakeSystemIdentifier), piece);
  HAUL_ASSERT(cluster.store->put_if_absent(key, *object).has_value());
  return key;
}

void archive_partial(TestRepository& repository, const WalScript& script) {
  const auto segments = script.segments();
  const auto& [number, content] = *segments.rbegin();
  put(repository, postgres::to_name({script.timeline(), number}, kSegmentBytes) + ".partial",
      content);
}

void archive_history(TestRepository& repository, TimelineId timeline, const std::string& text) {
  put(repository, postgres::timeline_history_name(timeline), text);
}

BackupBuilder& online_between(BackupBuilder& builder, const BackupSpan& span) {
  postgres::BackupFacts& facts = builder.facts;
  facts.online = true;
  facts.wal_included = false;
  facts.start = span.start;
  facts.stop = span.stop;
  facts.start_timeline = facts.stop_timeline = span.timeline;
  facts.stop_time = to_target_time(span.stop_time);
  facts.backup_label = format(
      "START WAL LOCATION: {} (file {})\nCHECKPOINT LOCATION: {}\nBACKUP METHOD: streamed\n"
      "BACKUP FROM: primary\nSTART TIME: 2026-11-24 10:00:00 UTC\nLABEL: test\n"
      "START TIMELINE: {}\n",
      to_string(span.start),
      postgres::to_name(postgres::segment_of(span.start, span.timeline, kSegmentBytes),
                        kSegmentBytes),
      to_string(Lsn{span.start.value + 8}), span.timeline.value);
  return builder;
}

}  // namespace haul::restore
