// What a backup reaches: every file of its tree down to the chunks, and which of them damage has
// cut off.
//
// Memory:   one leaf per level, about 60 bytes per distinct file of all backups.
// Threads:  one owner at a time.
// Errors:   io, permission, interrupted; damage becomes a finding and a lost file.
#pragma once

#include <set>
#include <stop_token>

#include "engine/repository/chunk_reader.h"
#include "engine/repository/snapshot.h"
#include "engine/repository/tree.h"
#include "engine/verify/pack_check.h"
#include "engine/verify/verify.h"

namespace haul::verify {

class Reach {
 public:
  // The most files that are named of one backup.
  static constexpr std::size_t kLostFilesMax = 1000;

  // All outlive it.
  Reach(repository::ChunkReader& chunks, const PackChecker& packs, repository::Findings& findings,
        std::stop_token stop)
      : chunks_(&chunks), packs_(&packs), findings_(&findings), stop_(std::move(stop)) {}

  // Nothing lost: no files.
  Result<AffectedBackup> walk(const repository::Snapshot& snapshot);

 private:
  enum class Verdict { whole, lost };

  Result<Verdict> check_file(const repository::TreeEntry& entry);
  Result<Verdict> check_map(const repository::TreeEntry& entry);
  Result<Verdict> check_chunk(const repository::ChunkId& id, const std::string& path);

  repository::ChunkReader* chunks_;
  const PackChecker* packs_;
  repository::Findings* findings_;
  const std::stop_token stop_;
  // Maps that were followed and found whole; backups share most of them. A map's root says all but
  // the size of the last page.
  std::set<std::pair<repository::ChunkId, std::uint64_t>> whole_maps_;
};

}  // namespace haul::verify
