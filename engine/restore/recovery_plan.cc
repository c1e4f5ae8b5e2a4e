#include "engine/restore/recovery_plan.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/format.h"
#include "engine/postgres/control_file.h"
#include "engine/repository/snapshot.h"
#include "engine/restore/leaf.h"
#include "engine/restore/restore.h"
#include "engine/restore/wal_path.h"
#include "engine/wal/wal_inventory.h"

namespace haul::restore {

using postgres::BackupFacts;
using Kind = RecoveryTarget::Kind;

namespace {

struct Candidate {
  std::string backup;
  BackupFacts facts;

  auto position() const { return std::pair(facts.stop_timeline, facts.stop); }
};

std::string describe_end(const Survey& survey) {
  std::string text =
      format("the WAL ends at {} on timeline {}", to_string(survey.end), survey.timeline.value);
  if (survey.last_transaction) {
    text +=
        format(", the last transaction in it at {}", to_target_time(survey.last_transaction->time));
  }
  return text;
}

std::string describe_missing(const WalPath& path) {
  std::string text = format("the first segment that is missing is {}", path.missing);
  if (path.beyond) text += format("; {} is archived again", *path.beyond);
  return text;
}

bool has_wal(const wal::TimelineWal& timeline) { return !timeline.ranges.empty(); }

class BackupChooser {
 public:
  explicit BackupChooser(const RecoveryRequest& request)
      : request_(request), cluster_(*request.cluster), target_(request.target) {}

  Result<ChosenBackup> run() {
    HAUL_TRY(find_candidates());
    archive_ =
        HAUL_TRY(wal::WalInventory::read(cluster_, candidates_.front().facts.system_identifier));
    has_archive_ = !archive_.tails().empty() || std::ranges::any_of(archive_.timelines(), has_wal);
    if (!has_archive_ && !needs_recovery()) {
      // Whoever names none gets the newest.
      chosen_.plan = HAUL_TRY(
          make_plan(*request_.chunks, HAUL_TRY(read_backup(cluster_, candidates_.front().backup))));
      return std::move(chosen_);
    }
    if (!has_archive_ && needs_archive()) return no_archive();
    HAUL_TRY(choose_lineage());
    HAUL_TRY(choose_candidate());
    return std::move(chosen_);
  }

 private:
  // What was asked for goes beyond what a backup by itself can do.
  bool needs_recovery() const {
    return target_.kind != Kind::unspecified || target_.role == RecoveryTarget::Role::standby ||
           target_.timeline == RecoveryTarget::Timeline::number;
  }

  bool needs_archive() const {
    return target_.kind != Kind::immediate && target_.role != RecoveryTarget::Role::standby;
  }

  Error no_archive() const {
    return {ErrorCode::not_found,
            format("{} cannot be reached: cluster {} has no WAL in {}", describe(target_),
                   cluster_.name, cluster_.store->name()),
            "without a target, or with --target immediate, a backup recovers with the WAL that "
            "was copied into it"};
  }

  // Newest first. A named backup is the only one.
  Status find_candidates() {
    if (request_.backup != "latest") return add(request_.backup);
    for (const std::string& id : HAUL_TRY(repository::list_snapshots(cluster_))) {
      Status added = add(id);
      if (added) continue;
      Error error = std::move(added).take_error();
      // The newest one may be among those that cannot be read; with a target an older one only
      // takes longer.
      if (error.code() != ErrorCode::corrupt || !target_.stops()) return refuse_unreadable(error);
      chosen_.warnings.push_back(error.message());
    }
    if (candidates_.empty()) {
      HAUL_TRY(resolve_backup(cluster_, "latest"));
      return Error(ErrorCode::corrupt,
                   format("no backup of cluster {} can be read", cluster_.name));
    }
    std::ranges::sort(candidates_, std::greater<>(), [](const Candidate& candidate) {
      return std::pair(candidate.position(), candidate.backup);
    });
    return ok();
  }

  // With the hint that names another one.
  Error refuse_unreadable(const Error& error) const {
    auto resolved = resolve_backup(cluster_, "latest");
    return resolved ? error : std::move(resolved).take_error();
  }

  Status add(const std::string& name) {
    const repository::Snapshot snapshot = HAUL_TRY(read_backup(cluster_, name));
    auto facts = postgres::backup_facts_from_json(snapshot.facts);
    if (!facts) return std::move(facts).take_error().with_context(format("backup {}", name));
    candidates_.push_back({name, std::move(facts).take()});
    return ok();
  }

  // Newest first.
  std::vector<TimelineId> timelines() const {
    switch (target_.timeline) {
      case RecoveryTarget::Timeline::number: return {target_.timeline_number};
      case RecoveryTarget::Timeline::current: return {candidates_.front().facts.stop_timeline};
      case RecoveryTarget::Timeline::latest: break;
    }
    std::vector<TimelineId> result;
    for (const wal::TimelineWal& wal : archive_.timelines()) result.push_back(wal.timeline);
    for (const wal::Tail& tail : archive_.tails()) result.push_back(tail.segment.timeline);
    for (const Candidate& candidate : candidates_) result.push_back(candidate.facts.stop_timeline);
    std::ranges::sort(result, std::greater<>());
    result.erase(std::ranges::unique(result).begin(), result.end());
    return result;
  }

