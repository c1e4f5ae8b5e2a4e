#include "engine/restore/target.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <ranges>

#include "base/format.h"
#include "engine/postgres/control_file.h"

namespace haul::restore {

namespace {

constexpr std::string_view kTablespacePrefix = "pg_tblspc/";

// Places of the system itself, or of users: a mistyped target, and as a data directory they would
// be closed to everyone else.
constexpr std::array<std::string_view, 15> kUnsuited = {
    "/",    "/bin",  "/boot", "/dev", "/etc", "/home", "/lib",    "/proc",
    "/run", "/root", "/sbin", "/sys", "/tmp", "/usr",  "/var/lib"};

bool is_unsuited(std::string_view path) {
  if (std::ranges::find(kUnsuited, path) != kUnsuited.end() || path == "/var") return true;
  constexpr std::string_view kHomes = "/home/";
  return path.starts_with(kHomes) && path.find('/', kHomes.size()) == std::string_view::npos;
}

// Without spare slashes and "." components; nothing when it is not absolute or has a "..", whose
// meaning depends on symbolic links.
std::optional<std::string> tidy(std::string_view path) {
  if (!path.starts_with('/') || path.find('\0') != std::string_view::npos) return std::nullopt;
  std::string result;
  for (const auto part : std::views::split(path, '/')) {
    const std::string_view name(part.begin(), part.end());
    if (name == "..") return std::nullopt;
    if (name.empty() || name == ".") continue;
    result += '/';
    result += name;
  }
  return result.empty() ? "/" : result;
}

Result<std::string> tidy_place(const std::string& path, std::string_view what) {
  auto tidied = tidy(path);
  if (!tidied) {
    return Error(ErrorCode::usage,
                 format("{} \"{}\" is no absolute path without \"..\"", what, path));
  }
  if (is_unsuited(*tidied)) {
    return Error(ErrorCode::usage, format("{} {} is no place for a database", what, *tidied),
                 "name a new or empty directory of its own");
  }
  return *tidied;
}

Status check_apart(const TargetLayout& layout) {
  const auto share = [](std::string_view one, std::string_view other) {
    return is_same_or_beneath(one, other) || is_same_or_beneath(other, one);
  };
  for (const TablespacePlace& place : layout.tablespaces) {
    if (share(place.to, layout.data_directory)) {
      return Error(ErrorCode::usage,
                   format("tablespace {} at {} and the data directory {} would share a place",
                          place.oid, place.to, layout.data_directory),
                   format("choose another place: -T {}=NEW", place.from));
    }
    for (const TablespacePlace& other : layout.tablespaces) {
      if (other.oid <= place.oid || !share(place.to, other.to)) continue;
      return Error(ErrorCode::usage,
                   format("tablespaces {} and {} would share {}", place.oid, other.oid, other.to),
                   format("choose another place: -T {}=NEW", other.from));
    }
  }
  return ok();
}

// A link that someone made by hand may be relative; it starts at the directory that holds it.
std::string recorded_place(const postgres::TablespaceFact& tablespace,
                           const postgres::BackupFacts& facts) {
  if (tablespace.location.empty() || tablespace.location.starts_with('/')) {
    return tablespace.location;
  }
  const std::filesystem::path links = facts.data_directory + "/pg_tblspc";
  return (links / tablespace.location).lexically_normal().string();
}

std::string list_of_places(const postgres::TablespaceMap& map) {
  if (map.empty()) return "the backup has no tablespaces outside of its data directory";
  std::string text = "tablespaces of the backup:";
  for (const postgres::TablespaceMapEntry& entry : map) text += format(" {}", entry.location);
  return text;
}

}  // namespace

bool is_same_or_beneath(std::string_view path, std::string_view directory) {
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

std::string tablespace_path(std::uint32_t oid) { return format("{}{}", kTablespacePrefix, oid); }

std::optional<std::uint32_t> tablespace_of(std::string_view path) {
  if (!path.starts_with(kTablespacePrefix)) return std::nullopt;
  const std::string_view rest = path.substr(kTablespacePrefix.size());
  const std::string_view name = rest.substr(0, rest.find('/'));
  std::uint32_t oid = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), oid);
  const bool is_whole = error == std::errc{} && end == name.data() + name.size();
  if (!is_whole || name.empty() || name.front() == '0') return std::nullopt;
  return oid;
}

