// Reads chunks by id: finds the pack, reads, decodes, verifies.
//
// Every chunk handed out has the id that was asked for. Where one copy is damaged another is tried;
// what was met on the way becomes a finding.
//
// Units:    sizes are bytes.
// Memory:   at most 64 open packs (about 300 KiB of footer each); one chunk per read.
// Threads:  every function from any thread.
// Errors:   corrupt (no readable copy; names the packs), io.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/repository/index.h"
#include "engine/repository/pack_reader.h"

namespace haul::repository {

using ChunkBytes = std::shared_ptr<const std::vector<std::byte>>;

class ChunkReader {
 public:
  // `index` and `findings` outlive the reader.
  ChunkReader(const Cluster& cluster, Index& index, Findings& findings);

  const Cluster& cluster() const { return cluster_; }

  // A whole chunk, verified. Also `corrupt` when it is longer than `size_max_bytes`.
  Result<ChunkBytes> read(ChunkKind kind, const ChunkId& id, std::uint32_t size_max_bytes);
  // The packs that hold it, without reading them.
  Result<std::vector<ChunkLocation>> locate(const ChunkId& id) { return index_->find(id); }

 private:
  using OpenPack = std::shared_ptr<const PackReader>;
  // What is asked for.
  struct Attempt {
    ChunkKind kind;
    ChunkId id;
    std::uint32_t size_max_bytes;
  };

  Result<OpenPack> open_pack(const PackRef& ref);
  Result<ChunkBytes> read_any(const std::vector<ChunkLocation>& locations, const Attempt& attempt,
                              std::vector<ChunkLocation>& tried, std::string& failures);
  Result<ChunkBytes> read_at(const ChunkLocation& location, const Attempt& attempt);

  const Cluster cluster_;
  Index* const index_;
  Findings* const findings_;

  std::mutex mutex_;                                      // guards everything below
  std::list<std::pair<PackRef, OpenPack>> recent_packs_;  // most recently used first
  std::map<PackRef, std::list<std::pair<PackRef, OpenPack>>::iterator> packs_;
};

}  // namespace haul::repository
