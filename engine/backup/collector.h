// The last stage of the copy: looks up what may be there already, appends what is new to packs, and
// puts regions together to leaves, leaves to maps, files to entries.
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

namespace haul::backup {

class Collector {
 public:
  struct Context {
    repository::ChunkWriter* writer = nullptr;
    repository::PackStream* data = nullptr;  // hands out full packs
    repository::PackStream* metadata = nullptr;
    // Takes a pack to be finished; may block.
    std::function<Status(repository::PackWriter)> finish_pack;
    std::function<Status(const repository::TreeEntry&)> add_entry;
    BackupProgress* progress = nullptr;
  };

  // `encoder` is for maps.
  Collector(Context context, repository::ChunkEncoder encoder)
      : context_(std::move(context)), encoder_(std::move(encoder)) {}

  // Looks up the regions that may be stored. True when some are not and have to be encoded first.
  Result<bool> look_up(CopyBatch& batch);
  // Stores a batch of which every region is a hole, stored or encoded.
  Status store(CopyBatch& batch);
  Status take_empty_file(CopiedFile& file);

  std::uint64_t hole_bytes() const { return hole_bytes_; }

 private:
  Status store_chunk(const CopiedRegion& region);
  Status place(const CopiedRegion& region);
  Status finish_leaf(CopiedFile& file, std::uint64_t leaf);
  Status finish_file(CopiedFile& file);

  const Context context_;
  repository::ChunkEncoder encoder_;
  std::uint64_t hole_bytes_ = 0;
};

}  // namespace haul::backup
