// The blocks of index runs that were used last, decoded.
//
// Memory:   at most kBlocksMax blocks, 8 MiB.
// Threads:  any.
// Errors:   none.
#pragma once

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/repository/index_run.h"

namespace haul::repository {

class BlockCache {
 public:
  static constexpr std::size_t kBlocksMax = 512;
  // The run it belongs to, and its number there.
  using Key = std::pair<RunRef, std::size_t>;
  using Block = std::shared_ptr<const std::vector<RunEntry>>;

  // Null when it is not there.
  Block find(const Key& key) {
    const std::scoped_lock lock(mutex_);
    const auto found = positions_.find(key);
    if (found == positions_.end()) return nullptr;
    blocks_.splice(blocks_.begin(), blocks_, found->second);
    return blocks_.front().second;
  }

  void add(const Key& key, Block block) {
    const std::scoped_lock lock(mutex_);
    if (positions_.contains(key)) return;
    blocks_.emplace_front(key, std::move(block));
    positions_[key] = blocks_.begin();
    if (blocks_.size() <= kBlocksMax) return;
    positions_.erase(blocks_.back().first);
    blocks_.pop_back();
  }

 private:
  using Blocks = std::list<std::pair<Key, Block>>;

  std::mutex mutex_;  // guards both; the one used last is in front
  Blocks blocks_;
  std::map<Key, Blocks::iterator> positions_;
};

}  // namespace haul::repository
