#include "engine/restore/chunk_cache.h"

namespace haul::restore {

using repository::ChunkBytes;
using repository::ChunkId;

ChunkBytes ChunkCache::find(const ChunkId& id) {
  const std::scoped_lock lock(mutex_);
  const auto found = found_.find(id);
  if (found == found_.end()) return {};
  recent_.splice(recent_.begin(), recent_, found->second);
  return found->second->second;
}

void ChunkCache::insert(const ChunkId& id, ChunkBytes bytes) {
  const std::scoped_lock lock(mutex_);
  // Two workers that needed it at once have both decoded it; one copy is kept.
  if (found_.contains(id)) return;
  bytes_ += bytes->size();
  recent_.emplace_front(id, std::move(bytes));
  found_.emplace(id, recent_.begin());
  while (bytes_ > bytes_max_ && recent_.size() > 1) {
    bytes_ -= recent_.back().second->size();
    found_.erase(recent_.back().first);
    recent_.pop_back();
  }
}

}  // namespace haul::restore
