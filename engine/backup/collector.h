// The last stage of the copy: looks up what may be there already, appends what is new to packs, and
// puts leaves together to maps, files to entries.
//
// All bookkeeping of files is this one thread's, so none of it is locked.
//
// Units:    sizes are bytes.
// Memory:   32 bytes per leaf of files whose copy has begun.
// Threads:  one owner at a time; it may block.
// Errors:   those of the chunk writer; io of closing a source file.
#pragma once

#include <functional>
#include <memory>

#include "engine/backup/backup.h"
#include "engine/backup/copy_batch.h"
#include "engine/backup/suspects.h"

namespace haul::backup {

class Collector {
 public:
  struct Context {
    repository::ChunkWriter* writer = nullptr;
    repository::PackStream* data = nullptr;   // hands out full packs
    repository::PackStream* delta = nullptr;  // the same, for gathered pages
    repository::PackStream* metadata = nullptr;
    // Takes a pack to be finished; may block.
    std::function<Status(repository::PackWriter)> finish_pack;
    std::function<Status(const repository::TreeEntry&)> add_entry;
    BackupProgress* progress = nullptr;
  };

  struct Totals {
    std::uint64_t hole_bytes = 0;
    std::uint64_t changed_bytes = 0;  // that the parent did not have at their place
    Suspects suspects;
  };

  // `encoder` is for maps.
  Collector(Context context, repository::ChunkEncoder encoder)
      : context_(std::move(context)), encoder_(std::move(encoder)) {}

  // Looks up the chunks that may be stored. True when some are not and have to be encoded first.
  Result<bool> look_up(CopyBatch& batch);
  // Stores a batch of which every chunk is stored or encoded.
  Status store(CopyBatch& batch);
  // One of which nothing was read: it is empty, or as the parent has it.
  Status take_unread_file(CopiedFile& file);

  const Totals& totals() const { return totals_; }

 private:
  Status store_chunk(CopiedChunk& chunk);
  Status store_leaf(const CopyBatch& batch, CopiedLeaf& leaf);
  void note_references(const CopyBatch& batch, const CopiedLeaf& leaf);
  Status finish_map(CopiedFile& file);
  Status finish_file(CopiedFile& file);

  const Context context_;
  repository::ChunkEncoder encoder_;
  Totals totals_;
};

}  // namespace haul::backup
