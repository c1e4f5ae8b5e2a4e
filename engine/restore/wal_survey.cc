#include "engine/restore/wal_survey.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <memory>
#include <variant>

#include "base/assert.h"
#include "base/format.h"
#include "engine/flow/workers.h"
#include "engine/postgres/wal_reader.h"

namespace haul::restore {

using postgres::WalFact;
using postgres::WalRecord;
using Bytes = std::vector<std::byte>;

namespace {

ReplayedTransaction replayed(const WalRecord& record, const postgres::TransactionEnd& end) {
  return {record.lsn, end.xid, end.time, end.outcome};
}

// The judgements of the server on one record, which do not depend on those before it.
class StopRule {
 public:
  explicit StopRule(const RecoveryTarget& target) : target_(target) {}

  bool stops_before(const WalRecord& record, const WalFact& fact) const {
    if (target_.kind == RecoveryTarget::Kind::lsn) {
      return !inclusive() && record.lsn >= target_.lsn;
    }
    const auto* end = std::get_if<postgres::TransactionEnd>(&fact);
    if (end == nullptr) return false;
    if (target_.kind == RecoveryTarget::Kind::xid) return !inclusive() && end->xid == target_.xid;
    if (target_.kind != RecoveryTarget::Kind::time) return false;
    return inclusive() ? end->time > target_.time : end->time >= target_.time;
  }

  bool stops_after(const WalRecord& record, const WalFact& fact) const {
    if (target_.kind == RecoveryTarget::Kind::lsn) {
      return inclusive() && record.lsn >= target_.lsn;
    }
    if (target_.kind == RecoveryTarget::Kind::name) {
      const auto* point = std::get_if<postgres::RestorePoint>(&fact);
      return point != nullptr && point->name == target_.name;
    }
    const auto* end = std::get_if<postgres::TransactionEnd>(&fact);
    return end != nullptr && target_.kind == RecoveryTarget::Kind::xid && inclusive() &&
           end->xid == target_.xid;
  }

 private:
  bool inclusive() const { return target_.bound == RecoveryTarget::Bound::inclusive; }

  const RecoveryTarget& target_;
};

// What one segment has, up to where replay stops in it.
struct PieceFindings {
  std::optional<StopPoint> stop;
  Lsn first_record;           // nothing: no record begins here
  Lsn first_record_previous;  // which record it says it follows
  Lsn last_record;
  Lsn end;  // of the last record
  bool becomes_consistent = false;
  std::optional<ReplayedTransaction> last_transaction;
  std::vector<ReplayedTablespace> tablespaces;
  struct TimelineSwitch {
    Lsn lsn;
    TimelineId from;
    TimelineId to;
  };
  std::vector<TimelineSwitch> switches;
  std::uint64_t records = 0;
  postgres::WalEnd why_ended;
  // What comes behind what was found.
  std::optional<Error> error;
};

Status check_size(const SurveyRequest& request, const WalPiece& piece, const Bytes& bytes) {
  const std::uint32_t size = request.geometry.segment_size_bytes;
  if (bytes.size() == size) return ok();
  return Error(ErrorCode::corrupt,
               format("WAL segment {} has {} bytes instead of {}",
                      postgres::to_name(piece.segment, size), bytes.size(), size));
}

Result<Bytes> load(const SurveyRequest& request, const WalPiece& piece) {
  Bytes bytes = HAUL_TRY(request.load(piece));
  HAUL_TRY(check_size(request, piece, bytes));
  return bytes;
}

// A segment, and those behind it for a record that goes on there.
class PieceSource final : public postgres::WalPageSource {
 public:
  PieceSource(const SurveyRequest& request, std::size_t number, std::shared_ptr<const Bytes> bytes,
              std::shared_ptr<const Bytes> next)
      : request_(request),
        first_(number),
        at_(number),
        bytes_(std::move(bytes)),
        next_(std::move(next)) {}

  Result<ByteSpan> pages_at(Lsn page) override {
    const std::uint32_t size = request_.geometry.segment_size_bytes;
    const std::uint64_t number = page.value / size - request_.pieces.front().segment.number;
    if (number >= request_.pieces.size()) return ByteSpan();
    if (number != at_) HAUL_TRY(enter(number));
    // Behind its limit a segment is another timeline's.
    if (page >= request_.pieces[number].limit) return ByteSpan();
    return ByteSpan(*bytes_).subspan(page.value % size);
  }

 private:
  Status enter(std::size_t number) {
    if (number == first_ + 1 && next_) {
      bytes_ = next_;
    } else {
      bytes_ = std::make_shared<const Bytes>(HAUL_TRY(load(request_, request_.pieces[number])));
    }
    at_ = number;
    return ok();
  }

  const SurveyRequest& request_;
  const std::size_t first_;
  std::size_t at_;
  std::shared_ptr<const Bytes> bytes_;  // of at_
  std::shared_ptr<const Bytes> next_;   // of first_ + 1
};

// Looks through one segment.
class PieceSurvey {
 public:
  PieceSurvey(const SurveyRequest& request, std::size_t number)
      : request_(request), rule_(request.target), piece_(request.pieces[number]), number_(number) {}

