#include "engine/restore/earlier_state.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "base/format.h"
#include "engine/postgres/control_file.h"
#include "engine/postgres/wal_segment.h"

namespace haul::restore {

namespace {

constexpr std::string_view kLinks = "pg_tblspc";
constexpr std::string_view kWalDirectory = "pg_wal";
constexpr std::size_t kMarkerBytesMax = 1 << 20;
constexpr std::size_t kLabelBytesMax = 64 * 1024;
// WAL segments that are asked whose they are.
constexpr std::size_t kSegmentsAsked = 64;

using Identity = std::pair<std::uint64_t, std::uint64_t>;

Result<std::optional<Identity>> identity_at(const std::string& path, const DirectoryOpener& open) {
  const auto directory = open(path);
  if (!directory) {
    if (directory.error().code() == ErrorCode::not_found) return std::nullopt;
    return directory.error();
  }
  const io::FileInfo info = HAUL_TRY((*directory)->info(""));
  return Identity{info.device, info.inode};
}

// Nothing when there is no such file, or it is of another kind.
Result<std::optional<std::string>> read_small(io::Directory& directory, std::string_view path,
                                              std::size_t size_max_bytes) {
  const auto file = directory.open_file(path, io::Caching::buffered);
  if (!file) {
    const ErrorCode code = file.error().code();
    if (code == ErrorCode::not_found || code == ErrorCode::usage) return std::nullopt;
    return file.error();
  }
  std::string text(size_max_bytes, '\0');
  const std::size_t size =
      HAUL_TRY((*file)->read_at(0, std::as_writable_bytes(std::span(text.data(), text.size()))));
  text.resize(size);
  return text;
}

// The tablespaces that a data directory links to.
Result<postgres::TablespaceMap> links_of(io::Directory& data_directory, const std::string& path) {
  postgres::TablespaceMap links;
  const auto entries = data_directory.list(kLinks);
  if (!entries) {
    const ErrorCode code = entries.error().code();
    if (code == ErrorCode::not_found || code == ErrorCode::usage) return links;
    return entries.error();
  }
  const std::filesystem::path from(format("{}/{}", path, kLinks));
  for (const io::DirectoryEntry& entry : *entries) {
    const std::string name = format("{}/{}", kLinks, entry.name);
    const auto oid = tablespace_of(name);
    if (entry.kind != io::FileKind::symlink || !oid) continue;
    const std::string to = HAUL_TRY(data_directory.read_link(name));
    links.push_back({*oid, (from / to).lexically_normal().string()});
  }
  return links;
}

class Survey {
 public:
  Survey(const EarlierStateRequest& request, const DirectoryOpener& open,
         postgres::ProcessProbe& processes)
      : layout_(*request.layout),
        facts_(*request.facts),
        request_(request),
        open_(open),
        processes_(processes) {}

  Result<EarlierState> run() {
    HAUL_TRY(check_repository());
    auto directory = open_(layout_.data_directory);
    if (!directory && directory.error().code() != ErrorCode::not_found) {
      return std::move(directory).take_error();
    }
    if (directory) data_directory_ = std::move(directory).take();
    const bool is_vacant =
        data_directory_ == nullptr || HAUL_TRY(data_directory_->list("")).empty();
    if (is_vacant) {
      HAUL_TRY(check_vacant(layout_, open_, processes_));
      state_.is_vacant = true;
      return std::move(state_);
    }
    HAUL_TRY(check_no_server(layout_, open_, processes_));
    HAUL_TRY(read_marker());
    HAUL_TRY(check_owner());
    HAUL_TRY(check_archived());
    HAUL_TRY(find_links());
    HAUL_TRY(find_shared());
    HAUL_TRY(check_links());
    HAUL_TRY(check_places());
    return std::move(state_);
  }

 private:
  Status check_repository() const {
    for (const std::string& place : places()) {
      if (!is_same_or_beneath(request_.repository, place)) continue;
      return Error(ErrorCode::usage,
                   format("the repository {} lies in the target {}", request_.repository, place),
                   "everything there that the backup has not would be removed");
    }
    return ok();
  }

  std::vector<std::string> places() const {
    std::vector<std::string> places{layout_.data_directory};
    for (const TablespacePlace& place : layout_.tablespaces) places.push_back(place.to);
    return places;
  }

  Status read_marker() {
    const auto text = HAUL_TRY(read_small(*data_directory_, kUnfinishedMarker, kMarkerBytesMax));
    if (!text) return ok();
    auto marker = parse_marker(*text);
    // One that was cut off says nothing, and stands alone in the directory.
    if (marker) marker_ = std::move(marker).take();
    return ok();
  }

