#include "tests/integration/incremental/compare_trees.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/format.h"
#include "engine/postgres/file_grammar.h"
#include "tests/support/pg_server.h"

namespace haul::integration {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPageBytes = 8192;
constexpr std::size_t kDifferencesMax = 20;

bool is_left_out(const std::string& path) {
  static constexpr const char* kFiles[] = {
      "global/pg_control", "backup_label",    "backup_label.old",     "backup_manifest",
      "postmaster.pid",    "postmaster.opts", "postgresql.auto.conf", "postgresql.conf",
      "current_logfiles",  "recovery.signal", "tablespace_map",       "tablespace_map.old",
      "pghaul-start.log"};
  static constexpr const char* kDirectories[] = {
      "pg_wal/",    "pg_stat/",     "pg_stat_tmp/", "pg_subtrans/",  "pg_dynshmem/",
      "pg_notify/", "pg_replslot/", "pg_serial/",   "pg_snapshots/", "log/"};
  return std::ranges::any_of(kFiles, [&](const char* name) { return path == name; }) ||
         std::ranges::any_of(kDirectories,
                             [&](const char* name) { return path.starts_with(name); }) ||
         path.ends_with("pg_internal.init") || path.find("pgsql_tmp") != std::string::npos;
}

// "base/5/16384_vm.1" is "base/5/16384": the relation's forks share it.
std::string relation_of(const std::string& path) {
  const std::size_t name = path.rfind('/') + 1;
  const std::size_t end = path.find_first_not_of("0123456789", name);
  return end == name ? std::string() : path.substr(0, end);
}

using Files = std::map<std::string, std::uint64_t>;  // sizes

Files files_of(const std::string& root) {
  Files files;
  const auto options = fs::directory_options::follow_directory_symlink;
  for (const auto& entry : fs::recursive_directory_iterator(root, options)) {
    const std::string path = entry.path().lexically_relative(root).string();
    if (entry.is_regular_file() && !is_left_out(path)) files.emplace(path, entry.file_size());
  }
  return files;
}

// Only the init fork of an unlogged relation is backed up.
void leave_out_unlogged(Files& files) {
  std::vector<std::string> unlogged;
  for (const auto& [path, size] : files) {
    if (path.ends_with("_init")) unlogged.push_back(path.substr(0, path.size() - 5));
  }
  std::erase_if(files, [&](const auto& file) {
    return !file.first.ends_with("_init") &&
           std::ranges::binary_search(unlogged, relation_of(file.first));
  });
}

std::string difference(const std::string& path, const std::string& expected,
                       const std::string& restored) {
  const std::string left = support::read_whole_file(expected + "/" + path).value();
  const std::string right = support::read_whole_file(restored + "/" + path).value();
  if (left == right) return "";
  const auto at = std::ranges::mismatch(left, right);
  return format("{}: page {} of {}, {} bytes against {}", path,
                static_cast<std::size_t>(at.in1 - left.begin()) / kPageBytes,
                left.size() / kPageBytes, left.size(), right.size());
}

}  // namespace

std::vector<std::string> compare_trees(const std::string& expected, const std::string& restored) {
  Files left = files_of(expected);
  Files right = files_of(restored);
  leave_out_unlogged(left);
  leave_out_unlogged(right);
  std::vector<std::string> differences;
  for (const auto& [path, size] : left) {
    if (differences.size() == kDifferencesMax) return differences;
    if (!right.contains(path)) {
      differences.push_back(path + ": missing");
    } else if (std::string one = difference(path, expected, restored); !one.empty()) {
      differences.push_back(std::move(one));
    }
  }
  for (const auto& [path, size] : right) {
    if (!left.contains(path)) differences.push_back(path + ": should not be there");
  }
  return differences;
}

}  // namespace haul::integration
