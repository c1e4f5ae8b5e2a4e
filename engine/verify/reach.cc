#include "engine/verify/reach.h"

#include <algorithm>

#include "base/format.h"
#include "engine/repository/file_map.h"

namespace haul::verify {

namespace {

using repository::ChunkId;
using repository::ContentKind;
using repository::EntryKind;
using repository::TreeEntry;

void add_lost(AffectedBackup& affected, std::string line) {
  ++affected.lost_file_count;
  if (affected.lost_files.size() < Reach::kLostFilesMax) {
    affected.lost_files.push_back(std::move(line));
  }
}

}  // namespace

Result<AffectedBackup> Reach::walk(const repository::Snapshot& snapshot) {
  AffectedBackup affected;
  affected.backup = snapshot.id;
  std::uint64_t files = 0;
  bool tree_is_damaged = false;
  HAUL_TRY(repository::walk_tree(
      *chunks_, snapshot.tree,
      [&](const TreeEntry& entry) -> Status {
        if (stop_.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
        if (entry.kind != EntryKind::file) return ok();
        ++files;
        if (HAUL_TRY(check_file(entry)) == Verdict::lost) add_lost(affected, entry.path);
        return ok();
      },
      [&](const Error& error) -> Status {
        findings_->add(error.message());
        tree_is_damaged = true;
        return ok();
      }));
  const std::uint64_t expected = snapshot.statistics.files;
  if (tree_is_damaged) {
    // Their names went with the part of the tree that listed them.
    const std::uint64_t unnamed = expected > files ? expected - files : 0;
    affected.lost_file_count += std::max<std::uint64_t>(unnamed, 1);
  } else if (files != expected) {
    findings_->add(format("backup {}: {} files instead of {}", snapshot.id, files, expected));
    affected.lost_file_count += 1;
  }
  return affected;
}

Result<Reach::Verdict> Reach::check_file(const TreeEntry& entry) {
  switch (entry.content) {
    case ContentKind::none: return Verdict::whole;
    case ContentKind::map: return check_map(entry);
    case ContentKind::inlined: break;
  }
  Verdict verdict = Verdict::whole;
  for (const ChunkId& id : entry.ids) {
    if (HAUL_TRY(check_chunk(id, entry.path)) == Verdict::lost) verdict = Verdict::lost;
  }
  return verdict;
}

Result<Reach::Verdict> Reach::check_map(const TreeEntry& entry) {
  const std::pair key(entry.ids[0], entry.size_bytes);
  if (whole_maps_.contains(key)) return Verdict::whole;
  auto map = repository::FileMapReader::open(*chunks_, entry);
  if (!map) {
    if (!is_damage(map.error())) return std::move(map).take_error();
    findings_->add(map.error().message());
    return Verdict::lost;
  }
  Verdict verdict = Verdict::whole;
  for (std::uint64_t leaf = 0; leaf < map->shape().leaves(); ++leaf) {
    if (stop_.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
    auto content = map->read_leaf(leaf);
    if (!content) {
      if (!is_damage(content.error())) return std::move(content).take_error();
      findings_->add(content.error().message());
      verdict = Verdict::lost;
      continue;
    }
    for (const ChunkId& id : content->chunks) {
      if (HAUL_TRY(check_chunk(id, entry.path)) == Verdict::lost) verdict = Verdict::lost;
    }
  }
  if (verdict == Verdict::whole) whole_maps_.insert(key);
  return verdict;
}

// One sound copy is enough.
Result<Reach::Verdict> Reach::check_chunk(const ChunkId& id, const std::string& path) {
  if (id.is_zero()) return Verdict::whole;
  const auto locations = HAUL_TRY(chunks_->locate(id));
  const bool had = std::ranges::any_of(
      locations, [&](const auto& location) { return packs_->yields(location, id); });
  if (had) return Verdict::whole;
  findings_->add(format("chunk {} of {} cannot be had", to_hex(id.bytes).substr(0, 16), path));
  return Verdict::lost;
}

}  // namespace haul::verify
