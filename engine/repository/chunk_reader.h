// Reads chunks by id: finds the pack, reads, decodes, verifies.
//
// Every chunk handed out has the id that was asked for. Where one copy is damaged another is tried;
// what was met on the way becomes a finding.
//
// Units:    sizes are bytes.
// Memory:   at most kOpenPacksMax open packs, whose lists take 128 MiB; one chunk per read.
// Threads:  every function from any thread.
// Errors:   corrupt (no copy that is whole; names the packs), io (one that could not be read and
//           none that could).
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/repository/index.h"
#include "engine/repository/pack_reader.h"

namespace haul::repository {

using ChunkBytes = std::shared_ptr<const std::vector<std::byte>>;

// A chunk where it lies, for those who read the pack themselves; keeps the pack's list in memory.
struct StoredChunk {
  std::shared_ptr<const PackReader> pack;
  std::size_t ordinal = 0;

  const PackedChunk& chunk() const { return pack->chunks()[ordinal]; }
};

class ChunkReader {
 public:
  // Each is an open file as well.
  static constexpr std::size_t kOpenPacksMax = 384;

  // `index` and `findings` outlive the reader.
  ChunkReader(const Cluster& cluster, Index& index, Findings& findings);

  const Cluster& cluster() const { return cluster_; }

  // A whole chunk, verified. Also `corrupt` when it is longer than `size_max_bytes`.
  Result<ChunkBytes> read(ChunkKind kind, const ChunkId& id, std::uint32_t size_max_bytes);
  // A copy of a data chunk that is at most so long, going by the lists of packs alone: its bytes
  // may still turn out to be damaged, and read() then finds another. Nothing when no list has it.
  Result<std::optional<StoredChunk>> find(const ChunkId& id, std::uint32_t size_max_bytes);
  // Opens a pack before its chunks are asked for, which then needs neither the index nor the pack's
  // list. What goes wrong is met again by whoever asks. False: others would have to be closed.
  bool open_ahead(const PackRef& pack);
  // The packs that hold it, without reading them.
  Result<std::vector<ChunkLocation>> locate(const ChunkId& id) { return index_->find(id); }

 private:
  using OpenPack = std::shared_ptr<const PackReader>;
  // What is asked for, and what came of it so far.
  struct Attempt {
    ChunkKind kind;
    ChunkId id;
    std::uint32_t size_max_bytes;
    std::vector<ChunkLocation> tried;
    std::vector<Error> failures;  // of these
  };

  Result<OpenPack> open_pack(const PackRef& ref);
  using RecentPacks = std::list<OpenPack>;
  // A chunk of a pack that is open.
  struct Listed {
    RecentPacks::iterator pack;
    std::size_t ordinal = 0;
  };

  std::optional<StoredChunk> find_listed(const ChunkId& id);
  // The caller holds mutex_ of both.
  void add_open(const OpenPack& pack);
  void close_oldest();
  Result<StoredChunk> find_at(const ChunkLocation& location, const Attempt& attempt);
  static bool fits(const PackedChunk& chunk, const Attempt& attempt);
  Result<ChunkBytes> read_any(const std::vector<ChunkLocation>& locations, Attempt& attempt);
  Result<ChunkBytes> read_at(const ChunkLocation& location, const Attempt& attempt);

  const Cluster cluster_;
  Index* const index_;
  Findings* const findings_;

  std::mutex mutex_;            // guards everything below
  std::size_t open_bytes_ = 0;  // of the lists of these
  std::size_t opening_ahead_ = 0;
  RecentPacks recent_packs_;  // most recently used first
  std::map<PackRef, RecentPacks::iterator> packs_;
  std::unordered_map<ChunkId, Listed> listed_;  // the chunks of these, each in one of them
};

}  // namespace haul::repository
