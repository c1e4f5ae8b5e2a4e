#include "engine/restore/wal_path.h"

#include <algorithm>

#include "base/assert.h"
#include "engine/wal/tail.h"
#include "engine/wal/wal_object.h"

namespace haul::restore {

using postgres::WalSegment;
using wal::TimelinePeriod;

namespace {

class PathFinder {
 public:
  PathFinder(const wal::WalInventory& archive, const wal::TimelineHistory& lineage,
             const postgres::BackupFacts& backup, const SegmentProbe& backup_has)
      : archive_(archive),
        lineage_(lineage),
        backup_(backup),
        backup_has_(backup_has),
        size_(backup.wal_segment_size_bytes) {}

  WalPath run() {
    std::uint64_t number = postgres::segment_of(backup_.start, {}, size_).number;
    TimelineId last_timeline;
    while (const auto piece = find(number, last_timeline)) {
      path_.pieces.push_back(*piece);
      last_timeline = piece->segment.timeline;
      if (is_last(*piece)) break;
      ++number;
    }
    const WalSegment missing{periods()[newest_period(number)].timeline, number};
    path_.missing = postgres::to_name(missing, size_);
    path_.beyond = archived_behind(missing);
    return std::move(path_);
  }

 private:
  const std::vector<TimelinePeriod>& periods() const { return lineage_.periods; }

  // The last period that has begun by the end of the segment.
  std::size_t newest_period(std::uint64_t number) const {
    std::size_t newest = 0;
    for (std::size_t i = 1; i < periods().size(); ++i) {
      if (postgres::segment_of(periods()[i].begin, {}, size_).number <= number) newest = i;
    }
    return newest;
  }

  std::optional<WalPiece> find(std::uint64_t number, TimelineId last_timeline) const {
    const std::size_t newest = newest_period(number);
    for (std::size_t i = newest + 1; i-- > 0;) {
      WalPiece piece;
      piece.segment = {periods()[i].timeline, number};
      if (piece.segment.timeline < last_timeline) return std::nullopt;
      if (i < newest) piece.limit = periods()[i + 1].begin;
      if (piece.limit <= piece.segment.start(size_)) return std::nullopt;
      if (const auto source = source_of(piece.segment)) {
        piece.source = *source;
        return piece;
      }
    }
    return std::nullopt;
  }

  std::optional<WalPiece::Source> source_of(const WalSegment& segment) const {
    using Source = WalPiece::Source;
    using Kind = wal::UnfinishedSegment::Kind;
    if (is_archived(segment)) return Source::archive;
    const bool in_backup = backup_has_(segment);
    const auto unfinished = archive_.unfinished(segment, size_);
    if (unfinished && (!in_backup || unfinished->end > backup_.stop)) {
      return unfinished->kind == Kind::tail ? Source::tail : Source::partial;
    }
    return in_backup ? std::optional(Source::backup) : std::nullopt;
  }

  // Behind it a server goes no further: the lineage leaves it, or what there is of it ends in it.
  bool is_last(const WalPiece& piece) const {
    if (piece.limit < piece.segment.end(size_) || piece.is_unfinished()) return true;
    return piece.source == WalPiece::Source::backup && piece.segment.end(size_) > backup_.stop;
  }

  const wal::TimelineWal* find_timeline(TimelineId timeline) const {
    const auto found =
        std::ranges::find(archive_.timelines(), timeline, &wal::TimelineWal::timeline);
    return found == archive_.timelines().end() ? nullptr : &*found;
  }

  bool is_archived(const WalSegment& segment) const {
    const wal::TimelineWal* wal = find_timeline(segment.timeline);
    if (wal == nullptr) return false;
    const Lsn start = segment.start(size_);
    const auto behind = std::ranges::upper_bound(wal->ranges, start, {}, &wal::WalRange::start);
    if (behind == wal->ranges.begin()) return false;
    const wal::WalRange& range = *std::prev(behind);
    return start < range.end && range.segment_size_bytes == size_;
  }

  std::optional<std::string> archived_behind(const WalSegment& missing) const {
    for (const TimelinePeriod& period : periods()) {
      const wal::TimelineWal* wal = find_timeline(period.timeline);
      if (wal == nullptr) continue;
      for (const wal::WalRange& range : wal->ranges) {
        const bool is_on_lineage = !period.end.valid() || range.start < period.end;
        if (is_on_lineage && range.start > missing.start(size_)) {
          return wal::first_segment(*wal, range);
        }
      }
    }
    return std::nullopt;
  }

  const wal::WalInventory& archive_;
  const wal::TimelineHistory& lineage_;
  const postgres::BackupFacts& backup_;
  const SegmentProbe& backup_has_;
  const std::uint32_t size_;
  WalPath path_;
};

}  // namespace

bool lies_on(const wal::TimelineHistory& lineage, const postgres::BackupFacts& backup) {
  if (lineage.period_of(backup.start).timeline != backup.start_timeline) return false;
  if (backup.stop <= backup.start) return true;
  return lineage.period_of(Lsn{backup.stop.value - 1}).timeline == backup.stop_timeline;
}

wal::TimelineHistory lineage_to(const wal::WalInventory& archive, TimelineId timeline) {
  return archive.lineage(timeline).value_or(wal::first_timeline(timeline));
}

WalPath find_wal_path(const wal::WalInventory& archive, const wal::TimelineHistory& lineage,
                      const postgres::BackupFacts& backup, const SegmentProbe& backup_has) {
  return PathFinder(archive, lineage, backup, backup_has).run();
}

Result<std::vector<std::byte>> read_archived_piece(const repository::Cluster& cluster,
                                                   const postgres::BackupFacts& backup,
                                                   const WalPiece& piece) {
  const std::uint32_t size = backup.wal_segment_size_bytes;
  std::string text = postgres::to_name(piece.segment, size);
  if (piece.source == WalPiece::Source::partial) text += ".partial";
  const auto name = wal::parse_wal_name(text);
  HAUL_ASSERT(name.has_value());
  if (piece.source == WalPiece::Source::tail) {
    auto tail = wal::read_tail(cluster, backup.system_identifier, *name);
    if (tail) {
      tail->bytes.resize(size);
      return std::move(tail->bytes);
    }
    if (tail.error().code() != ErrorCode::not_found) return std::move(tail).take_error();
  }
  return wal::read_wal_content(cluster, {backup.system_identifier, *name});
}

}  // namespace haul::restore
