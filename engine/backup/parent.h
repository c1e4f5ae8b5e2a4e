// The backup that a new one is overlaid on: its files, in the order of their paths.
//
// Its tree is walked on a thread of its own, a little ahead of who asks. Where it is damaged its
// files count as new: a backup makes good what an earlier one has lost.
//
// Memory:   a bounded number of entries.
// Threads:  find() from one thread; maps from any.
// Errors:   those of reading the repository; damage is no error but a finding.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "engine/flow/channel.h"
#include "engine/postgres/backup_facts.h"
#include "engine/repository/pack_opener.h"
#include "engine/repository/parent_map.h"
#include "engine/repository/snapshot.h"
#include "engine/repository/tree_store.h"

namespace haul::backup {

// The newest backup of the cluster that one of this server may be overlaid on; nothing where there
// is none. What cannot be read is a finding.
Result<std::optional<repository::Snapshot>> choose_parent(const repository::Cluster& cluster,
                                                          const postgres::BackupFacts& facts,
                                                          repository::Findings& findings);

class Parent {
 public:
  // `index` was opened after the new backup's lease was created. All outlive the parent.
  Parent(repository::Snapshot snapshot, repository::Index& index, repository::Findings& findings,
         const repository::Cluster& cluster);
  Parent(const Parent&) = delete;
  Parent& operator=(const Parent&) = delete;
  ~Parent();

  const repository::Snapshot& snapshot() const { return snapshot_; }
  // The map of a file of the data directory; null when it has none, or no content. Paths ascend
  // from call to call, as compare_paths() has them; what is asked for out of order is not found.
  Result<std::shared_ptr<repository::ParentMap>> find(const std::string& path);
  // Calls `visit` for every file of the data directory with content, apart from find().
  Status for_each_file(const repository::EntryVisitor& visit);
  // A leaf of one; nothing where it is damaged or beyond the end of the file.
  Result<std::optional<repository::ParentLeaf>> read_leaf(const repository::ParentMap& map,
                                                          std::uint64_t leaf);

 private:
  Status walk();

  const repository::Snapshot snapshot_;
  repository::Index* const index_;
  repository::Findings* const findings_;
  repository::ChunkReader chunks_;
  const repository::PackOpener opener_;
  std::stop_source stop_;
  flow::Channel<repository::TreeEntry> entries_;
  std::optional<repository::TreeEntry> next_;
  Status walked_;  // once entries_ is exhausted
  std::jthread walker_;
};

}  // namespace haul::backup