  PieceFindings run(std::shared_ptr<const Bytes> bytes, std::shared_ptr<const Bytes> next) {
    PieceSource source(request_, number_, std::move(bytes), std::move(next));
    auto done = read(source);
    if (!done) found_.error = std::move(done).take_error();
    return std::move(found_);
  }

 private:
  postgres::WalRange range() const {
    const std::uint32_t size = request_.geometry.segment_size_bytes;
    postgres::WalRange range;
    range.begin = number_ == 0 ? request_.start : piece_.segment.start(size);
    range.stop = std::min(piece_.segment.end(size), piece_.limit);
    // The segment behind it was begun, so this one was filled.
    if (number_ + 1 < request_.pieces.size()) range.required_end = range.stop;
    return range;
  }

  Status read(PieceSource& source) {
    auto reader =
        HAUL_TRY(postgres::WalReader::open(request_.geometry, request_.timeline, range(), source));
    while (const WalRecord* record = HAUL_TRY(reader.next())) {
      const WalFact fact = HAUL_TRY(postgres::wal_fact(*record, request_.geometry.server_major));
      if (!note(*record, fact)) return ok();
    }
    found_.why_ended = reader.end();
    return ok();
  }

  // False when replay stops.
  bool note(const WalRecord& record, const WalFact& fact) {
    if (!found_.first_record.valid()) {
      found_.first_record = record.lsn;
      found_.first_record_previous = record.previous;
    }
    found_.last_record = record.lsn;
    // Replay begins behind the checkpoint that it begins from.
    const bool is_judged = record.lsn != request_.start || !is_checkpoint(fact);
    const bool is_immediate = request_.target.kind == RecoveryTarget::Kind::immediate;
    const bool was_consistent = !request_.consistent.valid();
    const bool stops_before = rule_.stops_before(record, fact) || (is_immediate && was_consistent);
    if (is_judged && stops_before) {
      found_.stop = stop_at(StopPoint::Side::before, record, fact);
      return false;
    }
    ++found_.records;
    found_.end = record.end;
    keep(record, fact);
    const bool is_consistent = was_consistent || record.end >= request_.consistent;
    found_.becomes_consistent = found_.becomes_consistent || is_consistent;
    const bool stops_after = rule_.stops_after(record, fact) || (is_immediate && is_consistent);
    if (is_judged && stops_after) {
      found_.stop = stop_at(StopPoint::Side::after, record, fact);
      return false;
    }
    return true;
  }

  static bool is_checkpoint(const WalFact& fact) {
    return std::holds_alternative<postgres::Checkpoint>(fact);
  }

  static StopPoint stop_at(StopPoint::Side side, const WalRecord& record, const WalFact& fact) {
    StopPoint stop;
    stop.side = side;
    stop.lsn = record.lsn;
    if (const auto* end = std::get_if<postgres::TransactionEnd>(&fact)) {
      stop.transaction = replayed(record, *end);
    }
    if (const auto* point = std::get_if<postgres::RestorePoint>(&fact)) {
      stop.restore_point_time = point->time;
    }
    return stop;
  }

  void keep(const WalRecord& record, const WalFact& fact) {
    if (const auto* end = std::get_if<postgres::TransactionEnd>(&fact)) {
      found_.last_transaction = replayed(record, *end);
    } else if (const auto* created = std::get_if<postgres::TablespaceCreate>(&fact)) {
      if (!created->path.empty()) {
        found_.tablespaces.push_back({record.lsn, created->tablespace, std::string(created->path)});
      }
    } else if (const auto* checkpoint = std::get_if<postgres::Checkpoint>(&fact)) {
      if (checkpoint->kind == postgres::Checkpoint::Kind::shutdown) {
        found_.switches.push_back(
            {record.lsn, checkpoint->previous_timeline, checkpoint->timeline});
      }
    } else if (const auto* recovered = std::get_if<postgres::EndOfRecovery>(&fact)) {
      found_.switches.push_back({record.lsn, recovered->previous_timeline, recovered->timeline});
    }
  }

  const SurveyRequest& request_;
  const StopRule rule_;
  const WalPiece& piece_;
  const std::size_t number_;
  PieceFindings found_;
};

// Puts together in order what the segments have.
class Surveyor {
 public:
  explicit Surveyor(const SurveyRequest& request) : request_(request) {
    result_.end = request.start;
    result_.timeline = request.start_timeline;
    result_.is_consistent = !request.consistent.valid();
  }

