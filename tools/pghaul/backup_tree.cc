#include "tools/pghaul/backup_tree.h"

#include <algorithm>
#include <map>

#include "base/format.h"
#include "engine/postgres/backup_label.h"

namespace haul::cli {

namespace {

using repository::EntryKind;
using repository::TreeEntry;
using repository::TreeRoot;

bool lies_beneath(const std::string& path, const std::string& prefix) {
  if (prefix.empty()) return true;
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

std::string without_trailing_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

// One leaf of a map, chunk by chunk, cut to the file's size.
Status write_leaf(repository::ChunkReader& chunks, const repository::MapLeaf& leaf,
                  const TreeEntry& entry, std::uint64_t& left, const BackupTree::Writer& write) {
  static constexpr std::size_t kZeroBytes = 64 * 1024;
  const std::vector<std::byte> zeros(kZeroBytes);
  std::map<std::uint16_t, repository::ChunkBytes> read;
  for (const repository::Extent& extent : leaf.extents) {
    const std::uint64_t size =
        std::min<std::uint64_t>(left, std::uint64_t{extent.pages} * entry.page_size_bytes);
    left -= size;
    if (extent.chunk == repository::Extent::kHole) {
      for (std::uint64_t done = 0; done < size; done += kZeroBytes) {
        HAUL_TRY(write(ByteSpan(zeros).first(std::min<std::uint64_t>(kZeroBytes, size - done))));
      }
      continue;
    }
    repository::ChunkBytes& chunk = read[extent.chunk];
    if (!chunk) {
      chunk = HAUL_TRY(chunks.read(repository::ChunkKind::data, leaf.chunks[extent.chunk],
                                   repository::kChunkBytesMax));
    }
    const std::uint64_t offset = std::uint64_t{extent.first_page} * entry.page_size_bytes;
    if (offset > chunk->size() || size > chunk->size() - offset) {
      return Error(ErrorCode::corrupt,
                   format("map of {}: an extent passes its chunk's end", shown_path(entry)));
    }
    HAUL_TRY(write(ByteSpan(*chunk).subspan(offset, size)));
  }
  return ok();
}

}  // namespace

std::string shown_path(const TreeEntry& entry) {
  return entry.root == TreeRoot::configuration ? "/" + entry.path : entry.path;
}

Result<std::unique_ptr<BackupTree>> BackupTree::open(const repository::Cluster& cluster,
                                                     const std::string& backup) {
  std::unique_ptr<BackupTree> tree(new BackupTree(cluster));
  tree->snapshot_ = HAUL_TRY(repository::read_snapshot(cluster, backup));
  tree->facts_ = HAUL_TRY(postgres::backup_facts_from_json(tree->snapshot_.facts));
  tree->index_ = HAUL_TRY(repository::Index::open(cluster, tree->findings_,
                                                  repository::Index::Packs::listed_when_needed));
  tree->chunks_ =
      std::make_unique<repository::ChunkReader>(cluster, *tree->index_, tree->findings_);
  return tree;
}

// As the entries they will be once restored.
std::vector<TreeEntry> BackupTree::kept_entries() const {
  std::vector<TreeEntry> entries;
  for (const auto& [name, text] :
       {std::pair(postgres::kBackupLabelName, &facts_.backup_label),
        std::pair(postgres::kTablespaceMapName, &facts_.tablespace_map)}) {
    if (text->empty()) continue;
    TreeEntry entry;
    entry.path = name;
    entry.mode = 0600;
    entry.user = facts_.owner_user_id;
    entry.group = facts_.owner_group_id;
    entry.size_bytes = text->size();
    entries.push_back(std::move(entry));
  }
  return entries;
}

Status BackupTree::list(const std::string& path, const repository::EntryVisitor& visit) {
  const std::string prefix = without_trailing_slash(path);
  const std::vector<TreeEntry> kept = kept_entries();
  std::size_t next = 0;
  std::uint64_t shown = 0;
  const auto show = [&](const TreeEntry& entry) -> Status {
    if (!lies_beneath(shown_path(entry), prefix)) return ok();
    ++shown;
    return visit(entry);
  };
  HAUL_TRY(repository::walk_tree(*chunks_, snapshot_.tree, [&](const TreeEntry& entry) -> Status {
    for (; next < kept.size() && repository::entry_less(kept[next], entry); ++next) {
      HAUL_TRY(show(kept[next]));
    }
    return show(entry);
  }));
  for (; next < kept.size(); ++next) HAUL_TRY(show(kept[next]));
  if (shown == 0 && !prefix.empty()) {
    return Error(ErrorCode::not_found, format("there is no {} in backup {}", path, snapshot_.id));
  }
  return ok();
}

Status BackupTree::read(const std::string& path, const Writer& write) {
  if (path == postgres::kBackupLabelName && !facts_.backup_label.empty()) {
    return write(bytes_of(facts_.backup_label));
  }
  if (path == postgres::kTablespaceMapName && !facts_.tablespace_map.empty()) {
    return write(bytes_of(facts_.tablespace_map));
  }
  std::optional<TreeEntry> found;
  std::optional<Error> damage;
  // Damage elsewhere in the tree is no reason not to find the file.
  HAUL_TRY(repository::walk_tree(
      *chunks_, snapshot_.tree,
      [&](const TreeEntry& entry) -> Status {
        if (shown_path(entry) == path) found = entry;
        return ok();
      },
      [&](const Error& error) -> Status {
        damage = error;
        return ok();
      }));
  if (!found && damage) return *damage;
  if (!found) {
    return Error(ErrorCode::not_found, format("there is no {} in backup {}", path, snapshot_.id),
                 "pghaul ls lists the files");
  }
  if (found->kind != EntryKind::file) {
    return Error(ErrorCode::usage, format("{} in backup {} is not a file", path, snapshot_.id));
  }
  auto status = read_content(*found, write);
  if (!status) return std::move(status).take_error().with_context(path);
  return ok();
}

Status BackupTree::read_content(const TreeEntry& entry, const Writer& write) {
  if (entry.size_bytes == 0) return ok();
  repository::FileMapReader map = HAUL_TRY(repository::FileMapReader::open(*chunks_, entry));
  std::uint64_t left = entry.size_bytes;
  for (std::uint64_t leaf = 0; leaf < map.shape().leaves(); ++leaf) {
    HAUL_TRY(write_leaf(*chunks_, HAUL_TRY(map.read_leaf(leaf)), entry, left, write));
  }
  return ok();
}

}  // namespace haul::cli
