#include "tools/pghaul/json_output.h"

#include "engine/restore/recovery_plan.h"

namespace haul::cli {

namespace {

Json pairs_json(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Json json = Json::array();
  for (const auto& [from, to] : pairs) {
    Json pair = Json::object();
    pair.set("from", from);
    pair.set("to", to);
    json.push(std::move(pair));
  }
  return json;
}

std::int64_t milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

Json bad_pages_json(const postgres::BackupFacts& facts) {
  Json json = Json::array();
  for (const postgres::BadPage& page : facts.bad_pages) {
    Json one = Json::object();
    one.set("path", page.path);
    one.set("block", page.block);
    json.push(std::move(one));
  }
  return json;
}

Json tablespaces_json(const postgres::BackupFacts& facts) {
  Json json = Json::array();
  for (const postgres::TablespaceFact& tablespace : facts.tablespaces) {
    Json one = Json::object();
    one.set("oid", tablespace.oid);
    one.set("location", tablespace.location);
    one.set("in_place", tablespace.in_place);
    json.push(std::move(one));
  }
  return json;
}

Json configuration_json(const postgres::BackupFacts& facts) {
  Json json = Json::array();
  for (const postgres::ConfigurationFact& file : facts.configuration) {
    Json one = Json::object();
    one.set("path", file.path);
    one.set("role", file.role);
    json.push(std::move(one));
  }
  return json;
}

const char* kind_name(repository::EntryKind kind) {
  switch (kind) {
    case repository::EntryKind::file: return "file";
    case repository::EntryKind::directory: return "directory";
    case repository::EntryKind::link: return "link";
  }
  return "file";
}

const char* to_string(verify::AffectedBackup::Loss loss) {
  switch (loss) {
    case verify::AffectedBackup::Loss::files: return "files";
    case verify::AffectedBackup::Loss::everything: return "everything";
    case verify::AffectedBackup::Loss::wal: return "wal";
  }
  return "files";
}

Json affected_json(const verify::VerifyReport& report) {
  Json json = Json::array();
  for (const verify::AffectedBackup& affected : report.affected) {
    Json one = Json::object();
    one.set("backup", affected.backup);
    one.set("loss", to_string(affected.loss));
    one.set("lost_file_count", affected.lost_file_count);
    one.set("lost_files", strings_json(affected.lost_files));
    Json elsewhere = Json::array();
    for (const auto& [file, backup] : affected.whole_in) {
      Json whole = Json::object();
      whole.set("file", file);
      whole.set("backup", backup);
      elsewhere.push(std::move(whole));
    }
    one.set("elsewhere", std::move(elsewhere));
    json.push(std::move(one));
  }
  return json;
}

Json lost_moments_json(const verify::VerifyReport& report) {
  Json json = Json::array();
  for (const verify::LostMoments& moments : report.lost_moments) {
    Json one = Json::object();
    one.set("timeline", moments.timeline.value);
    one.set("from_lsn", to_string(moments.from));
    one.set("to_lsn", to_string(moments.to));
    json.push(std::move(one));
  }
  return json;
}

Json wal_ranges_json(const wal::TimelineWal& timeline) {
  Json json = Json::array();
  for (const wal::WalRange& range : timeline.ranges) {
    Json one = Json::object();
    one.set("first", wal::first_segment(timeline, range));
    one.set("last", wal::last_segment(timeline, range));
    one.set("start_lsn", to_string(range.start));
    one.set("end_lsn", to_string(range.end));
    one.set("segments", range.segments);
    one.set("segment_size_bytes", range.segment_size_bytes);
    json.push(std::move(one));
  }
  return json;
}

// The ancestors, oldest first.
Json wal_ancestors_json(const wal::TimelineWal& timeline) {
  Json json = Json::array();
  if (!timeline.history) return json;
  for (const wal::TimelinePeriod& period : timeline.history->periods) {
    if (period.timeline == timeline.timeline) continue;
    Json one = Json::object();
    one.set("timeline", period.timeline.value);
    one.set("end_lsn", to_string(period.end));
    json.push(std::move(one));
  }
  return json;
}

}  // namespace

Json strings_json(const std::vector<std::string>& strings) {
  Json json = Json::array();
  for (const std::string& text : strings) json.push(text);
  return json;
}

Json wal_gaps_json(const std::vector<wal::WalGap>& gaps) {
  Json json = Json::array();
  for (const wal::WalGap& gap : gaps) {
    Json one = Json::object();
    one.set("first", gap.first);
    one.set("last", gap.last);
    one.set("segments", gap.segments);
    json.push(std::move(one));
  }
  return json;
}

Json versioned_json() {
  Json json = Json::object();
  json.set("schema", 1);
  return json;
}

Json init_json(const repository::Repository& repository) {
  Json json = versioned_json();
  json.set("repository", to_string(repository.id()));
  json.set("path", repository.name());
  json.set("chunk_pages", repository.parameters().chunk_pages);
  json.set("pack_size_bytes", repository.parameters().pack_size_bytes);
  return json;
}

Json backup_json(const repository::Snapshot& snapshot, const postgres::BackupFacts& facts) {
  Json json = Json::object();
  json.set("backup", snapshot.id);
  json.set("cluster", snapshot.cluster);
  json.set("kind", snapshot.id.ends_with('F') ? "full" : "overlaid");
  json.set("started", to_iso8601(snapshot.started));
  json.set("finished", to_iso8601(snapshot.finished));
  json.set("files", snapshot.statistics.files);
  json.set("source_bytes", snapshot.statistics.source_bytes);
  json.set("hole_bytes", snapshot.statistics.hole_bytes);
  json.set("read_bytes", snapshot.statistics.read_bytes);
  json.set("changed_bytes", snapshot.statistics.changed_bytes);
  json.set("stored_bytes", snapshot.statistics.stored_bytes);
  json.set("start_lsn", to_string(facts.start));
  json.set("stop_lsn", to_string(facts.stop));
  json.set("start_timeline", facts.start_timeline.value);
  json.set("stop_timeline", facts.stop_timeline.value);
  json.set("bad_page_count", facts.bad_page_count);
  json.set("label", facts.label);
  return json;
}

Json check_json(const backup::CheckReport& report, const std::string& cluster) {
  Json json = versioned_json();
  json.set("cluster", cluster);
  json.set("passed", strings_json(report.passed));
  json.set("warnings", strings_json(report.warnings));
  return json;
}

Json recovery_json(const restore::RecoveryWindow& window) {
  Json json = Json::object();
  json.set("usable", !window.missing.has_value());
  json.set("missing", window.missing ? Json(*window.missing) : Json());
  json.set("timeline", window.timeline.value);
  json.set("start_lsn", to_string(window.start));
  json.set("end_lsn", to_string(window.end));
  json.set("last_commit_time", window.last_transaction
                                   ? Json(restore::to_target_time(window.last_transaction->time))
                                   : Json());
  json.set("gap", window.gap ? Json(*window.gap) : Json());
  return json;
}

Json backup_details_json(const repository::Snapshot& snapshot, const postgres::BackupFacts& facts) {
  Json json = backup_json(snapshot, facts);
  json.set("program", snapshot.program);
  json.set("parent", snapshot.parent);
  json.set("changes", snapshot.from_wal ? "wal" : "scan");
  json.set("chunks_stored", snapshot.statistics.chunks_stored);
  json.set("chunks_found", snapshot.statistics.chunks_found);
  json.set("packs", std::uint64_t{snapshot.packs.size()});
  json.set("online", facts.online);
  json.set("from_standby", facts.from_standby);
  json.set("wal_included", facts.wal_included);
  json.set("server_version", facts.server_version);
  // As text: it does not fit the numbers of every JSON reader.
  json.set("system_identifier", std::to_string(facts.system_identifier));
  json.set("block_size_bytes", facts.block_size_bytes);
  json.set("wal_segment_size_bytes", facts.wal_segment_size_bytes);
  json.set("data_checksums", facts.data_checksum_version != 0);
  json.set("data_directory", facts.data_directory);
  json.set("owner_user", facts.owner_user);
  json.set("owner_group", facts.owner_group);
  json.set("server_start_time", facts.start_time);
  json.set("server_stop_time", facts.stop_time);
  json.set("tablespaces", tablespaces_json(facts));
  json.set("configuration", configuration_json(facts));
  json.set("bad_pages", bad_pages_json(facts));
  return json;
}

const char* to_string(repository::FileDifference::Kind kind) {
  switch (kind) {
    case repository::FileDifference::Kind::changed: return "changed";
    case repository::FileDifference::Kind::added: return "added";
    case repository::FileDifference::Kind::removed: return "removed";
  }
  return "changed";
}

Json changes_json(const BackupChanges& changes) {
  if (changes.parent.empty()) return {};
  const auto oid = [](std::optional<std::uint32_t> database) {
    return database ? Json(*database) : Json();
  };
  Json databases = Json::array();
  for (const auto& [database, sums] : changes.databases) {
    Json one = Json::object();
    one.set("oid", oid(database));
    one.set("files_changed", sums.files_changed);
    one.set("files_added", sums.files_added);
    one.set("files_removed", sums.files_removed);
    one.set("changed_bytes", sums.changed_bytes);
    databases.push(std::move(one));
  }
  Json files = Json::array();
  for (const BackupChanges::File& file : changes.files) {
    Json one = Json::object();
    one.set("path", file.path);
    one.set("database_oid", oid(file.database));
    one.set("change", to_string(file.kind));
    one.set("size_bytes", file.size_bytes);
    one.set("changed_bytes", file.changed_bytes);
    files.push(std::move(one));
  }
  Json json = Json::object();
  json.set("parent", changes.parent);
  json.set("databases", std::move(databases));
  json.set("files", std::move(files));
  return json;
}

Json map_use_json(const repository::MapUse& maps) {
  Json json = Json::object();
  json.set("leaves", maps.leaves);
  json.set("pages", maps.pages);
  json.set("gathered_pages", maps.gathered_pages);
  json.set("chunks", maps.chunks);
  json.set("chunk_pages", maps.chunk_pages);
  return json;
}

Json backup_result_json(const backup::BackupReport& report, std::chrono::nanoseconds duration) {
  Json json = versioned_json();
  const Json details = backup_details_json(report.snapshot, report.facts);
  for (const auto& [key, value] : details.members()) json.set(key, value);
  json.set("duration_ms", milliseconds(duration));
  json.set("io_backend", report.io_backend);
  json.set("files_vanished", report.files_vanished);
  json.set("pages_reread", report.pages_reread);
  json.set("warnings", strings_json(report.warnings));
  json.set("findings", strings_json(report.findings));
  return json;
}

Json backup_dry_run_json(const backup::BackupReport& report, const std::string& cluster) {
  Json json = versioned_json();
  json.set("cluster", cluster);
  json.set("data_directory", report.facts.data_directory);
  json.set("planned_files", report.planned_files);
  json.set("planned_bytes", report.planned_bytes);
  json.set("warnings", strings_json(report.warnings));
  return json;
}

Json entry_json(const repository::TreeEntry& entry, const std::string& shown_path) {
  Json json = Json::object();
  json.set("path", shown_path);
  json.set("kind", kind_name(entry.kind));
  json.set("size_bytes", entry.size_bytes);
  json.set("mode", entry.mode);
  json.set("user_id", entry.user);
  json.set("group_id", entry.group);
  if (entry.kind == repository::EntryKind::link) json.set("target", entry.link_target);
  return json;
}

namespace {

Json recovery_json(const restore::RecoveryPlan& plan) {
  const restore::Survey& survey = plan.survey;
  Json json = Json::object();
  json.set("target", restore::describe(plan.target));
  Json timelines = Json::array();
  for (const wal::TimelinePeriod& period : plan.lineage.periods) {
    Json one = Json::object();
    one.set("timeline", period.timeline.value);
    one.set("begin_lsn", to_string(period.begin));
    timelines.push(std::move(one));
  }
  json.set("timelines", std::move(timelines));
  json.set("first_segment", plan.first_segment);
  json.set("last_segment", plan.last_segment);
  json.set("last_segment_unfinished", plan.last_is_unfinished);
  json.set("segments", survey.segments);
  json.set("end_lsn", to_string(survey.end));
  json.set("stop", survey.stop ? Json(restore::describe(*survey.stop, plan.target)) : Json());
  json.set("stop_lsn", survey.stop ? Json(to_string(survey.stop->lsn)) : Json());
  const auto& last = survey.last_transaction;
  json.set("last_xid", last ? Json(last->xid) : Json());
  json.set("last_time", last ? Json(restore::to_target_time(last->time)) : Json());
  json.set("signal_file", plan.signal_file);
  Json settings = Json::array();
  for (const restore::Setting& setting : plan.settings) {
    Json one = Json::object();
    one.set("name", setting.name);
    one.set("value", setting.value);
    settings.push(std::move(one));
  }
  json.set("settings", std::move(settings));
  return json;
}

}  // namespace

Json restore_result_json(const restore::RestoreReport& report, const std::string& target) {
  Json json = versioned_json();
  json.set("backup", report.backup);
  json.set("target", target);
  json.set("files", report.files);
  json.set("bytes", report.bytes);
  if (report.delta) {
    json.set("kept_bytes", report.delta->kept_bytes);
    json.set("rewritten_bytes", report.bytes - report.delta->kept_bytes);
    json.set("removed", report.delta->removed);
  }
  json.set("plan_ms", milliseconds(report.plan_time));
  json.set("copy_ms", milliseconds(report.copy_time));
  json.set("sync_ms", milliseconds(report.sync_time));
  if (report.server) {
    json.set("server", to_string(report.server->outcome));
    json.set("replay_ms", milliseconds(report.server->replay_time));
    json.set("first_query_ms", milliseconds(report.server->first_query_time));
  }
  if (report.recovery) json.set("recovery", recovery_json(*report.recovery));
  json.set("io_backend", report.io_backend);
  json.set("start_lsn", to_string(report.facts.start));
  json.set("stop_lsn", to_string(report.facts.stop));
  json.set("tablespaces", pairs_json(report.tablespaces));
  json.set("configuration", pairs_json(report.configuration));
  json.set("warnings", strings_json(report.warnings));
  json.set("findings", strings_json(report.findings));
  return json;
}

Json wal_list_json(const repository::Repository& repository, const std::string& cluster,
                   const wal::WalInventory& inventory) {
  Json json = versioned_json();
  json.set("repository", to_string(repository.id()));
  json.set("cluster", cluster);
  json.set("system_identifier", std::to_string(inventory.system_identifier()));
  Json timelines = Json::array();
  for (const wal::TimelineWal& timeline : inventory.timelines()) {
    Json one = Json::object();
    one.set("timeline", timeline.timeline.value);
    one.set("history", timeline.history.has_value());
    one.set("ancestors", wal_ancestors_json(timeline));
    one.set("ranges", wal_ranges_json(timeline));
    one.set("gaps", wal_gaps_json(inventory.gaps(timeline.timeline)));
    timelines.push(std::move(one));
  }
  json.set("timelines", std::move(timelines));
  Json tails = Json::array();
  for (const wal::Tail& tail : inventory.tails()) {
    Json one = Json::object();
    one.set("segment", tail.segment.text);
    one.set("bytes", tail.size_bytes);
    tails.push(std::move(one));
  }
  json.set("tails", std::move(tails));
  json.set("partial_segments", strings_json(inventory.partials()));
  json.set("backup_histories", strings_json(inventory.backup_histories()));
  json.set("damage", strings_json(inventory.damage()));
  return json;
}

Json wal_receive_json(const std::string& cluster, const wal::ReceiverReport& report) {
  Json json = versioned_json();
  json.set("cluster", cluster);
  json.set("system_identifier", std::to_string(report.system_identifier));
  json.set("timeline", report.timeline.value);
  json.set("start_lsn", to_string(report.start));
  json.set("durable_lsn", to_string(report.durable));
  json.set("segments_stored", report.segments_stored);
  json.set("segments_present", report.segments_present);
  json.set("sessions", report.sessions);
  return json;
}

Json verify_result_json(const std::vector<std::pair<std::string, verify::VerifyReport>>& clusters) {
  Json json = versioned_json();
  bool sound = true;
  Json array = Json::array();
  for (const auto& [cluster, report] : clusters) {
    sound = sound && report.sound();
    Json one = Json::object();
    one.set("cluster", cluster);
    one.set("sound", report.sound());
    one.set("backups", report.backups);
    one.set("packs", report.packs);
    one.set("wal_files", report.wal_files);
    one.set("unreferenced_packs", report.unreferenced_packs);
    one.set("chunks", report.chunks);
    one.set("bytes_read", report.bytes_read);
    one.set("recorded", report.recorded);
    one.set("damage", strings_json(report.damage));
    one.set("affected", affected_json(report));
    one.set("lost_moments", lost_moments_json(report));
    array.push(std::move(one));
  }
  json.set("sound", sound);
  json.set("clusters", std::move(array));
  return json;
}

}  // namespace haul::cli