  // WAL that the server had still to hand to its archive is nowhere else.
  Status check_archived() const {
    constexpr std::string_view kReady = ".ready";
    const auto directory =
        open_(format("{}/{}/archive_status", layout_.data_directory, kWalDirectory));
    if (!directory) {
      return directory.error().code() == ErrorCode::not_found ? ok() : Status(directory.error());
    }
    std::size_t files = 0;
    std::string first;
    for (const io::DirectoryEntry& entry : HAUL_TRY((*directory)->list(""))) {
      if (!entry.name.ends_with(kReady)) continue;
      if (files++ == 0 || entry.name < first) first = entry.name;
    }
    if (files == 0) return ok();
    first.resize(first.size() - kReady.size());
    return Error(ErrorCode::server_state,
                 format("{}/{} holds WAL that is not archived yet: {}{}", layout_.data_directory,
                        kWalDirectory, first, files == 1 ? "" : format(" and {} more", files - 1)),
                 "archive them first (pghaul wal push), or remove their .ready files to lose them");
  }

  // Whose cluster it is.
  Status check_owner() const {
    const std::optional<std::uint64_t> control = HAUL_TRY(control_identifier());
    if (control) HAUL_TRY(check_identifier(*control, postgres::kControlFilePath));
    if (marker_) HAUL_TRY(check_identifier(marker_->system_identifier, kUnfinishedMarker));
    if (control || marker_ || HAUL_TRY(is_marker_alone())) return ok();
    if (const auto wal = HAUL_TRY(wal_identifier())) return check_identifier(*wal, kWalDirectory);
    const auto label =
        HAUL_TRY(read_small(*data_directory_, postgres::kBackupLabelName, kLabelBytesMax));
    if (label && !label->empty() && *label == facts_.backup_label) return ok();
    return Error(ErrorCode::usage,
                 format("{} is not empty, and nothing says that it is a data directory of this "
                        "cluster",
                        layout_.data_directory),
                 "empty it or choose another directory");
  }

  Status check_identifier(std::uint64_t found, std::string_view where) const {
    if (found == facts_.system_identifier) return ok();
    return Error(ErrorCode::server_state,
                 format("{} belongs to system identifier {} ({}), the backup to {}",
                        layout_.data_directory, found, where, facts_.system_identifier),
                 "choose another directory, or the cluster that it is of");
  }

  // Nothing: there is none, or it is damaged.
  Result<std::optional<std::uint64_t>> control_identifier() const {
    const auto bytes = HAUL_TRY(
        read_small(*data_directory_, postgres::kControlFilePath, postgres::kControlFileSizeBytes));
    if (!bytes) return std::nullopt;
    const auto control = postgres::parse_control_file(bytes_of(*bytes));
    if (!control) return std::nullopt;
    return control->system_identifier;
  }

  Result<bool> is_marker_alone() const {
    const auto entries = HAUL_TRY(data_directory_->list(""));
    return entries.size() == 1 && entries[0].name == kUnfinishedMarker;
  }

  Result<std::optional<std::uint64_t>> wal_identifier() const {
    const auto entries = data_directory_->list(kWalDirectory);
    if (!entries) {
      const ErrorCode code = entries.error().code();
      if (code == ErrorCode::not_found || code == ErrorCode::usage) return std::nullopt;
      return entries.error();
    }
    std::size_t asked = 0;
    for (const io::DirectoryEntry& entry : *entries) {
      if (entry.kind != io::FileKind::regular || asked++ == kSegmentsAsked) continue;
      const auto head =
          HAUL_TRY(read_small(*data_directory_, format("{}/{}", kWalDirectory, entry.name),
                              postgres::kWalLongPageHeaderSizeBytes));
      if (!head || !postgres::parse_wal_segment_name(entry.name, facts_.wal_segment_size_bytes)) {
        continue;
      }
      const auto header = postgres::parse_wal_page_header(bytes_of(*head));
      if (header && header->is_long &&
          header->segment_size_bytes == facts_.wal_segment_size_bytes) {
        return header->system_identifier;
      }
    }
    return std::nullopt;
  }

  // Where the cluster has its tablespaces: by its links, and by the marker of a restore that did
  // not come to make them.
  Status find_links() {
    links_ = HAUL_TRY(links_of(*data_directory_, layout_.data_directory));
    if (marker_) state_.tablespaces = marker_->tablespaces;
    for (const postgres::TablespaceMapEntry& link : links_) {
      if (std::ranges::find(state_.tablespaces, link.location) == state_.tablespaces.end()) {
        state_.tablespaces.push_back(link.location);
      }
    }
    return ok();
  }

