#include "engine/restore/recovery_window.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "engine/postgres/wal_facts.h"
#include "engine/postgres/wal_reader.h"
#include "engine/restore/wal_path.h"

namespace haul::restore {

namespace {

using postgres::BackupFacts;
using postgres::WalSegment;

// A cluster that only archives every few minutes has a commit in the last of these.
constexpr std::size_t kSegmentsLookedAt = 8;
constexpr std::uint32_t kWalBlockSizeBytes = 8192;

wal::TimelineHistory newest_lineage(const wal::WalInventory& archive, const BackupFacts& backup) {
  std::vector<TimelineId> timelines = {backup.stop_timeline};
  for (const wal::TimelineWal& wal : archive.timelines()) timelines.push_back(wal.timeline);
  for (const wal::Tail& tail : archive.tails()) timelines.push_back(tail.segment.timeline);
  std::ranges::sort(timelines, std::greater<>());
  for (const TimelineId timeline : timelines) {
    wal::TimelineHistory lineage = lineage_to(archive, timeline);
    if (lies_on(lineage, backup)) return lineage;
  }
  return lineage_to(archive, backup.stop_timeline);
}

// The segments that were copied into the backup, but for its last one, whose tail is not WAL.
bool has_copied(const BackupFacts& backup, const WalSegment& segment) {
  if (!backup.wal_included) return false;
  const std::uint32_t size = backup.wal_segment_size_bytes;
  return segment.end(size) > backup.start && segment.start(size) < backup.stop;
}

}  // namespace

Result<RecoveryWindows::LastRecords> RecoveryWindows::read_last_records(const BackupFacts& backup,
                                                                        const WalPiece& piece) {
  const std::uint32_t size = backup.wal_segment_size_bytes;
  const std::vector<std::byte> content = HAUL_TRY(read_archived_piece(*cluster_, backup, piece));
  const postgres::WalGeometry geometry{backup.server_version / 10000, backup.system_identifier,
                                       size, kWalBlockSizeBytes};
  postgres::WalPagesInMemory pages(piece.segment.start(size), content, geometry);
  const postgres::WalRange range{.begin = piece.segment.start(size), .stop = piece.limit};
  auto reader = HAUL_TRY(postgres::WalReader::open(geometry, piece.segment.timeline, range, pages));
  LastRecords last;
  while (const postgres::WalRecord* record = HAUL_TRY(reader.next())) {
    last.end = record->end;
    const auto fact = HAUL_TRY(postgres::wal_fact(*record, geometry.server_major));
    if (const auto* end = std::get_if<postgres::TransactionEnd>(&fact)) {
      last.transaction = ReplayedTransaction{record->lsn, end->xid, end->time, end->outcome};
    }
  }
  return last;
}

Result<RecoveryWindows::LastRecords> RecoveryWindows::last_records(const BackupFacts& backup,
                                                                   const WalPiece& piece) {
  const auto key = std::pair(piece.segment, piece.limit);
  if (const auto known = read_.find(key); known != read_.end()) return known->second;
  auto last = read_last_records(backup, piece);
  // Damaged WAL is verify's to report; here the window ends before it.
  if (!last && last.error().code() == ErrorCode::corrupt) last = LastRecords{};
  return read_.emplace(key, HAUL_TRY(std::move(last))).first->second;
}

Result<RecoveryWindow> RecoveryWindows::of(const BackupFacts& backup) {
  RecoveryWindow window;
  window.start = window.end = backup.stop;
  window.timeline = backup.stop_timeline;
  if (!backup.wal_included) {
    window.missing = archive_->first_missing({backup.start, backup.stop, backup.start_timeline,
                                              backup.stop_timeline, backup.wal_segment_size_bytes});
    if (window.missing) return window;
  }
  const wal::TimelineHistory lineage = newest_lineage(*archive_, backup);
  window.timeline = lineage.timeline;
  const WalPath path =
      find_wal_path(*archive_, lineage, backup,
                    [&backup](const WalSegment& segment) { return has_copied(backup, segment); });
  if (path.beyond) window.gap = path.missing;
  std::size_t looked_at = 0;
  for (auto piece = path.pieces.rbegin(); piece != path.pieces.rend(); ++piece) {
    const bool done = window.end > backup.stop && window.last_transaction;
    const bool copied = piece->source == WalPiece::Source::backup;
    if (done || copied || looked_at++ == kSegmentsLookedAt) break;
    const LastRecords last = HAUL_TRY(last_records(backup, *piece));
    window.end = std::max(window.end, last.end);
    if (!window.last_transaction) window.last_transaction = last.transaction;
  }
  return window;
}

}  // namespace haul::restore