  Result<Survey> run() {
    const std::size_t count = request_.pieces.size();
    const std::size_t batch = batch_size();
    // Each round looks through what the one before unpacked, and unpacks the next.
    for (std::size_t loaded = 0; merged_ < count;) {
      const std::size_t ready = loaded == count ? count : std::max<std::size_t>(loaded, 1) - 1;
      HAUL_TRY(round(merged_, ready, loaded, std::min(loaded + batch, count)));
      loaded = std::min(loaded + batch, count);
      for (; merged_ < ready; ++merged_) {
        const bool goes_on = HAUL_TRY(merge(findings_.at(merged_ - findings_begin_)));
        segments_.erase(segments_.begin());
        ++segments_begin_;
        if (!goes_on) return std::move(result_);
      }
    }
    return std::move(result_);
  }

 private:
  std::size_t batch_size() const {
    const std::uint64_t size = request_.geometry.segment_size_bytes;
    return std::max<std::size_t>(kSurveyBytesMax / size / 2, 1);
  }

  // Looks through the segments from `first` to `ready`, and loads those from `loaded` to `end`.
  Status round(std::size_t first, std::size_t ready, std::size_t loaded, std::size_t end) {
    findings_.assign(ready - first, {});
    findings_begin_ = first;
    std::vector<Result<Bytes>> fresh(end - loaded, Result<Bytes>(Bytes()));
    const std::size_t tasks = findings_.size() + fresh.size();
    std::atomic<std::size_t> next = 0;
    flow::FirstError first_error(request_.stop);
    HAUL_TRY(flow::run_workers(
        std::min(std::max<std::size_t>(request_.workers, 1), std::max<std::size_t>(tasks, 1)),
        first_error, [&](std::size_t) -> Status {
          for (std::size_t task = next++; task < tasks; task = next++) {
            if (first_error.stopped()) break;
            if (task < findings_.size()) {
              findings_[task] = look_through(first + task);
            } else {
              const std::size_t number = task - findings_.size();
              fresh[number] = load(request_, request_.pieces[loaded + number]);
            }
          }
          return ok();
        }));
    HAUL_TRY(first_error.status());
    for (Result<Bytes>& bytes : fresh) {
      Segment segment;
      if (bytes) {
        segment.bytes = std::make_shared<const Bytes>(std::move(bytes).take());
      } else {
        segment.error = std::move(bytes).take_error();
      }
      segments_.push_back(std::move(segment));
    }
    return ok();
  }

  struct Segment {
    std::shared_ptr<const Bytes> bytes;
    std::optional<Error> error;  // why there are none
  };

  PieceFindings look_through(std::size_t number) const {
    const Segment& segment = segments_[number - segments_begin_];
    if (segment.error) {
      PieceFindings found;
      found.error = segment.error;
      return found;
    }
    const std::size_t next = number + 1 - segments_begin_;
    return PieceSurvey(request_, number)
        .run(segment.bytes, next < segments_.size() ? segments_[next].bytes : nullptr);
  }

  // False when replay stops.
  Result<bool> merge(const PieceFindings& found) {
    ++result_.segments;
    HAUL_TRY(check_joint(found));
    result_.records += found.records;
    if (found.end.valid()) result_.end = found.end;
    if (found.last_transaction) result_.last_transaction = found.last_transaction;
    std::ranges::copy(found.tablespaces, std::back_inserter(result_.tablespaces));
    for (const PieceFindings::TimelineSwitch& change : found.switches) {
      HAUL_TRY(follow(change));
    }
    if (found.becomes_consistent) result_.is_consistent = true;
    if (found.stop) {
      result_.stop = found.stop;
      result_.stop->is_consistent = result_.is_consistent;
      return false;
    }
    if (found.error) return *found.error;
    if (found.last_record.valid()) last_record_ = found.last_record;
    result_.end_reason = found.why_ended.reason;
    return true;
  }

  // The first record of a segment names the last one before it: no other history is read.
  Status check_joint(const PieceFindings& found) const {
    if (!found.first_record.valid() || !last_record_.valid()) return ok();
    if (found.first_record_previous == last_record_) return ok();
    return Error(ErrorCode::corrupt,
                 format("WAL at {}: the record follows {}, but the one before it is at {}",
                        to_string(found.first_record), to_string(found.first_record_previous),
                        to_string(last_record_)));
  }

  Status follow(const PieceFindings::TimelineSwitch& change) {
    if (change.to == result_.timeline) return ok();
    if (change.from != result_.timeline || change.to > request_.timeline) {
      return Error(
          ErrorCode::corrupt,
          format("WAL at {}: timeline {} follows {} where {} is replayed", to_string(change.lsn),
                 change.to.value, change.from.value, result_.timeline.value));
    }
    result_.timeline = change.to;
    return ok();
  }

  const SurveyRequest& request_;
  Survey result_;
  std::size_t merged_ = 0;
  Lsn last_record_;  // before the segment that is merged
  std::vector<Segment> segments_;
  std::size_t segments_begin_ = 0;  // the number of the first one
  std::vector<PieceFindings> findings_;
  std::size_t findings_begin_ = 0;
};

}  // namespace

Result<Survey> survey_wal(const SurveyRequest& request) {
  HAUL_ASSERT(!request.pieces.empty());
  return Surveyor(request).run();
}

}  // namespace haul::restore
