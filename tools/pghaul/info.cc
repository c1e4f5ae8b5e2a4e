#include <algorithm>
#include <optional>

#include "base/format.h"
#include "engine/postgres/backup_facts.h"
#include "engine/repository/snapshot.h"
#include "engine/restore/recovery_window.h"
#include "engine/restore/restore.h"
#include "engine/wal/wal_archive.h"
#include "engine/wal/wal_inventory.h"
#include "tools/pghaul/backup_changes.h"
#include "tools/pghaul/commands.h"
#include "tools/pghaul/json_output.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {

namespace {

using repository::Snapshot;

struct Backup {
  Snapshot snapshot;
  postgres::BackupFacts facts;
  restore::RecoveryWindow window;
};

// The archive of a cluster, and what it lets be recovered.
struct Archive {
  wal::WalInventory inventory;
  std::optional<restore::RecoveryWindows> windows;
};

Status read_archive(const repository::Cluster& cluster, Archive& archive) {
  if (const auto system = HAUL_TRY(wal::bound_system(cluster))) {
    archive.inventory = HAUL_TRY(wal::WalInventory::read(cluster, *system));
  }
  archive.windows.emplace(cluster, archive.inventory);
  return ok();
}

Result<Backup> read_backup(const repository::Cluster& cluster, Archive& archive,
                           const std::string& id) {
  Backup backup;
  backup.snapshot = HAUL_TRY(repository::read_snapshot(cluster, id));
  auto facts = postgres::backup_facts_from_json(backup.snapshot.facts);
  if (!facts) return std::move(facts).take_error().with_context(cluster.layout.snapshot(id));
  backup.facts = std::move(facts).take();
  backup.window = HAUL_TRY(archive.windows->of(backup.facts));
  return backup;
}

const char* kind_of(const Snapshot& snapshot) {
  return snapshot.id.ends_with('F') ? "full" : "overlaid";
}

std::string wal_of(const postgres::BackupFacts& facts) {
  return format("{}..{} ({})", to_string(facts.start), to_string(facts.stop),
                facts.stop_timeline.value);
}

// "0/5000148, 2026-11-24T10:00:00Z"
std::string recoverable_to(const restore::RecoveryWindow& window) {
  if (window.missing) return format("nothing: {} is missing", *window.missing);
  std::string text = to_string(window.end);
  if (window.last_transaction) text += format(", {}", to_iso8601(window.last_transaction->time));
  if (window.gap) text += format("; {} is missing", *window.gap);
  return text;
}

using Row = std::vector<std::string>;

Row row_of(const Backup& backup) {
  return {backup.snapshot.id,
          kind_of(backup.snapshot),
          to_iso8601(backup.snapshot.finished),
          print_size(backup.snapshot.statistics.source_bytes),
          print_size(backup.snapshot.statistics.read_bytes),
          print_size(backup.snapshot.statistics.changed_bytes),
          print_size(backup.snapshot.statistics.stored_bytes),
          wal_of(backup.facts),
          recoverable_to(backup.window),
          std::to_string(backup.facts.bad_page_count),
          backup.facts.label};
}

void print_table(Context& context, const std::vector<Row>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      line += format("{:<{}}  ", row[i], widths[i]);
    }
    print_line(context, line + row.back());
  }
}

// A damaged snapshot hides neither the others nor itself.
Result<int> list_backups(Context& context, const repository::Cluster& cluster) {
  std::vector<Row> rows = {{"backup", "kind", "finished", "size", "read", "changed", "stored",
                            "WAL", "recoverable to", "bad pages", "label"}};
  Archive archive;
  HAUL_TRY(read_archive(cluster, archive));
  Json array = Json::array();
  int status = kDone;
  for (const std::string& id : HAUL_TRY(repository::list_snapshots(cluster))) {
    auto backup = read_backup(cluster, archive, id);
    if (!backup) {
      HAUL_TRY(context.repository->check_still_there());
      context.console->fail(backup.error());
      status = exit_status(backup.error().code(), Subject::repository);
      continue;
    }
    rows.push_back(row_of(*backup));
    Json entry = backup_json(backup->snapshot, backup->facts);
    entry.set("recovery", recovery_json(backup->window));
    array.push(std::move(entry));
  }
  if (context.output == Context::Output::json) {
    Json json = versioned_json();
    json.set("repository", to_string(context.repository->id()));
    json.set("cluster", cluster.name);
    json.set("backups", std::move(array));
    print_json(context, json);
  } else if (rows.size() > 1) {
    print_table(context, rows);
  } else {
    print_line(context, format("cluster {} has no backups", cluster.name));
  }
  return status;
}

