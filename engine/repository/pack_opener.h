// Opens packs on threads of its own before their chunks are asked for: the last of many backups
// draws on as many packs, and opening one waits for the device several times.
//
// Memory:   what the ChunkReader keeps open.
// Threads:  made and destroyed by one owner; its destruction waits for what has begun.
// Errors:   none; what goes wrong is met again by whoever needs the pack.
#pragma once

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

#include "engine/repository/chunk_reader.h"

namespace haul::repository {

class PackOpener {
 public:
  // The last one first, as many as there is room for. `chunks` outlives it.
  PackOpener(ChunkReader& chunks, std::vector<PackRef> packs);
  ~PackOpener();
  PackOpener(const PackOpener&) = delete;
  PackOpener& operator=(const PackOpener&) = delete;

 private:
  void work() noexcept;

  ChunkReader& chunks_;
  const std::vector<PackRef> packs_;
  std::atomic<std::size_t> next_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace haul::repository