Result<TargetLayout> make_layout(const RestoreOptions& options,
                                 const postgres::BackupFacts& facts) {
  TargetLayout layout;
  layout.data_directory = HAUL_TRY(tidy_place(options.target, "target"));
  postgres::TablespaceMap recorded;
  for (const postgres::TablespaceFact& tablespace : facts.tablespaces) {
    if (tablespace.in_place) continue;
    const auto location = tidy(recorded_place(tablespace, facts));
    if (!location) {
      return Error(ErrorCode::corrupt,
                   format("tablespace {} was at \"{}\", which is no place that can be told",
                          tablespace.oid, tablespace.location));
    }
    recorded.push_back({tablespace.oid, *location});
  }
  std::vector<postgres::TablespaceMapping> mappings;
  mappings.reserve(options.mappings.size());
  for (const postgres::TablespaceMapping& mapping : options.mappings) {
    std::string to = HAUL_TRY(tidy_place(mapping.to, "tablespace target"));
    mappings.push_back({tidy(mapping.from).value_or(mapping.from), std::move(to)});
  }
  auto mapped = postgres::remap(recorded, mappings);
  if (!mapped) {
    Error error = std::move(mapped).take_error();
    return error.hint().empty() ? std::move(error).with_hint(list_of_places(recorded)) : error;
  }
  for (std::size_t i = 0; i < recorded.size(); ++i) {
    std::string to = HAUL_TRY(tidy_place((*mapped)[i].location, "tablespace target"));
    layout.tablespaces.push_back({recorded[i].oid, recorded[i].location, std::move(to)});
  }
  HAUL_TRY(check_apart(layout));
  return layout;
}

namespace {

using Identity = std::pair<std::uint64_t, std::uint64_t>;

Error not_empty(const std::string& path) {
  return Error(ErrorCode::usage, format("{} is not empty", path),
               "empty it or choose another directory");
}

// Says what is in the way of the data directory.
Error occupied(const std::string& path, io::Directory& directory,
               const std::vector<io::DirectoryEntry>& entries, postgres::ProcessProbe& processes) {
  const auto presence = postgres::server_presence(directory, processes);
  if (presence && *presence == postgres::ServerPresence::running) {
    return Error(ErrorCode::server_state, format("a server runs in {}", path),
                 "stop it, or restore to another directory");
  }
  const bool has_marker =
      std::ranges::find(entries, kUnfinishedMarker, &io::DirectoryEntry::name) != entries.end();
  const bool looks_like_cluster =
      std::ranges::find(entries, "PG_VERSION", &io::DirectoryEntry::name) != entries.end();
  const auto control = directory.info(postgres::kControlFilePath);
  const bool lacks_control = !control && control.error().code() == ErrorCode::not_found;
  if (has_marker || (looks_like_cluster && lacks_control)) {
    return Error(ErrorCode::usage, format("{} holds a restore that did not finish", path),
                 "empty it, and its tablespaces, or choose another directory");
  }
  return not_empty(path);
}

// Which directory that is, or nothing when it is absent.
Result<std::optional<Identity>> identity_of(io::Directory& directory) {
  const io::FileInfo info = HAUL_TRY(directory.info(""));
  return Identity{info.device, info.inode};
}

Result<std::optional<Identity>> check_data_directory(const std::string& path,
                                                     const DirectoryOpener& open,
                                                     postgres::ProcessProbe& processes) {
  auto directory = open(path);
  if (!directory) {
    if (directory.error().code() == ErrorCode::not_found) return std::nullopt;
    return std::move(directory).take_error();
  }
  const std::vector<io::DirectoryEntry> entries = HAUL_TRY((*directory)->list(""));
  if (!entries.empty()) return occupied(path, **directory, entries, processes);
  return identity_of(**directory);
}

Result<std::optional<Identity>> check_tablespace(const TablespacePlace& place,
                                                 const DirectoryOpener& open) {
  auto directory = open(place.to);
  if (!directory) {
    if (directory.error().code() == ErrorCode::not_found) return std::nullopt;
    return std::move(directory).take_error();
  }
  if (!HAUL_TRY((*directory)->list("")).empty()) {
    return not_empty(place.to)
        .with_context(format("tablespace {}", place.oid))
        .with_hint(format("empty it or restore it elsewhere: -T {}=NEW", place.from));
  }
  return identity_of(**directory);
}

}  // namespace

