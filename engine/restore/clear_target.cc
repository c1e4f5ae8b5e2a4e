#include "engine/restore/clear_target.h"

#include <algorithm>

#include "base/format.h"
#include "engine/postgres/control_file.h"

namespace haul::restore {

using io::DirectoryEntry;
using io::FileKind;
using repository::EntryKind;
using repository::TreeEntry;

namespace {

constexpr std::string_view kLostAndFound = "lost+found";

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view name_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

bool is_beneath(std::string_view path, std::string_view directory) {
  return directory.empty() || (path.starts_with(directory) && path.size() > directory.size() &&
                               path[directory.size()] == '/');
}

std::string joined(std::string_view directory, std::string_view name) {
  return directory.empty() ? std::string(name) : format("{}/{}", directory, name);
}

class Clearing {
 public:
  Clearing(const RestorePlan& plan, Target& target, std::stop_token stop)
      : version_directory_(
            format("PG_{}_{}", plan.facts.server_version / 10000, plan.facts.catalog_version)),
        target_(target),
        stop_(std::move(stop)) {}

  Result<ClearResult> run(const RestorePlan& plan, repository::ChunkReader& chunks,
                          const DirectoryOpener& open) {
    HAUL_TRY(enter(""));
    HAUL_TRY(
        for_each_placed(chunks, plan, [this](const TreeEntry& entry) { return visit(entry); }));
    while (!open_.empty()) HAUL_TRY(leave());
    for (const std::string& place : target_.layout().abandoned) HAUL_TRY(abandon(place, open));
    return std::move(result_);
  }

 private:
  // A directory whose names are being compared with the backup's.
  struct Open {
    std::string path;  // in the tree
    Target::Place place;
    std::vector<DirectoryEntry> entries;  // in tree order
    std::size_t next = 0;
  };

  Status enter(std::string path) {
    Open directory{std::move(path), {}, {}, 0};
    directory.place = target_.resolve(directory.path);
    HAUL_TRY(directory.place.directory->for_each_entry(directory.place.path,
                                                       [&](const DirectoryEntry& entry) -> Status {
                                                         directory.entries.push_back(entry);
                                                         return ok();
                                                       }));
    std::ranges::sort(directory.entries, [](const DirectoryEntry& a, const DirectoryEntry& b) {
      return repository::compare_paths(a.name, b.name) < 0;
    });
    open_.push_back(std::move(directory));
    return ok();
  }

  // What is left of a directory is not in the backup.
  Status leave() {
    Open& directory = open_.back();
    for (; directory.next < directory.entries.size(); ++directory.next) {
      HAUL_TRY(remove(directory, directory.entries[directory.next]));
    }
    open_.pop_back();
    return ok();
  }

  Status visit(const TreeEntry& entry) {
    if (stop_.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
    const std::string_view parent = parent_of(entry.path);
    while (open_.back().path != parent && !is_beneath(parent, open_.back().path)) {
      HAUL_TRY(leave());
    }
    // Directories whose names differ in leading zeros alone are not visited one after another;
    // the first one has been emptied then.
    const bool is_found = open_.back().path == parent && HAUL_TRY(find(open_.back(), entry));
    if (entry.kind != EntryKind::directory) return ok();
    HAUL_TRY(is_found ? target_.adopt_directory(entry.path, entry.mode) : make_directory(entry));
    return enter(entry.path);
  }

  Status make_directory(const TreeEntry& entry) {
    Status made = target_.make_directory(entry.path, entry.mode);
    if (made || made.error().code() != ErrorCode::already_exists) return made;
    return target_.adopt_directory(entry.path, entry.mode);
  }

  // Whether the directory has what the entry is to be; removes what comes before it, and what is
  // something else.
  Result<bool> find(Open& directory, const TreeEntry& entry) {
    const std::string_view name = name_of(entry.path);
    for (; directory.next < directory.entries.size(); ++directory.next) {
      const DirectoryEntry& there = directory.entries[directory.next];
      const auto order = repository::compare_paths(there.name, name);
      if (order > 0) return false;
      const bool is_same = order == 0;
      const bool is_directory = there.kind == FileKind::directory;
      const bool fits =
          is_same && !is_root(entry) &&
          (entry.kind == EntryKind::directory ? is_directory : there.kind == FileKind::regular);
      if (!fits) HAUL_TRY(remove(directory, there));
      if (!is_same) continue;
      ++directory.next;
      return fits;
    }
    return false;
  }

  // A tablespace that lies elsewhere: what has its name in pg_tblspc is made anew at the end.
  bool is_root(const TreeEntry& entry) const { return target_.resolve(entry.path).path.empty(); }

  bool is_left_alone(const Open& directory, const DirectoryEntry& entry) const {
    if (!directory.place.path.empty()) return false;
    if (entry.name == kLostAndFound) return true;
    return directory.path.empty() ? entry.name == kUnfinishedMarker
                                  : entry.name != version_directory_;
  }

  Status remove(const Open& directory, const DirectoryEntry& entry) {
    if (stop_.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
    io::Directory& root = *directory.place.directory;
    const std::string path = joined(directory.place.path, entry.name);
    if (is_left_alone(directory, entry)) {
      if (!directory.path.empty() && entry.name != kLostAndFound) {
        result_.warnings.push_back(
            format("{} is not of this cluster and is left as it is", io::full_name(root, path)));
      }
      return ok();
    }
    if (entry.kind == FileKind::symlink && !directory.path.starts_with("pg_tblspc")) {
      result_.warnings.push_back(
          format("{} was a symbolic link and is removed, not what it points to",
                 io::full_name(root, path)));
    }
    return remove(root, path, entry.kind);
  }

  Status remove(io::Directory& root, const std::string& path, FileKind kind) {
    ++result_.removed;
    if (kind != FileKind::directory) return root.remove_file(path);
    for (const DirectoryEntry& entry : HAUL_TRY(root.list(path))) {
      HAUL_TRY(remove(root, joined(path, entry.name), entry.kind));
    }
    return root.remove_directory(path);
  }

  Status abandon(const std::string& place, const DirectoryOpener& open) {
    auto root = open(place);
    if (!root) {
      return root.error().code() == ErrorCode::not_found ? ok() : Status(root.error());
    }
    const auto found = (*root)->info(version_directory_);
    if (!found) return found.error().code() == ErrorCode::not_found ? ok() : found.error();
    HAUL_TRY(remove(**root, version_directory_, found->kind));
    result_.warnings.push_back(format(
        "the tablespace at {} is not of the backup, or lies elsewhere now: it is emptied", place));
    return (*root)->sync_directory("");
  }

  const std::string version_directory_;
  Target& target_;
  const std::stop_token stop_;
  std::vector<Open> open_;  // from the data directory downwards
  ClearResult result_;
};

}  // namespace

Status remove_control_file(Target& target) {
  io::Directory& data_directory = target.data_directory();
  const auto info = data_directory.info(postgres::kControlFilePath);
  if (!info) {
    return info.error().code() == ErrorCode::not_found ? ok() : Status(info.error());
  }
  if (info->kind == FileKind::directory) return ok();  // no server reads that
  HAUL_TRY(data_directory.remove_file(postgres::kControlFilePath));
  return data_directory.sync_directory(parent_of(postgres::kControlFilePath));
}

Result<ClearResult> clear_target(const RestorePlan& plan, repository::ChunkReader& chunks,
                                 Target& target, const DirectoryOpener& open,
                                 std::stop_token stop) {
  return Clearing(plan, target, std::move(stop)).run(plan, chunks, open);
}

}  // namespace haul::restore
