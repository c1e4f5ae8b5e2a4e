// The first stage of placing: walks the files of the plan, creates the large ones, and fills free
// batches with leaves. Their chunks are located here, but for those of files that a delta restore
// finds on disk: these are compared first.
//
// Units:    sizes and offsets are bytes.
// Memory:   the batches it is given, the map of one file, what the locator keeps.
// Threads:  run() blocks its caller, on the repository, the target and free batches.
// Errors:   those of reading the repository and creating files; what is damaged is a loss.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>

#include "engine/flow/channel.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/file_map.h"
#include "engine/restore/chunk_locator.h"
#include "engine/restore/losses.h"
#include "engine/restore/place_batch.h"
#include "engine/restore/plan.h"
#include "engine/restore/target.h"

namespace haul::restore {

class BatchPlanner {
 public:
  struct Context {
    repository::ChunkReader* chunks = nullptr;
    const RestorePlan* plan = nullptr;
    Target* target = nullptr;
    bool is_delta = false;  // the target may have the files already
    ChunkLocator::Context locator;
    Losses* losses = nullptr;
    flow::Channel<Batch*>* free = nullptr;
    std::stop_token stop;
    // Takes a batch that is full.
    std::function<void(Batch*)> planned;
    // The same, but what is on disk has to be compared first.
    std::function<void(Batch*)> unread;
    // Takes a leaf of so many bytes for which nothing has to be read or written.
    std::function<void(const std::shared_ptr<PlacedFile>& file, std::uint64_t bytes)> leaf_done;
  };

  explicit BatchPlanner(Context context)
      : context_(std::move(context)), locator_(context_.locator) {}

  Status run();

 private:
  Status place(const repository::TreeEntry& entry);
  Status place_small(const std::shared_ptr<PlacedFile>& file, const repository::FileMapReader& map);
  Status place_large(const std::shared_ptr<PlacedFile>& file, const repository::FileMapReader& map);
  Status open_large(PlacedFile& file);
  Status place_leaf_of_large(const std::shared_ptr<PlacedFile>& file,
                             const repository::FileMapReader& map, std::uint64_t leaf);
  // Makes room in a batch for a leaf.
  Status make_room(Batch*& batch, Batch::Kind kind, std::uint64_t size_bytes, bool is_compared);
  // Adds a leaf to the batch; zero bytes are a leaf as well.
  Status add_leaf(Batch& batch, PlacedLeaf leaf, repository::MapLeaf map, const LeafShape& shape);
  void hand_on(Batch*& batch);

  const Context context_;
  ChunkLocator locator_;
  std::size_t files_ = 0;
  // Being filled; null: none.
  Batch* small_files_ = nullptr;
  Batch* large_files_ = nullptr;
};

}  // namespace haul::restore
