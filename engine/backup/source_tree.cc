#include "engine/backup/source_tree.h"

#include <charconv>

#include "base/format.h"

namespace haul::backup {

namespace {

constexpr std::string_view kTablespaceDirectory = "pg_tblspc";

std::optional<std::uint32_t> parse_oid(std::string_view text) {
  std::uint32_t oid = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), oid);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty() || text[0] == '0')
    return std::nullopt;
  return oid;
}

// A link's target as an absolute path; relative targets start at the directory that holds the link.
std::string absolute_target(const std::string& directory, const std::string& target) {
  return target.starts_with('/') ? target : directory + "/" + target;
}

}  // namespace

Result<std::unique_ptr<SourceTree>> SourceTree::open(const std::string& data_directory,
                                                     const DirectoryOpener& open,
                                                     const postgres::ControlFile& control) {
  std::unique_ptr<SourceTree> tree(new SourceTree());
  tree->data_directory_ = HAUL_TRY(open(data_directory));
  tree->version_directory_ = format("PG_{}_{}", control.server_major, control.catalog_version);
  HAUL_TRY(tree->open_wal_directory(data_directory, open));
  auto entries = tree->data_directory_->list(kTablespaceDirectory);
  if (!entries) return std::move(entries).take_error();
  for (const io::DirectoryEntry& entry : *entries)
    HAUL_TRY(tree->open_tablespace(entry.name, entry.kind, open));
  return tree;
}

Status SourceTree::open_wal_directory(const std::string& data_directory,
                                      const DirectoryOpener& open) {
  const io::FileInfo info = HAUL_TRY(data_directory_->info("pg_wal"));
  if (info.kind == io::FileKind::symlink) {
    wal_directory_ = HAUL_TRY(
        open(absolute_target(data_directory, HAUL_TRY(data_directory_->read_link("pg_wal")))));
  } else {
    plain_wal_directory_ = HAUL_TRY(data_directory_->open_directory("pg_wal"));
  }
  return ok();
}

Status SourceTree::open_tablespace(const std::string& name, io::FileKind kind,
                                   const DirectoryOpener& open) {
  const auto oid = parse_oid(name);
  if (!oid) return ok();  // not a tablespace; planning says what becomes of it
  const std::string path = format("{}/{}", kTablespaceDirectory, name);
  if (kind == io::FileKind::directory) {
    tablespaces_.push_back({*oid, "", true});
    return ok();
  }
  if (kind != io::FileKind::symlink) return ok();
  const std::string target = HAUL_TRY(data_directory_->read_link(path));
  auto directory = open(
      absolute_target(data_directory_->name() + "/" + std::string(kTablespaceDirectory), target));
  if (!directory) {
    return std::move(directory).take_error().with_context(
        format("tablespace {} at {}", name, target));
  }
  linked_tablespaces_.emplace(path, std::move(directory).take());
  tablespaces_.push_back({*oid, target, false});
  return ok();
}

SourceTree::Place SourceTree::resolve(const std::string& path) const {
  if (!path.starts_with(kTablespaceDirectory)) return {data_directory_.get(), path};
  const std::size_t slash = path.find('/', kTablespaceDirectory.size() + 1);
  const auto found = linked_tablespaces_.find(path.substr(0, slash));
  if (found == linked_tablespaces_.end()) return {data_directory_.get(), path};
  return {found->second.get(), slash == std::string::npos ? "" : path.substr(slash + 1)};
}

Status SourceTree::for_each_entry(const std::string& path,
                                  const io::DirectoryEntryVisitor& visit) const {
  const Place place = resolve(path);
  return place.directory->for_each_entry(place.path, visit);
}

Result<io::FileInfo> SourceTree::info(const std::string& path) const {
  const Place place = resolve(path);
  return place.directory->info(place.path);
}

Result<std::unique_ptr<io::File>> SourceTree::open_file(const std::string& path) const {
  const Place place = resolve(path);
  return place.directory->open_file(place.path, io::Caching::direct);
}

}  // namespace haul::backup
