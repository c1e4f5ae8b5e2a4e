// Packs: which are whole, and what can still be had from those that are not.
//
// Memory:   workers times one pack's footer and chunk; 32 bytes per sound chunk of a damaged pack.
// Threads:  PackChecker from any thread; check_packs() blocks its caller and owns its workers.
// Errors:   io, permission, interrupted; damage becomes a finding.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <stop_token>
#include <unordered_set>
#include <vector>

#include "engine/repository/findings.h"
#include "engine/repository/index.h"
#include "engine/verify/inventory.h"

namespace haul::verify {

class PackChecker {
 public:
  // All outlive the checker.
  PackChecker(const repository::Cluster& cluster, const Inventory& inventory,
              repository::Findings& findings)
      : cluster_(cluster), inventory_(&inventory), findings_(&findings) {}

  // A pack that is not as it should be, by its size: its chunks are read one by one, once.
  Status note_damaged(const repository::PackRef& pack);
  // Reads every byte.
  Status check_every_byte(const repository::PackRef& pack);

  // The pack still yields this chunk, as far as is known.
  bool yields(const repository::ChunkLocation& location, const repository::ChunkId& id) const;

  std::uint64_t chunks_decoded() const { return chunks_decoded_; }
  std::uint64_t bytes_read() const { return bytes_read_; }

 private:
  using SoundChunks = std::unordered_set<repository::ChunkId>;

  const repository::Cluster cluster_;
  const Inventory* inventory_;
  repository::Findings* findings_;
  std::atomic<std::uint64_t> chunks_decoded_ = 0;
  std::atomic<std::uint64_t> bytes_read_ = 0;
  mutable std::mutex mutex_;  // guards damaged_
  std::map<repository::PackRef, SoundChunks> damaged_;
};

struct PackCheckRun {
  std::vector<repository::PackRef> packs;
  std::size_t workers = 1;
  std::stop_token stop;
  std::atomic<std::uint64_t>* bytes_done = nullptr;
};

// Every byte of many packs.
Status check_packs(PackChecker& checker, const Inventory& inventory, const PackCheckRun& run);

}  // namespace haul::verify
