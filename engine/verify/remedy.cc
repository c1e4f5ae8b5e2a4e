#include "engine/verify/remedy.h"

#include <algorithm>
#include <set>
#include <utility>

#include "engine/postgres/backup_facts.h"
#include "engine/restore/recovery_window.h"
#include "engine/verify/verify.h"
#include "engine/wal/wal_inventory.h"

namespace haul::verify {

using postgres::BackupFacts;
using postgres::WalSegment;
using repository::Snapshot;

namespace {

using Span = std::pair<Lsn, Lsn>;

// Ascending and apart from each other.
std::vector<Span> merged(std::vector<Span> spans) {
  std::ranges::sort(spans);
  std::vector<Span> result;
  for (const Span& span : spans) {
    if (span.first == span.second) continue;
    if (!result.empty() && span.first <= result.back().second) {
      result.back().second = std::max(result.back().second, span.second);
    } else {
      result.push_back(span);
    }
  }
  return result;
}

// Both are merged.
std::vector<Span> without(const std::vector<Span>& spans, const std::vector<Span>& taken) {
  std::vector<Span> result;
  for (Span span : spans) {
    for (const Span& away : taken) {
      if (away.second <= span.first || away.first >= span.second) continue;
      if (away.first > span.first) result.emplace_back(span.first, away.first);
      span.first = std::min(away.second, span.second);
    }
    if (span.first < span.second) result.push_back(span);
  }
  return result;
}

// Goes through the windows of all backups.
class MomentFinder {
 public:
  MomentFinder(const repository::Cluster& cluster, const wal::WalInventory& archive,
               const std::vector<wal::WalKey>& damaged)
      : damaged_(&damaged), archive_(&archive), windows_(cluster, archive) {}

  // True when the backup's own WAL is damaged.
  Result<bool> add(const BackupFacts& facts, bool is_lost) {
    const restore::RecoveryWindow window = HAUL_TRY(windows_.of(facts));
    if (window.missing) return false;  // it led nowhere before
    Moments moments{window.timeline, window.start, window.end, window.end};
    bool own_wal_is_damaged = false;
    if (const auto lineage = archive_->lineage(window.timeline)) {
      const std::uint32_t size = facts.wal_segment_size_bytes;
      // Names alone: a window ends before WAL that is damaged.
      moments.to = std::max(window.end, archive_->reach(window.start, *lineage, size).end);
      moments.to_now = moments.to;
      for (const WalSegment& segment : damaged_on(*lineage, size)) {
        if (segment.end(size) <= facts.start || segment.start(size) >= moments.to) continue;
        if (segment.start(size) < facts.stop && !facts.wal_included) own_wal_is_damaged = true;
        moments.to_now = std::min(moments.to_now, std::max(facts.stop, segment.start(size)));
      }
    }
    if (is_lost || own_wal_is_damaged) moments.to_now = moments.from;
    found_.push_back(moments);
    return own_wal_is_damaged;
  }

  const std::vector<Moments>& found() const { return found_; }

 private:
  std::vector<WalSegment> damaged_on(const wal::TimelineHistory& lineage,
                                     std::uint32_t size) const {
    std::vector<WalSegment> segments;
    for (const wal::WalKey& key : *damaged_) {
      if (key.name.kind != wal::WalFileKind::segment) continue;
      const auto segment = postgres::parse_wal_segment_name(key.name.text, size);
      if (!segment) continue;
      const Lsn last{segment->end(size).value - 1};
      if (lineage.period_of(last).timeline == segment->timeline) segments.push_back(*segment);
    }
    return segments;
  }

  const std::vector<wal::WalKey>* damaged_;
  const wal::WalInventory* archive_;
  restore::RecoveryWindows windows_;
  std::vector<Moments> found_;
};

bool is_affected(const std::vector<AffectedBackup>& affected, const std::string& backup) {
  return std::ranges::find(affected, backup, &AffectedBackup::backup) != affected.end();
}

}  // namespace

std::vector<LostMoments> lost_moments(const std::vector<Moments>& backups) {
  std::map<TimelineId, std::pair<std::vector<Span>, std::vector<Span>>> spans;
  for (const Moments& backup : backups) {
    auto& [before, now] = spans[backup.timeline];
    before.emplace_back(backup.from, backup.to);
    now.emplace_back(backup.from, backup.to_now);
  }
  std::vector<LostMoments> lost;
  for (auto& [timeline, both] : spans) {
    for (const Span& span : without(merged(both.first), merged(both.second))) {
      lost.push_back({timeline, span.first, span.second});
    }
  }
  return lost;
}

Result<std::vector<LostMoments>> find_lost_moments(const repository::Cluster& cluster,
                                                   const std::vector<Snapshot>& snapshots,
                                                   const std::vector<wal::WalKey>& damaged,
                                                   std::vector<AffectedBackup>& affected) {
  wal::WalInventory archive;
  if (!snapshots.empty()) {
    const std::uint64_t system =
        HAUL_TRY(postgres::backup_facts_from_json(snapshots.back().facts)).system_identifier;
    archive = HAUL_TRY(wal::WalInventory::read(cluster, system));
  }
  MomentFinder finder(cluster, archive, damaged);
  for (const Snapshot& snapshot : snapshots) {
    const BackupFacts facts = HAUL_TRY(postgres::backup_facts_from_json(snapshot.facts));
    const bool is_lost = is_affected(affected, snapshot.id);
    if (!HAUL_TRY(finder.add(facts, is_lost)) || is_lost) continue;
    AffectedBackup by_wal;
    by_wal.backup = snapshot.id;
    by_wal.loss = AffectedBackup::Loss::wal;
    affected.push_back(std::move(by_wal));
  }
  return lost_moments(finder.found());
}

Status find_whole_files(repository::ChunkReader& chunks, const std::vector<Snapshot>& snapshots,
                        std::vector<AffectedBackup>& affected) {
  std::map<std::string, std::set<std::string>> lost;  // by file, the backups that lost it
  std::set<std::string> unknown;                      // backups of which not all is named
  for (const AffectedBackup& backup : affected) {
    for (const std::string& file : backup.lost_files) lost[file].insert(backup.backup);
    if (backup.lost_file_count > backup.lost_files.size()) unknown.insert(backup.backup);
  }
  std::map<std::string, std::string> whole;  // by file, the newest backup that has it
  for (const Snapshot& snapshot : snapshots) {
    if (lost.empty() || unknown.contains(snapshot.id)) continue;
    const auto visit = [&](const repository::TreeEntry& entry) -> Status {
      const auto file = lost.find(entry.path);
      if (file != lost.end() && !file->second.contains(snapshot.id)) {
        std::string& newest = whole[entry.path];
        newest = std::max(newest, snapshot.id);
      }
      return ok();
    };
    // Damage of the tree was found before.
    HAUL_TRY(repository::walk_tree(chunks, snapshot.tree, visit,
                                   [](const Error&) -> Status { return ok(); }));
  }
  for (AffectedBackup& backup : affected) {
    for (const std::string& file : backup.lost_files) {
      if (const auto found = whole.find(file); found != whole.end()) {
        backup.whole_in[file] = found->second;
      }
    }
  }
  return ok();
}

}  // namespace haul::verify
