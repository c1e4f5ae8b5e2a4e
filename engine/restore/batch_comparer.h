// The stages that only a delta restore has: what is on disk is read into the batch, compared with
// what the backup has, and only the chunks that are needed are located.
//
// Leaves of large files come with their bytes read, through the ring; small files are read here.
// All of them direct: the page cache may hold what the device has lost. What cannot be read on disk
// is rewritten.
//
// Memory:   the locator's, and 1 MiB per reader.
// Threads:  read() and compare() never block, from any thread; compare() starts a task of the
//           arena. run_reader(), any number of them, and run_locator(), one, block their callers.
// Errors:   those of reading the repository and the target; what is damaged is a loss.
#pragma once

#include <functional>
#include <stop_token>

#include "engine/flow/arena.h"
#include "engine/flow/channel.h"
#include "engine/restore/chunk_locator.h"
#include "engine/restore/losses.h"
#include "engine/restore/place_batch.h"
#include "engine/restore/target.h"

namespace haul::restore {

class BatchComparer {
 public:
  struct Context {
    const repository::Identity* identity = nullptr;
    Target* target = nullptr;
    ChunkLocator::Context locator;
    Losses* losses = nullptr;
    flow::Arena* arena = nullptr;
    std::stop_token stop;
    // Takes a batch whose chunks are located; from any thread.
    std::function<void(Batch*)> located;
  };

  explicit BatchComparer(const Context& context);

  // Takes a batch of small files.
  void read(Batch* batch) { unread_.push_now(batch); }
  // Takes a batch with the bytes that are on disk.
  void compare(Batch* batch);

  // Work until close() or a stop.
  Status run_reader();
  Status run_locator();
  void close();

 private:
  Status read_small(PlacedLeaf& leaf, MutableByteSpan aligned);
  Status locate(Batch& batch, std::size_t number);

  const Context context_;
  ChunkLocator locator_;  // run_locator()'s
  flow::Channel<Batch*> unread_;
  flow::Channel<Batch*> compared_;
};

}  // namespace haul::restore
