// The computing stages of the copy, for oneTBB workers: they look at memory and nothing else.
//
// Units:    sizes are bytes.
// Memory:   per worker what a codec needs.
// Threads:  one call at a time per worker number.
// Errors:   io (an encoding that does not decode to its source).
#pragma once

#include <vector>

#include "engine/backup/copy_batch.h"
#include "engine/backup/page_check.h"

namespace haul::backup {

class RegionWork {
 public:
  static Result<RegionWork> open(repository::ChunkWriter& writer, compress::CodecChoice codec,
                                 const PageCheckContext& pages, std::size_t workers);

  // True when a page of the batch does not look as it should, so that someone has to look again.
  bool has_suspects(const CopyBatch& batch) const;
  // Gives every region its id; regions of zeros become holes, what is certainly new is encoded.
  Status digest(std::size_t worker, CopyBatch& batch);
  // Encodes what the look-up did not find.
  Status encode(std::size_t worker, CopyBatch& batch);

 private:
  RegionWork(repository::ChunkWriter& writer, const PageCheckContext& pages)
      : writer_(&writer), pages_(pages) {}

  repository::ChunkWriter* writer_;
  PageCheckContext pages_;
  std::vector<repository::ChunkEncoder> encoders_;  // by worker
};

// How a region is described to the page check.
PageChecker::Region page_check_region(const CopiedRegion& region);

}  // namespace haul::backup