void print_details(Context& context, const Backup& backup) {
  const auto& [snapshot, facts, window] = backup;
  const auto line = [&context](std::string_view name, const std::string& value) {
    print_line(context, format("{:<20}{}", name, value));
  };
  line("backup", snapshot.id);
  line("cluster", snapshot.cluster);
  line("kind", format("{}, {}", kind_of(snapshot), facts.online ? "online" : "offline"));
  line("started", to_iso8601(snapshot.started));
  line("finished", to_iso8601(snapshot.finished));
  line("written by", snapshot.program);
  line("label", facts.label);
  line("size", format("{} in {} files", print_size(snapshot.statistics.source_bytes),
                      snapshot.statistics.files));
  if (!snapshot.parent.empty()) line("parent", snapshot.parent);
  line("changed", format("{} of {} read", print_size(snapshot.statistics.changed_bytes),
                         print_size(snapshot.statistics.read_bytes)));
  line("stored", format("{} new, {} packs in all", print_size(snapshot.statistics.stored_bytes),
                        snapshot.packs.size()));
  line("chunks", format("{} stored, {} found", snapshot.statistics.chunks_stored,
                        snapshot.statistics.chunks_found));
  line("WAL", format("{}, {}", wal_of(facts), facts.wal_included ? "copied" : "archived"));
  line("recoverable from", format("{}, {}", to_string(window.start), facts.stop_time));
  line("recoverable to", recoverable_to(window));
  line("server version", std::to_string(facts.server_version));
  line("system identifier", std::to_string(facts.system_identifier));
  line("data checksums", facts.data_checksum_version != 0 ? "on" : "off");
  line("data directory", facts.data_directory);
  for (const postgres::TablespaceFact& tablespace : facts.tablespaces) {
    line("tablespace",
         format("{} {}", tablespace.oid, tablespace.in_place ? "in place" : tablespace.location));
  }
  for (const postgres::ConfigurationFact& file : facts.configuration) {
    line("configuration", format("{} ({})", file.path, file.role));
  }
  line("bad pages", std::to_string(facts.bad_page_count));
  for (const postgres::BadPage& page : facts.bad_pages) {
    line("", format("{}, block {}", page.path, page.block));
  }
}

// As many as a screen has room for; JSON names more.
constexpr std::size_t kFilesShown = 20;
constexpr std::size_t kFilesInJson = 100'000;

std::string name_of(std::optional<std::uint32_t> database) {
  if (!database) return "other files";
  return *database == 0 ? "shared" : format("database {}", *database);
}

// "1.84"
std::string ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? "-"
                    : format("{:.2f}", static_cast<double>(part) / static_cast<double>(whole));
}

void print_databases(Context& context, const BackupChanges& changes) {
  std::vector<Row> rows = {{"changed in", "bytes", "files changed", "added", "removed"}};
  for (const auto& [database, sums] : changes.databases) {
    rows.push_back({name_of(database), print_size(sums.changed_bytes),
                    std::to_string(sums.files_changed), std::to_string(sums.files_added),
                    std::to_string(sums.files_removed)});
  }
  print_table(context, rows);
}

void print_files(Context& context, const BackupChanges& changes) {
  std::vector<Row> rows = {{"file", "bytes", "of", "change"}};
  for (const BackupChanges::File& file : changes.files) {
    rows.push_back({file.path, print_size(file.changed_bytes), print_size(file.size_bytes),
                    to_string(file.kind)});
  }
  print_table(context, rows);
}

void print_changes(Context& context, const BackupChanges& changes, const std::string& parent) {
  const repository::MapUse& maps = changes.maps;
  print_line(
      context,
      format("{:<20}{} chunks per leaf, {} times the pages in them, {} of the pages gathered",
             "maps", ratio(maps.chunks, maps.leaves), ratio(maps.chunk_pages, maps.pages),
             ratio(maps.gathered_pages, maps.pages)));
  print_line(context, "");
  if (changes.parent.empty()) {
    print_line(context, parent.empty() ? "the backup has no parent to compare it with"
                                       : format("its parent {} cannot be had any more", parent));
  } else if (changes.databases.empty()) {
    print_line(context, format("nothing has changed since {}", changes.parent));
  } else {
    print_databases(context, changes);
    print_line(context, "");
    print_files(context, changes);
  }
}

// Nothing unless --differences asks for it: it reads all maps of the backup.
Result<std::optional<BackupChanges>> changes_of(Context& context,
                                                const repository::Cluster& cluster,
                                                const Snapshot& snapshot) {
  if (!HAUL_TRY(context.settings->flag("differences"))) return std::nullopt;
  const bool json = context.output == Context::Output::json;
  auto changes = HAUL_TRY(find_changes(cluster, snapshot, json ? kFilesInJson : kFilesShown));
  for (const std::string& finding : changes.findings) context.console->warning(finding);
  return changes;
}

Result<int> describe_backup(Context& context, const repository::Cluster& cluster) {
  const std::string id =
      HAUL_TRY(restore::resolve_backup(cluster, context.settings->arguments().front()));
  Archive archive;
  HAUL_TRY(read_archive(cluster, archive));
  const Backup backup = HAUL_TRY(read_backup(cluster, archive, id));
  const auto changes = HAUL_TRY(changes_of(context, cluster, backup.snapshot));
  if (context.output == Context::Output::json) {
    Json json = versioned_json();
    const Json details = backup_details_json(backup.snapshot, backup.facts);
    for (const auto& [key, value] : details.members()) json.set(key, value);
    json.set("recovery", recovery_json(backup.window));
    if (changes) {
      json.set("differences", changes_json(*changes));
      json.set("maps", map_use_json(changes->maps));
    }
    print_json(context, json);
  } else {
    print_details(context, backup);
    if (changes) print_changes(context, *changes, backup.snapshot.parent);
  }
  return kDone;
}

}  // namespace

Result<int> run_info(Context& context) {
  const bool all = context.settings->arguments().empty();
  if (all && HAUL_TRY(context.settings->flag("differences"))) {
    return Error(ErrorCode::usage, "--differences is about one backup")
        .with_hint("name it, or latest");
  }
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  if (all) return list_backups(context, cluster);
  return describe_backup(context, cluster);
}

}  // namespace haul::cli
