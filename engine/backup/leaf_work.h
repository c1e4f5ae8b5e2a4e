// The computing stages of the copy, for oneTBB workers: they look at memory and nothing else.
//
// Units:    sizes are bytes; pages are numbered within their leaf.
// Memory:   per worker what a codec needs.
// Threads:  one call at a time per worker number.
// Errors:   io (an encoding that does not decode to its source), inconsistent (a page that differs
//           from the parent's where no WAL says so).
#pragma once

#include <vector>

#include "engine/backup/change_pace.h"
#include "engine/backup/copy_batch.h"
#include "engine/backup/page_check.h"

namespace haul::backup {

class LeafWork {
 public:
  static Result<LeafWork> open(repository::ChunkWriter& writer, compress::CodecChoice codec,
                               const PageCheckContext& pages, std::size_t workers,
                               ChangePace& pace);

  // True when a page of the batch does not look as it should, so that someone has to look again.
  bool has_suspects(const CopyBatch& batch) const;
  // Finds out what has changed since the parent, makes each leaf and the chunks that it needs
  // stored, and encodes those that are certainly new.
  Status digest(std::size_t worker, CopyBatch& batch);
  // Encodes what the look-up did not find.
  Status encode(std::size_t worker, CopyBatch& batch);

 private:
  LeafWork(repository::ChunkWriter& writer, const PageCheckContext& pages, ChangePace& pace)
      : writer_(&writer), pages_(pages), pace_(&pace) {}
  std::uint32_t chunk_pages() const { return writer_->cluster().parameters.chunk_pages; }
  repository::PageSet audit(const CopiedLeaf& leaf,
                            std::span<const repository::PageFate> fates) const;
  Status digest_leaf(CopyBatch& batch, CopiedLeaf& leaf) const;
  // Its id is the caller's to set.
  static CopiedChunk& add_chunk(CopyBatch& batch, const CopiedLeaf& leaf,
                                const repository::NewChunk& plan);

  repository::ChunkWriter* writer_;
  PageCheckContext pages_;
  ChangePace* pace_;
  std::vector<repository::ChunkEncoder> encoders_;  // by worker
};

// How what was read of a leaf is described to the page check; nothing of a file without pages of
// PostgreSQL's.
std::vector<PageChecker::Region> page_check_regions(const CopiedLeaf& leaf);

}  // namespace haul::backup
