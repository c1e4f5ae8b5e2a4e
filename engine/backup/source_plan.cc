#include "engine/backup/source_plan.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "base/format.h"
#include "engine/repository/tree.h"

namespace haul::backup {

namespace {

using postgres::FileClass;
using postgres::Vanishing;

std::string join(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

class Planner {
 public:
  Planner(const SourceTree& source, const postgres::ControlFile& control, std::stop_token stop)
      : source_(source), control_(control), stop_(std::move(stop)) {}

  Result<SourcePlan> run() {
    HAUL_TRY(enter(""));
    while (!pending_.empty()) {
      if (stop_.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
      const std::string path = std::move(pending_.back());
      pending_.pop_back();
      HAUL_TRY(enter(path));
    }
    drop_unlogged();
    std::ranges::sort(plan_.files, [](const PlannedFile& a, const PlannedFile& b) {
      return repository::compare_paths(a.path, b.path) < 0;
    });
    for (const PlannedFile& file : plan_.files) plan_.bytes += file.size_hint_bytes;
    return std::move(plan_);
  }

 private:
  Status enter(const std::string& path) {
    auto info = source_.info(path);
    if (!info) return vanished(path, std::move(info).take_error());
    // A link into the tree again, or two to one place, must not copy anything twice or loop.
    if (!visited_.insert({info->device, info->inode}).second) {
      plan_.warnings.push_back(
          format("{}: this directory was reached before by another path; skipped", path));
      return ok();
    }
    auto entries = source_.list(path);
    if (!entries) return vanished(path, std::move(entries).take_error());
    plan_.directories.push_back({path, *info});
    for (const io::DirectoryEntry& entry : *entries) HAUL_TRY(add(path, entry));
    return ok();
  }

  Status add(const std::string& directory, const io::DirectoryEntry& entry) {
    const std::string path = join(directory, entry.name);
    // A tablespace may hold directories of other versions and clusters.
    if (is_tablespace(directory) && entry.name != source_.tablespace_version_directory())
      return ok();
    switch (postgres::classify(path, entry.kind)) {
      case FileClass::relation:
      case FileClass::opaque: return add_file(path);
      case FileClass::directory: pending_.push_back(path); return ok();
      case FileClass::tablespace_link: pending_.push_back(path); return ok();
      case FileClass::wal_directory: return add_wal_directory(path);
      case FileClass::contents_excluded_directory: return add_empty_directory(path);
      case FileClass::link: return add_link(path);
      case FileClass::special:
        plan_.warnings.push_back(format("{}: neither file nor directory; skipped", path));
        return ok();
      case FileClass::control_file:
      case FileClass::excluded: return ok();
    }
    return ok();
  }

  Status add_file(const std::string& path) {
    auto info = source_.info(path);
    if (!info) return vanished(path, std::move(info).take_error());
    PlannedFile file;
    file.path = path;
    file.size_hint_bytes = info->size_bytes;
    if (const auto relation = postgres::parse_relation_file(path)) {
      file.relation = true;
      file.first_block = relation->first_block(control_.relation_segment_blocks);
      unlogged_.saw(*relation);
    }
    plan_.files.push_back(std::move(file));
    return ok();
  }

  // Kept with its mode but without content; a link elsewhere becomes a directory with the data
  // directory's mode.
  Status add_empty_directory(const std::string& path) {
    auto info = source_.info(path);
    if (!info) return vanished(path, std::move(info).take_error());
    if (info->kind != io::FileKind::directory) info->mode = HAUL_TRY(source_.info("")).mode;
    plan_.directories.push_back({path, *info});
    return ok();
  }

  Status add_wal_directory(const std::string& path) {
    HAUL_TRY(add_empty_directory(path));
    // archive_status and summaries, kept empty; wherever pg_wal is, they get the data directory's
    // mode and owner.
    for (const io::DirectoryEntry& entry : HAUL_TRY(source_.wal_directory().list(""))) {
      const std::string inner = join(path, entry.name);
      if (postgres::classify(inner, entry.kind) != FileClass::contents_excluded_directory) continue;
      plan_.directories.push_back({inner, HAUL_TRY(source_.info(""))});
    }
    return ok();
  }

  Status add_link(const std::string& path) {
    const SourceTree::Place place = source_.resolve(path);
    auto target = place.directory->read_link(place.path);
    if (!target) return vanished(path, std::move(target).take_error());
    plan_.links.push_back({path, *target});
    plan_.warnings.push_back(format(
        "{}: a symbolic link to {}; recorded, its content is not in the backup", path, *target));
    return ok();
  }

  Status vanished(const std::string& path, Error error) {
    if (error.code() != ErrorCode::not_found) return error;
    switch (postgres::vanishing(path)) {
      case Vanishing::tolerated: return ok();
      case Vanishing::with_directory: plan_.vanished_with_directory.push_back(path); return ok();
      case Vanishing::never: break;
    }
    return std::move(error).with_context("the data directory lost a file that cannot vanish");
  }

  static bool is_tablespace(const std::string& directory) {
    return directory.starts_with("pg_tblspc/") && directory.find('/', 10) == std::string::npos;
  }

  // Asked only after the whole scan: an init fork seen anywhere in it decides for all other forks.
  void drop_unlogged() {
    std::erase_if(plan_.files, [this](const PlannedFile& file) {
      const auto relation = postgres::parse_relation_file(file.path);
      return relation && unlogged_.skips(*relation);
    });
  }

  const SourceTree& source_;
  const postgres::ControlFile& control_;
  const std::stop_token stop_;
  SourcePlan plan_;
  std::vector<std::string> pending_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> visited_;
  postgres::UnloggedFilter unlogged_;
};

}  // namespace

Result<SourcePlan> plan_source(const SourceTree& source, const postgres::ControlFile& control,
                               std::stop_token stop) {
  return Planner(source, control, std::move(stop)).run();
}

Status check_databases(const SourcePlan& plan, const SourceTree& source,
                       const std::vector<postgres::DatabasePlace>& before,
                       const std::vector<postgres::DatabasePlace>& after) {
  std::vector<postgres::DatabasePlace> lasting;
  std::ranges::set_intersection(before, after, std::back_inserter(lasting));
  for (const postgres::DatabasePlace& place : lasting) {
    const std::string directory = place.tablespace == postgres::kDefaultTablespace
                                      ? format("base/{}", place.oid)
                                      : format("pg_tblspc/{}/{}/{}", place.tablespace,
                                               source.tablespace_version_directory(), place.oid);
    for (const char* name : {"PG_VERSION", "pg_filenode.map"}) {
      const std::string path = directory + "/" + name;
      const auto found = std::ranges::lower_bound(
          plan.files, path,
          [](const auto& a, const auto& b) { return repository::compare_paths(a, b) < 0; },
          &PlannedFile::path);
      if (found != plan.files.end() && found->path == path) continue;
      return Error(ErrorCode::server_state,
                   format("{} is missing although its database exists", path),
                   "the database is damaged; the backup would be as well");
    }
  }
  return ok();
}

Status check_vanished_directories(const SourceTree& source, const std::vector<std::string>& paths,
                                  Clock& clock) {
  constexpr int kLooks = 50;
  constexpr std::chrono::milliseconds kBetweenLooks{100};
  for (const std::string& path : paths) {
    const std::string directory = path.substr(0, path.rfind('/'));
    bool gone = false;
    for (int look = 0; look < kLooks && !gone; ++look) {
      if (look > 0) clock.sleep_for(kBetweenLooks);
      const auto info = source.info(directory);
      gone = !info && info.error().code() == ErrorCode::not_found;
      if (!info && !gone) return info.error();
    }
    if (!gone) {
      return Error(ErrorCode::server_state,
                   format("{} is missing although its directory is there", path),
                   "the database is damaged; the backup would be as well");
    }
  }
  return ok();
}

}  // namespace haul::backup
