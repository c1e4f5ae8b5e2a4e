// The first stage of placing: walks the files of the plan, creates the large ones, and fills free
// batches with leaves whose chunks are located.
//
// Units:    sizes and offsets are bytes.
// Memory:   the batches it is given, the map of one file, kPacksMax open packs.
// Threads:  run() blocks its caller, on the repository, the target and free batches.
// Errors:   those of reading the repository and creating files; what is damaged is a loss.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include "engine/flow/channel.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/file_map.h"
#include "engine/repository/findings.h"
#include "engine/restore/chunk_cache.h"
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
    ChunkCache* cache = nullptr;
    Losses* losses = nullptr;
    repository::Findings* findings = nullptr;
    flow::Channel<Batch*>* free = nullptr;
    std::size_t read_bytes_max = 0;  // of one PackRead
    std::stop_token stop;
    // Takes a batch that is full.
    std::function<void(Batch*)> planned;
    // Takes a leaf of so many bytes for which nothing has to be read or written.
    std::function<void(const std::shared_ptr<PlacedFile>& file, std::uint64_t bytes)> leaf_done;
  };

  explicit BatchPlanner(Context context) : context_(std::move(context)) {}

  Status run();

 private:
  // Direct reads go through a file of their own; the planner keeps those of the last packs.
  static constexpr std::size_t kPacksMax = 8;
  using PackFile =
      std::pair<std::shared_ptr<const repository::PackReader>, std::shared_ptr<io::File>>;

  Status place(const repository::TreeEntry& entry);
  Status place_small(const std::shared_ptr<PlacedFile>& file, const repository::FileMapReader& map);
  Status place_large(const std::shared_ptr<PlacedFile>& file, const repository::FileMapReader& map);
  Status place_leaf_of_large(const std::shared_ptr<PlacedFile>& file,
                             const repository::FileMapReader& map, std::uint64_t leaf);
  Status take_free_batch(Batch::Kind kind);
  // Adds a leaf to the batch; zero bytes are a leaf as well.
  Status add_leaf(PlacedLeaf leaf, const repository::MapLeaf& map, const LeafShape& shape);
  Status add_chunk(ChunkUse use, std::uint32_t size_max_bytes);
  void hand_on();
  Result<std::shared_ptr<io::File>> pack_file(const repository::StoredChunk& stored);

  const Context context_;
  std::size_t files_ = 0;
  Batch* batch_ = nullptr;  // being filled
  std::optional<repository::StoredChunk> last_stored_;
  std::list<PackFile> packs_;  // most recently used first
};

}  // namespace haul::restore