  // A copy of a data directory links to the tablespaces of the original: they are not the copy's.
  Status find_shared() {
    if (!facts_.data_directory.starts_with('/')) return ok();
    const auto original = open_(facts_.data_directory);
    if (!original) return ok();
    const io::FileInfo info = HAUL_TRY((*original)->info(""));
    const io::FileInfo here = HAUL_TRY(data_directory_->info(""));
    if (Identity{info.device, info.inode} == Identity{here.device, here.inode}) return ok();
    const auto links = links_of(**original, facts_.data_directory);
    if (!links) return ok();
    for (const postgres::TablespaceMapEntry& link : *links) {
      const auto identity = identity_at(link.location, open_);
      if (identity && *identity) shared_.push_back(**identity);
    }
    return ok();
  }

  // Nobody moves a tablespace without having said so.
  Status check_links() const {
    for (const postgres::TablespaceMapEntry& link : links_) {
      const auto place = std::ranges::find(layout_.tablespaces, link.oid, &TablespacePlace::oid);
      if (place == layout_.tablespaces.end() || is_mapped(*place)) continue;
      const auto there = HAUL_TRY(identity_at(link.location, open_));
      if (place->to == link.location ||
          (there && there == HAUL_TRY(identity_at(place->to, open_)))) {
        continue;
      }
      return Error(ErrorCode::usage,
                   format("tablespace {} of {} is at {}, and would come to {}", link.oid,
                          layout_.data_directory, link.location, place->to),
                   format("-T {}={} leaves it there, -T {}={} moves it", place->from, link.location,
                          place->from, place->to));
    }
    return ok();
  }

  bool is_mapped(const TablespacePlace& place) const {
    return std::ranges::any_of(*request_.mappings, [&](const auto& mapping) {
      return std::filesystem::path(mapping.from + "/").lexically_normal() ==
             std::filesystem::path(place.from + "/").lexically_normal();
    });
  }

  // Every place of the layout is absent, empty or the cluster's, and no two are one.
  Status check_places() {
    std::map<Identity, std::string> of_cluster;
    for (const std::string& place : state_.tablespaces) {
      const auto identity = HAUL_TRY(identity_at(place, open_));
      if (identity) of_cluster.emplace(*identity, place);
    }
    std::map<Identity, std::string> taken;
    for (const std::string& place : places()) {
      const auto identity = HAUL_TRY(identity_at(place, open_));
      if (!identity) continue;
      const auto [other, is_new] = taken.emplace(*identity, place);
      if (is_new) continue;
      return Error(ErrorCode::usage,
                   format("{} and {} are the same directory", other->second, place));
    }
    for (const TablespacePlace& place : layout_.tablespaces) {
      const auto identity = HAUL_TRY(identity_at(place.to, open_));
      if (!identity) continue;
      if (!of_cluster.contains(*identity)) HAUL_TRY(check_vacant_tablespace(place, open_));
      if (is_shared(*identity)) {
        return Error(
            ErrorCode::usage,
            format("tablespace {} at {} is that of {}", place.oid, place.to, facts_.data_directory),
            format("restore it elsewhere: -T {}=NEW", place.from));
      }
    }
    for (const auto& [identity, place] : of_cluster) {
      if (!taken.contains(identity) && !is_shared(identity)) state_.abandoned.push_back(place);
    }
    return ok();
  }

  bool is_shared(const Identity& identity) const {
    return std::ranges::find(shared_, identity) != shared_.end();
  }

  const TargetLayout& layout_;
  const postgres::BackupFacts& facts_;
  const EarlierStateRequest& request_;
  const DirectoryOpener& open_;
  postgres::ProcessProbe& processes_;
  std::unique_ptr<io::Directory> data_directory_;
  std::optional<Marker> marker_;
  postgres::TablespaceMap links_;
  std::vector<Identity> shared_;  // tablespaces of the original beside it
  EarlierState state_;
};

}  // namespace

Result<EarlierState> check_earlier_state(const EarlierStateRequest& request,
                                         const DirectoryOpener& open,
                                         postgres::ProcessProbe& processes) {
  return Survey(request, open, processes).run();
}

Status check_no_server(const TargetLayout& layout, const DirectoryOpener& open,
                       postgres::ProcessProbe& processes) {
  const auto directory = HAUL_TRY(open(layout.data_directory));
  const auto presence = postgres::server_presence(*directory, processes);
  if (!presence && presence.error().code() == ErrorCode::corrupt) {
    return Error(ErrorCode::server_state, presence.error().message(),
                 format("where no server runs, remove {}", postgres::kPostmasterPidName));
  }
  if (HAUL_TRY(presence) == postgres::ServerPresence::not_running) return ok();
  return Error(ErrorCode::server_state, format("a server runs in {}", layout.data_directory),
               "stop it, or restore to another directory");
}

}  // namespace haul::restore
