#include "engine/wal/spool.h"

#include "base/format.h"
#include "engine/wal/get.h"
#include "engine/wal/server_files.h"

namespace haul::wal {
namespace {

constexpr std::uint32_t kPrivate = 0700;
constexpr std::string_view kRequest = "request";
constexpr std::string_view kLock = "lock";
constexpr std::size_t kRequestBytesMax = 64;

Status make_if_missing(io::Directory& directory, const std::string& name) {
  Status made = directory.make_directory(name, kPrivate);
  if (made || made.error().code() == ErrorCode::already_exists) return ok();
  return made;
}

Result<std::unique_ptr<io::Directory>> open_or_make(
    const repository::LocalDirectoryOpener& open_directory, const std::string& path) {
  auto opened = open_directory(path);
  if (opened || opened.error().code() != ErrorCode::not_found) return opened;
  const SplitPath place = split_path(path);
  const auto parent = HAUL_TRY(open_directory(place.directory));
  HAUL_TRY(make_if_missing(*parent, place.name));
  return open_directory(path);
}

// What others could put there must not be handed to the server.
Status check_private(io::Directory& directory) {
  const io::FileInfo info = HAUL_TRY(directory.info(""));
  const auto own = HAUL_TRY(directory.create_temporary("", io::Caching::buffered));
  const bool is_own = HAUL_TRY(own->info()).user == info.user;
  if (is_own && info.mode == kPrivate) return ok();
  return Error(ErrorCode::permission, format("{} is not this user's alone", directory.name()),
               "remove it");
}

// A name that a spool gives, or a file of its that was being written when its process was killed.
bool is_own_name(std::string_view name) {
  return name == kRequest || name == kLock || name.ends_with(".tmp") || parse_wal_name(name);
}

Status remove_all(io::Directory& directory, std::string_view but) {
  for (const io::DirectoryEntry& entry : HAUL_TRY(directory.list(""))) {
    if (entry.name == but || !is_own_name(entry.name)) continue;
    Status removed = directory.remove_file(entry.name);
    // Another process, or the server's next request, may have been first.
    if (!removed && removed.error().code() != ErrorCode::not_found) return removed;
  }
  return ok();
}

}  // namespace

std::string Spool::name_for(const repository::Cluster& cluster, std::uint64_t system_identifier,
                            std::string_view boot_id) {
  return format("{}-{}-{}-{}", cluster.name, system_identifier, to_string(cluster.repository),
                boot_id);
}

Result<Spool> Spool::open(const repository::LocalDirectoryOpener& open_directory,
                          const Place& place) {
  auto parent = HAUL_TRY(open_or_make(open_directory, place.path));
  auto directory = parent->open_directory(place.name);
  if (!directory) {
    if (directory.error().code() != ErrorCode::not_found) return std::move(directory).take_error();
    HAUL_TRY(make_if_missing(*parent, place.name));
    directory = HAUL_TRY(parent->open_directory(place.name));
  }
  HAUL_TRY(check_private(**directory));
  return Spool(std::move(parent), std::move(directory).take(), place);
}

Status Spool::put(const WalName& segment, ByteSpan content) {
  return write_wal_file(*directory_, segment.text, content);
}

Result<std::vector<WalName>> Spool::segments() const {
  std::vector<WalName> names;
  for (const io::DirectoryEntry& entry : HAUL_TRY(directory_->list(""))) {
    auto name = parse_wal_name(entry.name);
    if (name) names.push_back(*std::move(name));
  }
  return names;
}

Status Spool::remove(const WalName& segment) {
  Status removed = directory_->remove_file(segment.text);
  if (!removed && removed.error().code() == ErrorCode::not_found) return ok();
  return removed;
}

Status Spool::note_request(const WalName& segment) {
  return write_wal_file(*directory_, std::string(kRequest), bytes_of(segment.text));
}

Result<std::optional<Spool::Request>> Spool::last_request() const {
  auto file = directory_->open_file(kRequest, io::Caching::buffered);
  if (!file) {
    if (file.error().code() == ErrorCode::not_found) return std::nullopt;
    return std::move(file).take_error();
  }
  std::vector<std::byte> bytes(kRequestBytesMax);
  bytes.resize(HAUL_TRY((*file)->read_at(0, bytes)));
  // Every request is a file of its own.
  const io::FileInfo info = HAUL_TRY((*file)->info());
  return std::optional(Request{std::string(text_of(bytes)),
                               static_cast<std::uint64_t>(info.modified_ns) ^ info.inode});
}

Status Spool::clear() { return remove_all(*directory_, kLock); }

Result<std::vector<std::string>> Spool::others() const {
  std::vector<std::string> names;
  for (const io::DirectoryEntry& entry : HAUL_TRY(parent_->list(""))) {
    if (entry.name == name_ || entry.kind != io::FileKind::directory) continue;
    // What looked after it locked it.
    if (parent_->info(entry.name + "/" + std::string(kLock))) names.push_back(entry.name);
  }
  return names;
}

Status Spool::remove_other(const std::string& name) {
  const auto other = HAUL_TRY(parent_->open_directory(name));
  HAUL_TRY(remove_all(*other, ""));
  return parent_->remove_directory(name);
}

}  // namespace haul::wal