  // The first timeline that a backup lies on; the backups that do not are out of the question.
  Status choose_lineage() {
    for (const TimelineId timeline : timelines()) {
      lineage_ = lineage_to(archive_, timeline);
      const auto is_off = [&](const Candidate& c) { return !lies_on(lineage_, c.facts); };
      if (std::ranges::all_of(candidates_, is_off)) continue;
      std::erase_if(candidates_, is_off);
      return ok();
    }
    const Candidate& newest = candidates_.front();
    return Error(
        ErrorCode::not_found,
        format("{} cannot be reached from backup {}, which ends at {} on timeline {}",
               target_.timeline == RecoveryTarget::Timeline::number
                   ? format("timeline {}", target_.timeline_number.value)
                   : describe(target_),
               newest.backup, to_string(newest.facts.stop), newest.facts.stop_timeline.value),
        "pghaul wal list shows where timelines begin");
  }

  Status choose_candidate() {
    std::optional<Error> refusal;
    for (const Candidate& candidate : candidates_) {
      if (ends_behind_target(candidate.facts)) {
        refusal = too_early(candidate);
        continue;
      }
      auto outcome = HAUL_TRY(try_candidate(candidate));
      if (!outcome) return ok();
      if (stopped_too_early_ || !refusal) refusal = std::move(outcome);
      // A transaction or a name may lie between an older backup and this one; all that lies behind
      // this one is known now.
      const bool may_lie_before = target_.kind == Kind::xid || target_.kind == Kind::name;
      if (!may_lie_before && !stopped_too_early_) break;
      searched_from_ = candidate.facts.start;
    }
    return *std::move(refusal);
  }

  // Where that is known without reading WAL.
  bool ends_behind_target(const BackupFacts& facts) const {
    if (target_.kind == Kind::lsn) return target_.lsn < facts.stop;
    if (target_.kind != Kind::time || !facts.online) return false;
    const auto stop_time = parse_target_time(facts.stop_time);
    return stop_time && target_.time < *stop_time;
  }

  Error too_early(const Candidate& candidate) const {
    return {ErrorCode::not_found,
            format("{} lies before the end of backup {}, at {}{}", describe(target_),
                   candidate.backup, to_string(candidate.facts.stop),
                   candidate.facts.stop_time.empty() ? "" : ", " + candidate.facts.stop_time),
            request_.backup == "latest" ? "there is no older backup on this lineage"
                                        : "choose an older backup, or none to have one chosen"};
  }

  // Why the target is not reached from this backup; nothing when it is, and the backup is chosen.
  Result<std::optional<Error>> try_candidate(const Candidate& candidate) {
    RestorePlan plan =
        HAUL_TRY(make_plan(*request_.chunks, HAUL_TRY(read_backup(cluster_, candidate.backup))));
    const WalPath path =
        find_wal_path(archive_, lineage_, candidate.facts, [&](const auto& segment) {
          return candidate.facts.wal_included && plan.has_file(path_in_backup(candidate, segment));
        });
    if (path.pieces.empty()) {
      if (is_optional(candidate)) return take(candidate, std::move(plan), path, {});
      return std::optional(
          Error(ErrorCode::not_found,
                format("backup {} cannot be recovered: its WAL from {} on is not there",
                       candidate.backup, to_string(candidate.facts.start)),
                describe_missing(path)));
    }
    Survey survey = HAUL_TRY(survey_wal(survey_request(candidate, plan, path)));
    stopped_too_early_ = false;
    auto refusal = judge(candidate, path, survey);
    if (refusal) return refusal;
    return take(candidate, std::move(plan), path, std::move(survey));
  }

  // Nothing needs to be replayed for it, and nothing was asked for.
  bool is_optional(const Candidate& candidate) const {
    return !candidate.facts.online && !target_.stops();
  }

  static std::string path_in_backup(const Candidate& candidate,
                                    const postgres::WalSegment& segment) {
    return "pg_wal/" + postgres::to_name(segment, candidate.facts.wal_segment_size_bytes);
  }

  SurveyRequest survey_request(const Candidate& candidate, const RestorePlan& plan,
                               const WalPath& path) const {
    const BackupFacts& facts = candidate.facts;
    SurveyRequest survey;
    survey.geometry = {facts.server_version / 10000, facts.system_identifier,
                       facts.wal_segment_size_bytes, wal_block_size(plan)};
    survey.target = target_;
    survey.pieces = path.pieces;
    if (searched_from_.valid() && !stopped_too_early_) {
      std::erase_if(survey.pieces, [&](const WalPiece& piece) {
        return piece.segment.start(facts.wal_segment_size_bytes) > searched_from_;
      });
    }
    survey.timeline = lineage_.timeline;
    survey.start = facts.start;
    survey.start_timeline = facts.start_timeline;
    if (facts.online) survey.consistent = facts.stop;
    survey.workers = request_.workers;
    survey.stop = request_.stop;
    survey.load = [&](const WalPiece& piece) { return load(candidate, plan, piece); };
    return survey;
  }

