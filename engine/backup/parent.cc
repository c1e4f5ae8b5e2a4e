#include "engine/backup/parent.h"

#include <utility>

#include "base/format.h"

namespace haul::backup {

using repository::is_damage;
using repository::ParentMap;
using repository::TreeEntry;

namespace {

constexpr std::size_t kEntriesAhead = 1024;

}  // namespace

Result<std::optional<repository::Snapshot>> choose_parent(const repository::Cluster& cluster,
                                                          const postgres::BackupFacts& facts,
                                                          repository::Findings& findings) {
  const std::vector<std::string> ids = HAUL_TRY(repository::list_snapshots(cluster));
  for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
    auto snapshot = repository::read_snapshot(cluster, *id);
    auto theirs = snapshot ? postgres::backup_facts_from_json(snapshot->facts)
                           : Result<postgres::BackupFacts>(snapshot.error());
    if (!theirs) {
      if (!is_damage(theirs.error())) return std::move(theirs).take_error();
      findings.add(std::move(theirs).take_error().with_context(format("backup {}", *id)).message());
    } else if (theirs->system_identifier == facts.system_identifier &&
               theirs->block_size_bytes == facts.block_size_bytes) {
      return std::move(snapshot).take();
    }
  }
  return std::nullopt;
}

Parent::Parent(repository::Snapshot snapshot, repository::Index& index,
               repository::Findings& findings, const repository::Cluster& cluster)
    : snapshot_(std::move(snapshot)),
      index_(&index),
      findings_(&findings),
      chunks_(cluster, index, findings),
      opener_(chunks_, repository::packs_of(snapshot_.packs)),
      entries_(kEntriesAhead, stop_.get_token()),
      walker_([this] {
        walked_ = walk();
        entries_.close();
      }) {}

Parent::~Parent() { stop_.request_stop(); }

Status Parent::walk() {
  return for_each_file([this](const TreeEntry& entry) -> Status {
    if (entries_.push(entry)) return ok();
    return Error(ErrorCode::interrupted, "interrupted");
  });
}

Status Parent::for_each_file(const repository::EntryVisitor& visit) {
  return repository::walk_tree(
      chunks_, snapshot_.tree,
      [&visit](const TreeEntry& entry) -> Status {
        const bool has_content = entry.root == repository::TreeRoot::data_directory &&
                                 entry.content != repository::ContentKind::none;
        return has_content ? visit(entry) : ok();
      },
      [this](const Error& damage) -> Status {
        findings_->add(damage.message());
        return ok();
      });
}

Result<std::shared_ptr<ParentMap>> Parent::find(const std::string& path) {
  while (!next_ || repository::compare_paths(next_->path, path) < 0) {
    next_ = entries_.pop();
    if (!next_) {
      HAUL_TRY(walked_);
      return std::shared_ptr<ParentMap>();
    }
  }
  if (next_->path != path) return std::shared_ptr<ParentMap>();
  return std::shared_ptr<ParentMap>(
      HAUL_TRY(ParentMap::open(chunks_, *index_, *std::exchange(next_, std::nullopt))));
}

Result<std::optional<repository::ParentLeaf>> Parent::read_leaf(const ParentMap& map,
                                                                std::uint64_t leaf) {
  if (leaf >= map.shape().leaves()) return std::nullopt;
  auto read = map.read_leaf(leaf);
  if (read) return std::move(read).take();
  if (!is_damage(read.error())) return std::move(read).take_error();
  findings_->add(read.error().message());
  return std::nullopt;
}

}  // namespace haul::backup
