#include "engine/restore/plan.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/format.h"
#include "engine/postgres/backup_label.h"
#include "engine/postgres/control_file.h"
#include "engine/postgres/file_grammar.h"
#include "engine/postgres/wal_segment.h"
#include "engine/repository/tree_store.h"
#include "engine/restore/leaf.h"
#include "engine/restore/restore.h"
#include "engine/restore/target.h"

namespace haul::restore {

using postgres::BackupFacts;
using repository::EntryKind;
using repository::TreeEntry;
using repository::TreeRoot;

namespace {

// Written by the restore itself, from the facts or its own doing.
constexpr std::array<std::string_view, 4> kOurNames = {
    postgres::kBackupLabelName, postgres::kTablespaceMapName, "backup_manifest", kUnfinishedMarker};

// The copy's own business.
constexpr std::array<std::string_view, 3> kOwnBusiness = {kRecoverySignal, kStandbySignal,
                                                          postgres::kStartLogName};

constexpr std::string_view kTablespaceDirectory = "pg_tblspc";
constexpr std::string_view kWalPrefix = "pg_wal/";
constexpr std::string_view kVersionFile = "PG_VERSION";
constexpr std::string_view kAutoConfiguration = "postgresql.auto.conf";

template <typename Names>
bool contains(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

io::FileKind kind_of(const TreeEntry& entry) {
  switch (entry.kind) {
    case EntryKind::file: return io::FileKind::regular;
    case EntryKind::directory: return io::FileKind::directory;
    case EntryKind::link: return io::FileKind::symlink;
  }
  return io::FileKind::other;
}

// Entries of one root are in compare_paths() order.
const TreeEntry* find_entry(const std::vector<TreeEntry>& entries, std::string_view path) {
  const auto found = std::ranges::lower_bound(
      entries, path,
      [](std::string_view a, std::string_view b) { return repository::compare_paths(a, b) < 0; },
      [](const TreeEntry& entry) -> std::string_view { return entry.path; });
  return found != entries.end() && found->path == path ? &*found : nullptr;
}

// Left out by every restore; why is a warning of the plan.
bool is_left_out(const TreeEntry& entry) {
  return contains(kOwnBusiness, entry.path) || entry.kind == EntryKind::link ||
         postgres::classify(entry.path, kind_of(entry)) == postgres::FileClass::excluded;
}

bool is_placed_file(const RestorePlan& plan, const TreeEntry& entry) {
  return entry.root == TreeRoot::data_directory && entry.kind == EntryKind::file &&
         entry.path != postgres::kControlFilePath && !is_left_out(entry) &&
         !plan.taken_out.contains(entry.path);
}

class Planner {
 public:
  Planner(repository::ChunkReader& chunks, const repository::Snapshot& snapshot)
      : chunks_(chunks), snapshot_(snapshot) {
    plan_.backup = snapshot.id;
    plan_.tree = snapshot.tree;
    plan_.packs = repository::packs_of(snapshot.packs);
  }

  Result<RestorePlan> run() {
    auto facts = postgres::backup_facts_from_json(snapshot_.facts);
    if (!facts) return broken(std::move(facts).take_error());
    plan_.facts = std::move(facts).take();
    version_directory_ =
        format("PG_{}_{}", plan_.facts.server_version / 10000, plan_.facts.catalog_version);
    auto walked = repository::walk_tree(chunks_, snapshot_.tree,
                                        [this](const TreeEntry& entry) { return add(entry); });
    if (!walked) return broken(std::move(walked).take_error());
    auto checked = check_whole();
    if (!checked) return broken(std::move(checked).take_error());
    return std::move(plan_);
  }

 private:
  Error broken(Error error) const {
    return std::move(error).with_context(format("backup {}", plan_.backup));
  }

  static Error not_allowed(const TreeEntry& entry, std::string_view why) {
    return {ErrorCode::corrupt, format("path \"{}\" is not allowed: {}", entry.path, why)};
  }

  Status add(const TreeEntry& entry) {
    if (entry.root == TreeRoot::configuration) return add_configuration(entry);
    if (contains(kOurNames, entry.path)) return not_allowed(entry, "the restore writes it");
    const std::string_view parent = parent_of(entry.path);
    if (!parent.empty() && !plan_.has_directory(parent)) {
      return not_allowed(entry, "it lies in no directory of the backup");
    }
    HAUL_TRY(check_tablespace(entry));
    if (is_left_out(entry)) {
      plan_.warnings.push_back(why_left_out(entry));
    } else if (entry.kind == EntryKind::directory) {
      plan_.directories.push_back(entry);
    } else {
      add_file(entry);
    }
    return ok();
  }

  static std::string why_left_out(const TreeEntry& entry) {
    if (contains(kOwnBusiness, entry.path)) {
      return format("{} was in the backup and is not restored", entry.path);
    }
    if (postgres::classify(entry.path, kind_of(entry)) == postgres::FileClass::excluded) {
      return format("{} belongs to a running server and is not restored", entry.path);
    }
    return format("{} was a symbolic link to {} and is not restored", entry.path,
                  entry.link_target);
  }

  void add_file(const TreeEntry& entry) {
    plan_.bytes += entry.size_bytes;
    if (entry.path == postgres::kControlFilePath) {
      plan_.control_file = entry;
      return;
    }
    ++plan_.files;
    const std::uint64_t leaf = std::uint64_t{entry.page_size_bytes} * repository::kLeafPages;
    plan_.leaf_bytes_max = std::max(plan_.leaf_bytes_max, std::min(leaf, entry.size_bytes));
    plan_.page_size_bytes_max = std::max(plan_.page_size_bytes_max, entry.page_size_bytes);
    if (entry.path.starts_with(kWalPrefix) || entry.path == kVersionFile ||
        entry.path == kAutoConfiguration || !is_reserved_name(entry.path)) {
      plan_.known_files.emplace(entry.path, entry);
    }
  }

  Status add_configuration(const TreeEntry& entry) {
    const bool known = std::ranges::any_of(
        plan_.facts.configuration,
        [&](const postgres::ConfigurationFact& fact) { return fact.path == "/" + entry.path; });
    if (entry.kind != EntryKind::file || !known) {
      return not_allowed(entry, "it is no configuration file that was recorded");
    }
    plan_.bytes += entry.size_bytes;
    plan_.configuration.push_back(entry);
    return ok();
  }

  // pg_tblspc holds tablespaces that were recorded and nothing else; a tablespace that lies
  // elsewhere holds the directory of this release and nothing else.
  Status check_tablespace(const TreeEntry& entry) const {
    const std::string_view path = entry.path;
    if (path == kTablespaceDirectory) {
      return entry.kind == EntryKind::directory ? ok() : not_allowed(entry, "not a directory");
    }
    if (!path.starts_with(format("{}/", kTablespaceDirectory))) return ok();
    const auto oid = tablespace_of(path);
    const auto fact = std::ranges::find_if(
        plan_.facts.tablespaces, [&](const auto& candidate) { return candidate.oid == oid; });
    if (!oid || fact == plan_.facts.tablespaces.end()) {
      return not_allowed(entry, "no such tablespace was recorded");
    }
    const std::string root = tablespace_path(*oid);
    if (path == root) {
      return entry.kind == EntryKind::directory ? ok() : not_allowed(entry, "not a directory");
    }
    const std::string_view inner = path.substr(root.size() + 1);
    const std::string_view top = inner.substr(0, inner.find('/'));
    if (!fact->in_place && top != version_directory_) {
      return not_allowed(entry, format("only {} belongs there", version_directory_));
    }
    return ok();
  }

  Status check_whole() {
    const TreeEntry* global = find_entry(plan_.directories, "global");
    if (global == nullptr || plan_.control_file.path.empty() || !plan_.has_file(kVersionFile)) {
      return Error(ErrorCode::corrupt,
                   "the file list is no data directory: global/pg_control or "
                   "PG_VERSION is missing");
    }
    plan_.group_access = (global->mode & 0050) == 0050;
    for (const postgres::TablespaceFact& tablespace : plan_.facts.tablespaces) {
      if (!tablespace.in_place && !plan_.has_directory(kTablespaceDirectory)) {
        return Error(ErrorCode::corrupt, "the file list has tablespaces but no pg_tblspc");
      }
    }
    HAUL_TRY(check_control_file());
    HAUL_TRY(check_label());
    HAUL_TRY(check_wal());
    warn_of_missing_configuration();
    return ok();
  }

  Status check_control_file() {
    auto bytes = read_whole(chunks_, plan_.control_file, postgres::kControlFileSizeBytes);
    if (!bytes) {
      if (bytes.error().code() != ErrorCode::corrupt) return std::move(bytes).take_error();
      // Everything else is looked at as well before the restore is given up.
      plan_.lost_files.push_back(plan_.control_file.path);
      return ok();
    }
    plan_.control_bytes = std::move(bytes).take();
    const postgres::ControlFile control =
        HAUL_TRY(postgres::parse_control_file(plan_.control_bytes));
    if (control.system_identifier != plan_.facts.system_identifier ||
        control.catalog_version != plan_.facts.catalog_version) {
      return Error(ErrorCode::corrupt,
                   format("{} is of another cluster", postgres::kControlFilePath));
    }
    return ok();
  }

  // Without its label an online backup would start from whatever checkpoint pg_control names, and
  // lose data without a word.
  Status check_label() const {
    const BackupFacts& facts = plan_.facts;
    if (!facts.online) {
      if (facts.backup_label.empty()) return ok();
      return Error(ErrorCode::corrupt, "backup_label: an offline backup has none");
    }
    if (facts.backup_label.empty()) {
      return Error(ErrorCode::corrupt, "backup_label is missing from an online backup");
    }
    const postgres::BackupLabel label =
        HAUL_TRY(postgres::parse_backup_label(facts.backup_label, facts.wal_segment_size_bytes));
    if (label.start != facts.start || label.timeline != facts.start_timeline) {
      return Error(ErrorCode::corrupt, "backup_label does not belong to this backup");
    }
    return check_tablespace_map();
  }

  // The server makes its links anew from the map, whatever the restore made.
  Status check_tablespace_map() const {
    for (const auto& [oid, location] :
         HAUL_TRY(postgres::parse_tablespace_map(plan_.facts.tablespace_map))) {
      const bool known =
          std::ranges::any_of(plan_.facts.tablespaces, [&](const postgres::TablespaceFact& fact) {
            return fact.oid == oid && !fact.in_place && fact.location == location;
          });
      if (!known) {
        return Error(
            ErrorCode::corrupt,
            format("tablespace_map: tablespace {} at {} was not backed up", oid, location));
      }
    }
    return ok();
  }

  Status check_wal() {
    const BackupFacts& facts = plan_.facts;
    if (!facts.online) return ok();
    if (!facts.wal_included) {
      plan_.warnings.push_back(
          format("the WAL from {} to {} is not in the backup: the server needs a restore_command",
                 to_string(facts.start), to_string(facts.stop)));
      return ok();
    }
    const std::uint32_t size = facts.wal_segment_size_bytes;
    const auto first = postgres::segment_of(facts.start, facts.start_timeline, size);
    const auto last = postgres::segment_before(facts.stop, facts.stop_timeline, size);
    for (std::uint64_t number = first.number; number <= last.number; ++number) {
      const std::string before =
          "pg_wal/" + postgres::to_name({facts.start_timeline, number}, size);
      const std::string after = "pg_wal/" + postgres::to_name({facts.stop_timeline, number}, size);
      if (plan_.has_file(before) || plan_.has_file(after)) continue;
      return Error(ErrorCode::corrupt,
                   format("{} is missing: the server could not recover", after));
    }
    return ok();
  }

  void warn_of_missing_configuration() {
    for (const postgres::ConfigurationFact& fact : plan_.facts.configuration) {
      const bool found = std::ranges::any_of(plan_.configuration, [&](const TreeEntry& entry) {
        return "/" + entry.path == fact.path;
      });
      if (!found) plan_.warnings.push_back(format("{} is not in the backup", fact.path));
    }
  }

  repository::ChunkReader& chunks_;
  const repository::Snapshot& snapshot_;
  RestorePlan plan_;
  std::string version_directory_;
};

}  // namespace

bool RestorePlan::has_directory(std::string_view path) const {
  return find_entry(directories, path) != nullptr;
}

void RestorePlan::take_out(const std::string& path) {
  HAUL_ASSERT(has_file(path));
  if (taken_out.insert(path).second) --files;
}

bool is_reserved_name(std::string_view path) {
  if (path.starts_with("base/") || path.starts_with("global/") ||
      (path.starts_with("pg_") && path.find('/') != std::string_view::npos)) {
    return true;
  }
  return contains(kOurNames, path) || contains(kOwnBusiness, path) || path == kVersionFile ||
         path == kAutoConfiguration ||
         postgres::classify(path, io::FileKind::regular) == postgres::FileClass::excluded;
}

Result<repository::Snapshot> read_backup(const repository::Cluster& cluster,
                                         const std::string& name) {
  const Error absent(ErrorCode::not_found, format("no backup {} of cluster {} in {}", name,
                                                  cluster.name, cluster.store->name()));
  // The name becomes part of a key.
  if (!repository::is_backup_name(name)) return absent;
  auto snapshot = repository::read_snapshot(cluster, name);
  if (!snapshot && snapshot.error().code() == ErrorCode::not_found) return absent;
  return snapshot;
}

Result<std::string> resolve_backup(const repository::Cluster& cluster, const std::string& name) {
  if (name != "latest") {
    HAUL_TRY(read_backup(cluster, name));
    return name;
  }
  std::string newest;
  std::pair<TimelineId, Lsn> newest_position;
  std::optional<Error> unreadable;
  for (const std::string& id : HAUL_TRY(repository::list_snapshots(cluster))) {
    auto snapshot = repository::read_snapshot(cluster, id);
    auto facts = snapshot ? postgres::backup_facts_from_json(snapshot->facts)
                          : Result<BackupFacts>(snapshot.error());
    if (!facts) {
      unreadable = std::move(facts).take_error().with_context(format("backup {}", id));
      if (unreadable->code() != ErrorCode::corrupt) return *unreadable;
      continue;
    }
    const std::pair position{facts->stop_timeline, facts->stop};
    // Ids ascend, so the later of two equal ones wins.
    if (newest.empty() || position >= newest_position) {
      newest = id;
      newest_position = position;
    }
  }
  // A backup that cannot be read may be the newest one: the user has to know before an older one is
  // taken for it.
  if (unreadable) {
    return std::move(*unreadable)
        .with_hint(newest.empty() ? "no backup of this cluster can be read"
                                  : format("name the backup to restore, e.g. {}", newest));
  }
  if (newest.empty()) {
    return Error(ErrorCode::not_found,
                 format("no backup of cluster {} in {}", cluster.name, cluster.store->name()));
  }
  return newest;
}

Result<RestorePlan> make_plan(repository::ChunkReader& chunks,
                              const repository::Snapshot& snapshot) {
  return Planner(chunks, snapshot).run();
}

Status for_each_placed(repository::ChunkReader& chunks, const RestorePlan& plan,
                       const repository::EntryVisitor& visit) {
  return repository::walk_tree(chunks, plan.tree, [&](const TreeEntry& entry) -> Status {
    const bool is_directory = entry.root == TreeRoot::data_directory &&
                              entry.kind == EntryKind::directory && plan.has_directory(entry.path);
    return is_directory || is_placed_file(plan, entry) ? visit(entry) : ok();
  });
}

Status for_each_file(repository::ChunkReader& chunks, const RestorePlan& plan,
                     const repository::EntryVisitor& visit) {
  const Error changed(ErrorCode::corrupt,
                      format("backup {}: the list of files is not what it was", plan.backup));
  std::uint64_t left = plan.files;
  const auto visit_placed = [&](const TreeEntry& entry) -> Status {
    if (!is_placed_file(plan, entry)) return ok();
    if (left == 0) return changed;
    --left;
    return visit(entry);
  };
  HAUL_TRY(repository::walk_tree(chunks, plan.tree, visit_placed));
  if (left > 0) return changed;
  return ok();
}

}  // namespace haul::restore
