#include "engine/backup/source_plan.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <optional>

#include "base/format.h"
#include "engine/backup/path_key.h"

namespace haul::backup {

namespace {

using postgres::FileClass;
using postgres::Vanishing;

// What the init forks of a directory take of the memory for its names.
constexpr std::size_t kInitForksShare = 16;

std::string join(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

// A relfilenode as bytes that compare as it does, and back.
std::array<std::byte, 4> record_of(std::uint32_t relfilenode) {
  return {static_cast<std::byte>(relfilenode >> 24), static_cast<std::byte>(relfilenode >> 16),
          static_cast<std::byte>(relfilenode >> 8), static_cast<std::byte>(relfilenode)};
}

std::uint32_t relfilenode_of(ByteSpan record) {
  std::uint32_t relfilenode = 0;
  for (const std::byte byte : record)
    relfilenode = (relfilenode << 8) | std::to_integer<std::uint32_t>(byte);
  return relfilenode;
}

// The names of one directory in natural order, but for the forks that recovery resets.
class Listing {
 public:
  Listing(std::string path, const SorterOptions& sorting, std::stop_token stop)
      : path_(std::move(path)),
        stop_(std::move(stop)),
        names_(sorting),
        init_forks_(
            {sorting.spool, std::max(kSorterMemoryMin, sorting.memory_bytes / kInitForksShare)}) {}

  // False when there is no such directory.
  Result<bool> read(const SourceTree& source) {
    // A failure of the spool must not pass for one of the directory.
    Status added = ok();
    Status listed = source.for_each_entry(path_, [&](const io::DirectoryEntry& entry) {
      added = add(entry);
      return added;
    });
    if (!added) return std::move(added).take_error();
    if (!listed && listed.error().code() == ErrorCode::not_found) return false;
    HAUL_TRY(std::move(listed));
    HAUL_TRY(names_.finish());
    HAUL_TRY(init_forks_.finish());
    HAUL_TRY(next_init_fork());
    return true;
  }

  // Nothing after the last one.
  Result<std::optional<io::DirectoryEntry>> next() {
    while (const std::optional<ByteSpan> record = HAUL_TRY(names_.next())) {
      io::DirectoryEntry entry = decode(*record);
      // Moved from one place of the directory to another, a name is listed twice.
      if (entry.name == last_name_) continue;
      last_name_ = entry.name;
      if (!HAUL_TRY(is_reset(entry.name))) return entry;
    }
    return std::nullopt;
  }

  const std::string& path() const { return path_; }
  std::size_t memory_bytes() const { return names_.memory_bytes() + init_forks_.memory_bytes(); }

 private:
  Status add(const io::DirectoryEntry& entry) {
    if (stop_.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
    repository::ByteWriter record;
    append_path_key(record, entry.name);
    record.u8(static_cast<std::uint8_t>(entry.kind));
    HAUL_TRY(names_.add(record.view()));
    const auto relation = postgres::parse_relation_file(join(path_, entry.name));
    if (!relation || relation->fork != postgres::Fork::init) return ok();
    return init_forks_.add(record_of(relation->relfilenode));
  }

  static io::DirectoryEntry decode(ByteSpan record) {
    const auto kind = static_cast<io::FileKind>(record.back());
    return {std::string(path_of_key(record.first(record.size() - 1))), kind};
  }

  // Both come in the order of relfilenodes, so that one init fork at a time has to be known.
  Result<bool> is_reset(const std::string& name) {
    const auto relation = postgres::parse_relation_file(join(path_, name));
    if (!relation) return false;
    while (init_fork_ && *init_fork_ < relation->relfilenode) HAUL_TRY(next_init_fork());
    return init_fork_ == relation->relfilenode && relation->fork != postgres::Fork::init;
  }

  Status next_init_fork() {
    const std::optional<ByteSpan> record = HAUL_TRY(init_forks_.next());
    init_fork_.reset();
    if (record) init_fork_ = relfilenode_of(*record);
    return ok();
  }

  const std::string path_;
  const std::stop_token stop_;
  RecordSorter names_;
  RecordSorter init_forks_;
  std::optional<std::uint32_t> init_fork_;  // the least not below what next() gave
  std::string last_name_;
};

class Planner {
 public:
  Planner(const SourceTree& source, const postgres::ControlFile& control,
          const SorterOptions& sorting, std::stop_token stop, PlanSink& sink)
      : source_(source),
        control_(control),
        sorting_(sorting),
        stop_(std::move(stop)),
        sink_(sink) {}

  Result<SourceSummary> run() {
    HAUL_TRY(enter(""));
    while (!open_.empty()) {
      if (stop_.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
      const auto entry = HAUL_TRY(open_.back()->next());
      if (entry) {
        HAUL_TRY(add(open_.back()->path(), *entry));
      } else {
        open_.pop_back();
      }
    }
    return std::move(summary_);
  }

 private:
  Status enter(const std::string& path) {
    auto info = source_.info(path);
    if (!info) return vanished(path, std::move(info).take_error());
    // A link into the tree again, or two to one place, must not copy anything twice or loop.
    if (!visited_.insert({info->device, info->inode}).second) {
      summary_.warnings.push_back(
          format("{}: this directory was reached before by another path; skipped", path));
      return ok();
    }
    auto listing = std::make_unique<Listing>(
        path, SorterOptions{sorting_.spool, listing_memory_bytes()}, stop_);
    if (!HAUL_TRY(listing->read(source_))) {
      return vanished(path, Error(ErrorCode::not_found, format("{} is gone", path)));
    }
    HAUL_TRY(sink_.directory({path, *info}));
    open_.push_back(std::move(listing));
    return ok();
  }

  // The directories above this one wait with the names that they have left.
  std::size_t listing_memory_bytes() const {
    std::size_t held = 0;
    for (const auto& listing : open_) held += listing->memory_bytes();
    return std::max(kSorterMemoryMin,
                    sorting_.memory_bytes - std::min(held, sorting_.memory_bytes));
  }

  Status add(const std::string& directory, const io::DirectoryEntry& entry) {
    const std::string path = join(directory, entry.name);
    // A tablespace may hold directories of other versions and clusters.
    if (is_tablespace(directory) && entry.name != source_.tablespace_version_directory())
      return ok();
    switch (postgres::classify(path, entry.kind)) {
      case FileClass::relation:
      case FileClass::opaque: return add_file(path);
      case FileClass::directory:
      case FileClass::tablespace_link: return enter(path);
      case FileClass::wal_directory: return add_wal_directory(path);
      case FileClass::contents_excluded_directory: return add_empty_directory(path);
      case FileClass::link: return add_link(path);
      case FileClass::special:
        summary_.warnings.push_back(format("{}: neither file nor directory; skipped", path));
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
    file.info = *info;
    if (const auto relation = postgres::parse_relation_file(path)) {
      file.relation = true;
      file.first_block = relation->first_block(control_.relation_segment_blocks);
    }
    ++summary_.files;
    summary_.bytes += file.info.size_bytes;
    if (postgres::vanishing(path) == Vanishing::with_directory)
      summary_.database_files.insert(path);
    return sink_.file(std::move(file));
  }

  // Kept with its mode but without content; a link elsewhere becomes a directory with the data
  // directory's mode.
  Status add_empty_directory(const std::string& path) {
    auto info = source_.info(path);
    if (!info) return vanished(path, std::move(info).take_error());
    if (info->kind != io::FileKind::directory) info->mode = HAUL_TRY(source_.info("")).mode;
    return sink_.directory({path, *info});
  }

  Status add_wal_directory(const std::string& path) {
    HAUL_TRY(add_empty_directory(path));
    // archive_status and summaries, kept empty; wherever pg_wal is, they get the data directory's
    // mode and owner. Between them there may be any number of segments.
    std::set<std::string> kept;
    HAUL_TRY(source_.wal_directory().for_each_entry("", [&](const io::DirectoryEntry& entry) {
      const std::string inner = join(path, entry.name);
      if (postgres::classify(inner, entry.kind) == FileClass::contents_excluded_directory)
        kept.insert(inner);
      return ok();
    }));
    for (const std::string& inner : kept) {
      const io::FileInfo info = HAUL_TRY(source_.info(""));
      HAUL_TRY(sink_.directory({inner, info}));
    }
    return ok();
  }

  Status add_link(const std::string& path) {
    const SourceTree::Place place = source_.resolve(path);
    auto target = place.directory->read_link(place.path);
    if (!target) return vanished(path, std::move(target).take_error());
    summary_.warnings.push_back(format(
        "{}: a symbolic link to {}; recorded, its content is not in the backup", path, *target));
    return sink_.link({path, *target});
  }

  Status vanished(const std::string& path, Error error) {
    if (error.code() != ErrorCode::not_found) return error;
    switch (postgres::vanishing(path)) {
      case Vanishing::tolerated: return ok();
      case Vanishing::with_directory: summary_.vanished_with_directory.push_back(path); return ok();
      case Vanishing::never: break;
    }
    return std::move(error).with_context("the data directory lost a file that cannot vanish");
  }

  static bool is_tablespace(const std::string& directory) {
    return directory.starts_with("pg_tblspc/") && directory.find('/', 10) == std::string::npos;
  }

  const SourceTree& source_;
  const postgres::ControlFile& control_;
  const SorterOptions& sorting_;
  const std::stop_token stop_;
  PlanSink& sink_;
  SourceSummary summary_;
  std::vector<std::unique_ptr<Listing>> open_;  // each lies in the one before
  std::set<std::pair<std::uint64_t, std::uint64_t>> visited_;
};

}  // namespace

Result<SourceSummary> plan_source(const SourceTree& source, const postgres::ControlFile& control,
                                  const SorterOptions& sorting, std::stop_token stop,
                                  PlanSink& sink) {
  return Planner(source, control, sorting, std::move(stop), sink).run();
}

Status check_databases(const SourceSummary& summary, const SourceTree& source,
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
      if (summary.database_files.contains(path)) continue;
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