Status check_vacant_tablespace(const TablespacePlace& place, const DirectoryOpener& open) {
  HAUL_TRY(check_tablespace(place, open));
  return ok();
}

Status check_vacant(const TargetLayout& layout, const DirectoryOpener& open,
                    postgres::ProcessProbe& processes) {
  std::map<Identity, std::string> seen;
  const auto check_new = [&](const std::optional<Identity>& identity,
                             const std::string& path) -> Status {
    if (!identity) return ok();
    const auto [other, inserted] = seen.emplace(*identity, path);
    if (inserted) return ok();
    return Error(ErrorCode::usage, format("{} and {} are the same directory", other->second, path));
  };
  HAUL_TRY(check_new(HAUL_TRY(check_data_directory(layout.data_directory, open, processes)),
                     layout.data_directory));
  for (const TablespacePlace& place : layout.tablespaces) {
    HAUL_TRY(check_new(HAUL_TRY(check_tablespace(place, open)), place.to));
  }
  return ok();
}

namespace {

Status own(io::Directory& directory, std::string_view path, const CreationRules& rules) {
  if (!rules.owner) return ok();
  return directory.set_owner(path, rules.owner->user, rules.owner->group);
}

Status make_durable_directory(io::Directory& root, const std::string& path,
                              const CreationRules& rules) {
  Status made = root.make_directory(path, rules.directory_mode);
  if (!made && made.error().code() == ErrorCode::already_exists) {
    return Error(ErrorCode::usage, format("{} is no directory", io::full_name(root, path)));
  }
  HAUL_TRY(std::move(made));
  HAUL_TRY(own(root, path, rules));
  const std::size_t slash = path.rfind('/');
  return root.sync_directory(slash == std::string::npos ? "" : path.substr(0, slash));
}

// Opens a root. What is missing of its path is made, with owner: a server must be able to reach its
// data directory.
Result<std::unique_ptr<io::Directory>> open_root(const std::string& path,
                                                 const CreationRules& rules,
                                                 const DirectoryOpener& open) {
  std::string existing = path;
  auto directory = open(existing);
  while (!directory && directory.error().code() == ErrorCode::not_found && existing != "/") {
    existing.resize(std::max<std::size_t>(existing.rfind('/'), 1));
    directory = open(existing);
  }
  if (!directory) return std::move(directory).take_error();
  if (existing == path) {
    HAUL_TRY((*directory)->set_mode("", rules.directory_mode));
    HAUL_TRY(own(**directory, "", rules));
    return directory;
  }
  const std::string missing = path.substr(existing == "/" ? 1 : existing.size() + 1);
  for (std::size_t end = 0; end != std::string::npos;) {
    end = missing.find('/', end == 0 ? 0 : end + 1);
    HAUL_TRY(make_durable_directory(**directory, missing.substr(0, end), rules));
  }
  return (*directory)->open_directory(missing);
}

}  // namespace

Status Target::write_marker(const Options& options) {
  const std::string text = to_text(options.marker);
  if (options.is_delta) {
    const auto file = HAUL_TRY(data_directory_->create_temporary("", io::Caching::buffered));
    HAUL_TRY(file->write_at(0, bytes_of(text)));
    if (rules_.owner) HAUL_TRY(file->set_owner(rules_.owner->user, rules_.owner->group));
    HAUL_TRY(file->sync());
    HAUL_TRY(data_directory_->publish_over(*file, kUnfinishedMarker));
    HAUL_TRY(file->finish());
  } else {
    HAUL_TRY(write_file(kUnfinishedMarker, 0600, bytes_of(text)));
  }
  return data_directory_->sync_directory("");
}

Result<std::unique_ptr<Target>> Target::create(const TargetLayout& layout, const Options& options,
                                               const DirectoryOpener& open) {
  const CreationRules& rules = options.rules;
  std::unique_ptr<Target> target(new Target(layout, rules));
  target->data_directory_ = HAUL_TRY(open_root(layout.data_directory, rules, open));
  HAUL_TRY(target->write_marker(options));
  for (const TablespacePlace& place : layout.tablespaces) {
    auto root = open_root(place.to, rules, open);
    if (!root) {
      return std::move(root).take_error().with_context(format("tablespace {}", place.oid));
    }
    target->tablespaces_.emplace(place.oid, std::move(root).take());
  }
  return target;
}

