// The last stage of placing: writes small files whole, and gives large ones their exact size;
// owner, sync where that is not left to the end, close.
//
// Memory:   none of its own.
// Threads:  run() blocks its caller, any number of them; the rest from any thread.
// Errors:   those of the target.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "engine/flow/channel.h"
#include "engine/restore/losses.h"
#include "engine/restore/place_batch.h"
#include "engine/restore/restore.h"
#include "engine/restore/target.h"

namespace haul::restore {

class FileFinisher {
 public:
  struct Context {
    Target* target = nullptr;
    Losses* losses = nullptr;
    flow::Channel<Batch*>* free = nullptr;
    std::span<std::uint32_t> crcs;  // of the plan's files
    RestoreProgress* progress = nullptr;
    std::stop_token stop;
  };

  explicit FileFinisher(const Context& context);

  // Takes a batch of small files; blocks while there is too much to do.
  void finish_batch(Batch* batch) { work_.push({batch, nullptr}); }
  // Another leaf is written, or needs not be; the file of the last one is finished. Blocks
  // likewise.
  void leaf_done(const std::shared_ptr<PlacedFile>& file, std::uint64_t bytes);

  // Works until close() or a stop.
  Status run();
  void close() { work_.close(); }

  // A leaf of a large file had so many bytes on disk already; small files count by themselves.
  void add_kept(std::uint64_t bytes) { kept_bytes_ += bytes; }
  std::uint64_t kept_bytes() const { return kept_bytes_; }

 private:
  // Files that are open and wait.
  static constexpr std::size_t kWaitingMax = 64;

  struct Work {
    Batch* small_files = nullptr;
    std::shared_ptr<PlacedFile> large_file;
  };

  Status finish_small_files(Batch& batch);
  Result<std::unique_ptr<io::File>> open_small(const PlacedFile& placed);
  Status write_small(const PlacedLeaf& leaf);
  Status finish_large(PlacedFile& file);

  const Context context_;
  flow::Channel<Work> work_;
  std::atomic<std::uint64_t> kept_bytes_ = 0;
};

}  // namespace haul::restore
