#include "engine/wal/resume.h"

#include <algorithm>
#include <optional>

#include "engine/postgres/wal_segment.h"

namespace haul::wal {
namespace {

class Search {
 public:
  Search(const TimelineHistory& lineage, const ResumeFacts& facts)
      : periods_(lineage.periods), facts_(facts) {}

  ResumePoint run() {
    period_ = 0;
    while (ends(period_) && facts_.kept >= periods_[period_].end) ++period_;
    position_ = segment_start(facts_.kept);
    if (end_of_segments(position_) == position_ && !has_tail(position_)) go_back();
    go_on();
    return {periods_[period_].timeline, position_};
  }

 private:
  Lsn segment_start(Lsn lsn) const { return {lsn.value - lsn.value % facts_.segment_size_bytes}; }
  bool ends(std::size_t period) const { return periods_[period].end.valid(); }

  std::span<const WalRange> ranges(std::size_t period) const {
    for (const TimelineWal& wal : facts_.inventory->timelines()) {
      if (wal.timeline == periods_[period].timeline) return wal.ranges;
    }
    return {};
  }

  // To where whole segments follow each other on this period's timeline.
  Lsn end_of_segments(Lsn start) const {
    for (const WalRange& range : ranges(period_)) {
      if (range.segment_size_bytes == facts_.segment_size_bytes && range.start <= start &&
          start < range.end) {
        return range.end;
      }
    }
    return start;
  }

  std::optional<Lsn> start_of(const Tail& tail, std::size_t period) const {
    const auto segment =
        postgres::parse_wal_segment_name(tail.segment.text, facts_.segment_size_bytes);
    if (!segment || segment->timeline != periods_[period].timeline) return std::nullopt;
    return segment->start(facts_.segment_size_bytes);
  }

  bool has_tail(Lsn start) const {
    return std::ranges::any_of(facts_.inventory->tails(),
                               [&](const Tail& tail) { return start_of(tail, period_) == start; });
  }

  // Where what is stored before `limit` on a period's timeline ends; `limit` at most.
  std::optional<Lsn> end_before(std::size_t period, Lsn limit) const {
    std::optional<Lsn> end;
    for (const WalRange& range : ranges(period)) {
      if (range.start < limit && range.segment_size_bytes == facts_.segment_size_bytes) {
        end = std::max(end.value_or(Lsn{}), std::min(range.end, limit));
      }
    }
    for (const Tail& tail : facts_.inventory->tails()) {
      const auto start = start_of(tail, period);
      if (start && *start < limit) end = std::max(end.value_or(Lsn{}), *start);
    }
    return end;
  }

  void go_back() {
    for (std::size_t period = period_ + 1; period-- > 0;) {
      Lsn limit = position_;
      if (period < period_) limit = std::min(limit, segment_start(periods_[period].end));
      const auto end = end_before(period, limit);
      if (!end) continue;
      period_ = period;
      position_ = *end;
      return;
    }
  }

  // A timeline begins with a copy of the segment in which it left the one before: there is no need
  // for the rest of that segment as the old timeline has it.
  void go_on() {
    for (;;) {
      position_ = end_of_segments(position_);
      if (!ends(period_)) return;
      const Lsn next = segment_start(periods_[period_].end);
      if (position_ < next) return;
      position_ = next;
      ++period_;
    }
  }

  const std::vector<TimelinePeriod>& periods_;
  const ResumeFacts& facts_;
  std::size_t period_ = 0;
  Lsn position_;
};

}  // namespace

ResumePoint resume_point(const TimelineHistory& lineage, const ResumeFacts& facts) {
  return Search(lineage, facts).run();
}

}  // namespace haul::wal
