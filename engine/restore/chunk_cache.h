// Decoded chunks of which only a part was drawn: the rest of them is likely drawn on nearby.
//
// Units:    sizes are bytes.
// Memory:   at most the bytes it was made for, but always one chunk.
// Threads:  every function from any thread; none blocks on I/O.
// Errors:   none.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "engine/repository/chunk_reader.h"

namespace haul::restore {

class ChunkCache {
 public:
  explicit ChunkCache(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  // Null when it is not there.
  repository::ChunkBytes find(const repository::ChunkId& id);
  // What was used longest ago makes room.
  void insert(const repository::ChunkId& id, repository::ChunkBytes bytes);

 private:
  using Recent = std::list<std::pair<repository::ChunkId, repository::ChunkBytes>>;

  const std::uint64_t bytes_max_;
  std::mutex mutex_;  // guards everything below
  std::uint64_t bytes_ = 0;
  Recent recent_;  // most recently used first
  std::unordered_map<repository::ChunkId, Recent::iterator> found_;
};

}  // namespace haul::restore
