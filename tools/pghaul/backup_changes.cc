#include "tools/pghaul/backup_changes.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "tools/pghaul/backup_tree.h"

namespace haul::cli {

using repository::FileDifference;
using repository::TreeEntry;

namespace {

std::optional<std::uint32_t> number_of(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Takes "base" off "base/5/1259".
std::string_view take_component(std::string_view& path) {
  const std::size_t end = std::min(path.find('/'), path.size());
  const std::string_view component = path.substr(0, end);
  path.remove_prefix(std::min(end + 1, path.size()));
  return component;
}

// Keeps the files with the most changed bytes of any number.
class LargestFiles {
 public:
  explicit LargestFiles(std::size_t files_max) : files_max_(files_max) {}

  void add(BackupChanges::File file) {
    files_.push_back(std::move(file));
    if (files_.size() >= 2 * files_max_) cut();
  }
  std::vector<BackupChanges::File> take() && {
    cut();
    return std::move(files_);
  }

 private:
  void cut() {
    std::ranges::sort(files_,
                      [](const BackupChanges::File& left, const BackupChanges::File& right) {
                        if (left.changed_bytes != right.changed_bytes) {
                          return left.changed_bytes > right.changed_bytes;
                        }
                        return repository::compare_paths(left.path, right.path) < 0;
                      });
    if (files_.size() > files_max_) files_.resize(files_max_);
  }

  const std::size_t files_max_;
  std::vector<BackupChanges::File> files_;
};

void count(const FileDifference& difference, std::uint64_t changed_bytes,
           BackupChanges::Database& database) {
  switch (difference.kind) {
    case FileDifference::Kind::changed: ++database.files_changed; break;
    case FileDifference::Kind::added: ++database.files_added; break;
    case FileDifference::Kind::removed: ++database.files_removed; break;
  }
  database.changed_bytes += changed_bytes;
}

// The parent's tree; nothing where there is no parent, or it is gone.
Result<std::optional<repository::TreeRootId>> tree_of_parent(const repository::Cluster& cluster,
                                                             const std::string& parent,
                                                             repository::Findings& findings) {
  if (parent.empty()) return std::nullopt;
  auto snapshot = repository::read_snapshot(cluster, parent);
  if (snapshot) return snapshot->tree;
  if (snapshot.error().code() == ErrorCode::not_found) return std::nullopt;
  if (snapshot.error().code() != ErrorCode::corrupt) return std::move(snapshot).take_error();
  findings.add(snapshot.error().message());
  return std::nullopt;
}

}  // namespace

std::optional<std::uint32_t> database_of(const TreeEntry& entry) {
  if (entry.root != repository::TreeRoot::data_directory) return std::nullopt;
  std::string_view rest = entry.path;
  const std::string_view top = take_component(rest);
  if (top == "global") return 0;
  if (top == "pg_tblspc") {
    take_component(rest);  // the tablespace
    take_component(rest);  // the version's directory
  } else if (top != "base") {
    return std::nullopt;
  }
  const auto database = number_of(take_component(rest));
  return rest.empty() ? std::nullopt : database;
}

Result<BackupChanges> find_changes(const repository::Cluster& cluster,
                                   const repository::Snapshot& snapshot, std::size_t files_max) {
  repository::Findings findings;
  const auto index = HAUL_TRY(
      repository::Index::open(cluster, findings, repository::Index::Packs::listed_when_needed));
  repository::ChunkReader chunks(cluster, *index, findings);
  repository::TreeComparison comparison(chunks, findings);
  BackupChanges changes;
  LargestFiles largest(files_max);
  const auto before = HAUL_TRY(tree_of_parent(cluster, snapshot.parent, findings));
  HAUL_TRY(comparison.run(before, snapshot.tree, [&](const FileDifference& difference) -> Status {
    if (!before) return ok();
    BackupChanges::File file;
    file.path = shown_path(difference.entry);
    file.database = database_of(difference.entry);
    file.kind = difference.kind;
    file.size_bytes = difference.entry.size_bytes;
    file.changed_bytes = difference.changed_pages * difference.entry.page_size_bytes;
    count(difference, file.changed_bytes, changes.databases[file.database]);
    largest.add(std::move(file));
    return ok();
  }));
  if (before) changes.parent = snapshot.parent;
  changes.files = std::move(largest).take();
  changes.maps = comparison.use();
  changes.findings = findings.lines();
  return changes;
}

}  // namespace haul::cli