Target::Place Target::resolve(std::string_view path) const {
  const auto oid = tablespace_of(path);
  const auto found = oid ? tablespaces_.find(*oid) : tablespaces_.end();
  if (found == tablespaces_.end()) return {data_directory_.get(), std::string(path)};
  const std::size_t slash = path.find('/', kTablespacePrefix.size());
  if (slash == std::string_view::npos) return {found->second.get(), ""};
  return {found->second.get(), std::string(path.substr(slash + 1))};
}

Status Target::adopt_directory(std::string_view path, std::uint32_t recorded_mode) {
  const Place place = resolve(path);
  if (place.path.empty()) return ok();
  HAUL_TRY(place.directory->set_mode(place.path, rules_.directory_mode_of(recorded_mode)));
  return own(*place.directory, place.path, rules_);
}

Status Target::make_directory(std::string_view path, std::uint32_t recorded_mode) {
  const Place place = resolve(path);
  if (place.path.empty()) return ok();
  HAUL_TRY(place.directory->make_directory(place.path, rules_.directory_mode_of(recorded_mode)));
  return own(*place.directory, place.path, rules_);
}

Result<std::unique_ptr<io::File>> Target::create_file(std::string_view path,
                                                      std::uint32_t recorded_mode,
                                                      io::Caching caching) {
  const Place place = resolve(path);
  return place.directory->create_file(place.path, rules_.file_mode_of(recorded_mode), caching);
}

Result<std::unique_ptr<io::File>> Target::open_earlier(std::string_view path,
                                                       std::uint32_t recorded_mode,
                                                       io::Caching caching, Access access) {
  const Place place = resolve(path);
  auto file = access == Access::look ? place.directory->open_file(place.path, caching)
                                     : place.directory->open_for_update(place.path, caching);
  if (!file && file.error().code() == ErrorCode::not_found) return nullptr;
  if (access == Access::look) return file ? std::move(file).take() : nullptr;
  if (!file && file.error().code() != ErrorCode::permission) return std::move(file).take_error();
  if (!file) {
    HAUL_TRY(place.directory->remove_file(place.path));
    return nullptr;
  }
  HAUL_TRY((*file)->set_mode(rules_.file_mode_of(recorded_mode)));
  return std::move(file).take();
}

Status Target::finish_file(io::File& file, std::string_view path, Sync sync) const {
  if (rules_.owner) HAUL_TRY(file.set_owner(rules_.owner->user, rules_.owner->group));
  const bool is_left_to_the_end =
      sync == Sync::by_make_durable && resolve(path).directory->can_sync_file_system();
  if (!is_left_to_the_end) HAUL_TRY(file.sync());
  return file.finish();
}

Status Target::write_file(std::string_view path, std::uint32_t recorded_mode, ByteSpan content) {
  const auto file = HAUL_TRY(create_file(path, recorded_mode, io::Caching::buffered));
  HAUL_TRY(file->write_at(0, content));
  return finish_file(*file, path, Sync::now);
}

std::vector<io::Directory*> Target::roots() const {
  std::vector<io::Directory*> roots;
  for (const auto& [oid, directory] : tablespaces_) roots.push_back(directory.get());
  roots.push_back(data_directory_.get());
  return roots;
}

bool Target::syncs_files_at_once() const {
  return std::ranges::all_of(roots(), &io::Directory::can_sync_file_system);
}

Status Target::make_durable(const std::vector<std::string>& directories) {
  for (const std::string& path : directories | std::views::reverse) {
    const Place place = resolve(path);
    if (place.directory->can_sync_file_system()) continue;
    HAUL_TRY(place.directory->sync_directory(place.path));
  }
  for (io::Directory* root : roots()) {
    HAUL_TRY(root->can_sync_file_system() ? root->sync_file_system() : root->sync_directory(""));
  }
  return ok();
}

Status Target::sync_roots() {
  for (io::Directory* root : roots()) HAUL_TRY(root->sync_directory(""));
  return ok();
}

Status Target::remove_marker() {
  HAUL_TRY(data_directory_->remove_file(kUnfinishedMarker));
  return data_directory_->sync_directory("");
}

}  // namespace haul::restore
