#include "engine/backup/changes_since.h"

#include <algorithm>

#include "base/format.h"
#include "engine/repository/record.h"
#include "engine/wal/change_window.h"
#include "engine/wal/wal_inventory.h"

namespace haul::backup {

using postgres::BackupFacts;
using repository::RecordKind;

namespace {

Error refused(int condition, std::string_view what) {
  return Error(ErrorCode::server_state,
               format("changes cannot be taken from WAL (condition {}): {}", condition, what),
               "--changes scan reads everything and needs no condition");
}

bool hints_are_logged(const BackupFacts& facts) {
  return facts.data_checksum_version != 0 || facts.wal_log_hints;
}

// The newest backup that recorded distrust, if none that has read everything came after it.
Result<std::optional<std::string>> distrusted_by(const repository::Cluster& cluster) {
  const std::vector<std::string> distrusted =
      HAUL_TRY(repository::list_records(cluster, RecordKind::changes_distrusted));
  if (distrusted.empty()) return std::nullopt;
  const std::string& newest = distrusted.back();
  for (const std::string& id : HAUL_TRY(repository::list_snapshots(cluster))) {
    // The one that recorded it was not committed: who has its name came later.
    if (id < newest) continue;
    const auto snapshot = repository::read_snapshot(cluster, id);
    if (snapshot && !snapshot->from_wal) return std::nullopt;
  }
  return newest;
}

Result<wal::TimelineHistory> lineage_of(const ChangesSince& since) {
  const TimelineId timeline = since.start.timeline;
  if (timeline.value == 1) return wal::first_timeline(timeline);
  const std::string name = postgres::timeline_history_name(timeline);
  auto file = since.preflight->source->wal_directory().open_file(name, io::Caching::buffered);
  if (!file) {
    return refused(2, format("the history of timeline {} is not in pg_wal: {}", timeline.value,
                             file.error().message()));
  }
  std::vector<std::byte> content(
      std::min<std::uint64_t>(HAUL_TRY((*file)->info()).size_bytes, wal::kTimelineHistoryBytesMax));
  content.resize(HAUL_TRY((*file)->read_at(0, content)));
  return wal::parse_timeline_history(timeline, text_of(content));
}

// Without positions.
Result<wal::ChangeWindowRequest> window_request(const ChangesSince& since) {
  wal::ChangeWindowRequest request;
  const postgres::ControlFile& control = since.preflight->control;
  request.route.cluster = *since.cluster;
  request.route.geometry = {control.server_major, control.system_identifier,
                            control.wal_segment_size_bytes, control.wal_block_size_bytes};
  request.route.lineage = HAUL_TRY(lineage_of(since));
  request.route.wal_directory = &since.preflight->source->wal_directory();
  // Each of them waits for the device now and then.
  request.workers = 2 * since.workers;
  request.stop = since.stop;
  return request;
}

// The parent ended on this history, and before it left what the parent was made on.
Status check_lineage(const BackupFacts& parent, const wal::TimelineHistory& lineage, Lsn start) {
  if (parent.stop > start) {
    return refused(2, format("the parent ended at {}, this backup begins at {}",
                             to_string(parent.stop), to_string(start)));
  }
  for (const auto& [timeline, stop] : {std::pair(parent.start_timeline, parent.start),
                                       std::pair(parent.stop_timeline, parent.stop)}) {
    const auto period =
        std::ranges::find(lineage.periods, timeline, &wal::TimelinePeriod::timeline);
    if (period == lineage.periods.end() || (period->end.value != 0 && stop > period->end) ||
        stop < period->begin) {
      return refused(2,
                     format("{} on timeline {}, where the parent was made, is not on the history "
                            "of timeline {}",
                            to_string(stop), timeline.value, lineage.timeline.value));
    }
  }
  return ok();
}

Status check_events(const std::vector<postgres::WalEvent>& events, bool checksums) {
  for (const postgres::WalEvent& event : events) {
    const auto* const change = std::get_if<postgres::ParameterChange>(&event.what);
    if (change == nullptr) continue;
    if (change->wal_level == postgres::WalLevel::minimal) {
      return refused(4, format("wal_level was minimal from {} on", to_string(event.lsn)));
    }
    if (!checksums && !change->wal_log_hints) {
      return refused(4, format("wal_log_hints was off from {} on", to_string(event.lsn)));
    }
  }
  return ok();
}

// Pages of main forks, of relations of which WAL names some and of the others.
struct PageCounts {
  std::uint64_t in_changed = 0;
  std::uint64_t in_unchanged = 0;
};

Result<PageCounts> count_pages(Parent& parent, const ChangeSelection& selection) {
  PageCounts counts;
  HAUL_TRY(parent.for_each_file([&](const repository::TreeEntry& entry) -> Status {
    const auto selected = selection.select(entry.path, 0, INT64_MIN);
    if (!selected) return ok();
    const std::uint64_t pages = repository::page_count(entry.size_bytes, entry.page_size_bytes);
    (selected->is_touched() ? counts.in_changed : counts.in_unchanged) += pages;
    return ok();
  }));
  return counts;
}

std::uint64_t audit_pages(const AuditSize& audit, std::uint64_t pages) {
  constexpr std::uint64_t kPagesMin = 1000;
  constexpr std::uint64_t kPagesMaxByDefault = 100'000;
  constexpr std::uint64_t kMillion = 1'000'000;
  if (audit.pages) return *audit.pages;
  const std::uint64_t part = pages / kMillion * audit.ppm.value_or(kMillion / 100) +
                             pages % kMillion * audit.ppm.value_or(kMillion / 100) / kMillion;
  return std::clamp(part, kPagesMin, audit.ppm ? UINT64_MAX : kPagesMaxByDefault);
}

}  // namespace

Result<std::optional<std::string>> check_changes_usable(const repository::Cluster& cluster,
                                                        const repository::Snapshot& parent,
                                                        const BackupFacts& facts) {
  const BackupFacts before = HAUL_TRY(postgres::backup_facts_from_json(parent.facts));
  if (before.node != facts.node) {
    return format(
        "everything is read: backup {} was made from another data directory (condition 3)",
        parent.id);
  }
  if (const auto by = HAUL_TRY(distrusted_by(cluster))) {
    return format("everything is read: backup {} found a change that no WAL told of (condition 7)",
                  *by);
  }
  if (before.data_checksum_version != facts.data_checksum_version) {
    return refused(4, format("data checksums were {} when backup {} was made",
                             before.data_checksum_version != 0 ? "on" : "off", parent.id));
  }
  if (!hints_are_logged(before) || !hints_are_logged(facts)) {
    return refused(4, "without data checksums wal_log_hints has to be on");
  }
  if (before.wal_level == postgres::WalLevel::minimal ||
      facts.wal_level == postgres::WalLevel::minimal) {
    return refused(4, "wal_level is or was minimal");
  }
  if (!before.online) return refused(1, "the parent was made offline");
  if (before.bad_page_count > before.bad_pages.size()) {
    return refused(6, "the parent knew more bad pages than it names");
  }
  return std::nullopt;
}

Status keep_archived_changes(const ChangesSince& since) {
  const BackupFacts before =
      HAUL_TRY(postgres::backup_facts_from_json(since.parent->snapshot().facts));
  wal::ChangeWindowRequest request = HAUL_TRY(window_request(since));
  request.from = before.start;
  return wal::keep_archived_changes(std::move(request));
}

Result<std::unique_ptr<const ChangeSelection>> select_changes(const ChangesSince& since) {
  const repository::Snapshot& snapshot = since.parent->snapshot();
  const BackupFacts before = HAUL_TRY(postgres::backup_facts_from_json(snapshot.facts));
  for (const auto& [pack, use] : snapshot.packs) {
    if (since.index->listed_size(pack) == use.size_bytes) continue;
    return Error(ErrorCode::corrupt,
                 format("{}: not there with its size, and backup {} refers to it",
                        since.cluster->layout.pack(pack), snapshot.id),
                 "--changes scan stores anew what is lost");
  }
  wal::ChangeWindowRequest request = HAUL_TRY(window_request(since));
  request.from = before.start;
  request.to = since.start.start;
  HAUL_TRY(check_lineage(before, request.route.lineage, since.start.start));
  auto window = wal::find_changes(request);
  if (!window) {
    if (window.error().code() != ErrorCode::server_state) return std::move(window).take_error();
    return refused(1, window.error().message());
  }
  for (const std::string& damage : window->damage) since.findings->add(damage);
  HAUL_TRY(check_events(window->events, since.preflight->facts.data_checksum_version != 0));

  const std::int64_t began_ns = snapshot.copy_started.microseconds * 1000;
  auto selection =
      std::make_unique<ChangeSelection>(std::move(window->blocks), before, began_ns, since.seed);
  const PageCounts pages = HAUL_TRY(count_pages(*since.parent, *selection));
  selection->set_audit(audit_rate(audit_pages(since.audit, pages.in_changed + pages.in_unchanged),
                                  pages.in_changed, pages.in_unchanged));
  return std::unique_ptr<const ChangeSelection>(std::move(selection));
}

Result<postgres::ChangedBlocks> changes_during(const ChangesSince& since, Lsn stop) {
  wal::ChangeWindowRequest request = HAUL_TRY(window_request(since));
  request.from = since.start.start;
  request.to = stop;
  wal::ChangeWindow window = HAUL_TRY(wal::find_changes(request));
  for (const std::string& damage : window.damage) since.findings->add(damage);
  return std::move(window.blocks);
}

Status record_distrust(const repository::Cluster& cluster, const std::string& backup,
                       const Error& error) {
  Json json = Json::object();
  json.set("backup", backup);
  json.set("what", error.message());
  return repository::add_record(cluster, {RecordKind::changes_distrusted, backup}, json);
}

}  // namespace haul::backup