  static std::uint32_t wal_block_size(const RestorePlan& plan) {
    constexpr std::uint32_t kDefault = 8192;
    const auto control = postgres::parse_control_file(plan.control_bytes);
    return control ? control->wal_block_size_bytes : kDefault;
  }

  Result<std::vector<std::byte>> load(const Candidate& candidate, const RestorePlan& plan,
                                      const WalPiece& piece) const {
    if (piece.source == WalPiece::Source::backup) {
      const auto& entry = plan.known_files.at(path_in_backup(candidate, piece.segment));
      return read_whole(*request_.chunks, entry, candidate.facts.wal_segment_size_bytes);
    }
    return read_archived_piece(cluster_, candidate.facts, piece);
  }

  // Why this is not where the target is.
  std::optional<Error> judge(const Candidate& candidate, const WalPath& path,
                             const Survey& survey) {
    if (survey.stop) {
      if (survey.stop->is_consistent) return std::nullopt;
      stopped_too_early_ = true;
      return too_early(candidate);
    }
    if (target_.stops()) {
      return Error(ErrorCode::not_found,
                   format("{} cannot be reached: {}", describe(target_), describe_end(survey)),
                   describe_missing(path));
    }
    if (!survey.is_consistent) {
      return Error(ErrorCode::not_found,
                   format("backup {} cannot be recovered: {}, before the backup's own end at {}",
                          candidate.backup, describe_end(survey), to_string(candidate.facts.stop)),
                   describe_missing(path));
    }
    // A standby may get what is missing from its primary.
    const bool is_standby = target_.role == RecoveryTarget::Role::standby;
    if ((path.beyond || survey.timeline != lineage_.timeline) && !is_standby) {
      return Error(ErrorCode::not_found,
                   format("the end of the archive on timeline {} cannot be reached: {}",
                          lineage_.timeline.value, describe_end(survey)),
                   describe_missing(path) +
                       "; a target that lies before it can be reached, "
                       "--target immediate at the least");
    }
    return std::nullopt;
  }

  Result<std::optional<Error>> take(const Candidate& candidate, RestorePlan plan,
                                    const WalPath& path, Survey survey) {
    RecoveryPlan recovery;
    const std::uint32_t size = candidate.facts.wal_segment_size_bytes;
    recovery.target = target_;
    recovery.lineage = lineage_;
    recovery.start = candidate.facts.start;
    if (!path.pieces.empty()) {
      recovery.first_segment = postgres::to_name(path.pieces.front().segment, size);
      const std::size_t last = std::max<std::uint64_t>(survey.segments, 1) - 1;
      const WalPiece& last_piece = path.pieces.at(last);
      recovery.last_segment = postgres::to_name(last_piece.segment, size);
      if (last_piece.is_unfinished()) {
        recovery.last_is_unfinished = true;
        const std::vector<std::byte> content =
            HAUL_TRY(read_archived_piece(cluster_, candidate.facts, last_piece));
        chosen_.unfinished =
            WalFile{path_in_backup(candidate, last_piece.segment), std::string(text_of(content))};
      }
    }
    recovery.survey = std::move(survey);
    recovery.settings = recovery_settings(target_, lineage_.timeline, request_.access);
    recovery.signal_file = signal_file_of(target_);
    chosen_.plan = std::move(plan);
    chosen_.recovery = std::move(recovery);
    return std::optional<Error>();
  }

  const RecoveryRequest& request_;
  const repository::Cluster& cluster_;
  const RecoveryTarget& target_;
  wal::WalInventory archive_;
  bool has_archive_ = false;
  std::vector<Candidate> candidates_;
  wal::TimelineHistory lineage_;
  Lsn searched_from_;               // by the candidate tried last
  bool stopped_too_early_ = false;  // of that one: replay would end before it is consistent
  ChosenBackup chosen_;
};

std::string describe_transaction(const ReplayedTransaction& transaction) {
  const bool committed = transaction.outcome == postgres::TransactionEnd::Outcome::committed;
  return format("{} of transaction {} at {}", committed ? "commit" : "abort", transaction.xid,
                to_target_time(transaction.time));
}

}  // namespace

Result<ChosenBackup> choose_backup(const RecoveryRequest& request) {
  return BackupChooser(request).run();
}

std::string describe(const StopPoint& stop, const RecoveryTarget& target) {
  const std::string_view side = stop.side == StopPoint::Side::before ? "before" : "after";
  if (target.kind == Kind::immediate) {
    return format("{} {}, where the backup is consistent", side, to_string(stop.lsn));
  }
  if (stop.restore_point_time) {
    return format("at restore point \"{}\", {} ({})", target.name,
                  to_target_time(*stop.restore_point_time), to_string(stop.lsn));
  }
  if (target.kind != Kind::lsn && stop.transaction) {
    return format("{} {} ({})", side, describe_transaction(*stop.transaction), to_string(stop.lsn));
  }
  return format("{} {}", side, to_string(stop.lsn));
}

}  // namespace haul::restore
