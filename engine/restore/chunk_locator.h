// Finds the chunks of a batch in the repository's packs, and joins those that lie near each other
// into reads.
//
// Units:    sizes and offsets are bytes.
// Memory:   kPacksMax open packs.
// Threads:  one owner at a time; blocks on the repository.
// Errors:   those of reading the repository; what is damaged is a loss.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "engine/repository/chunk_reader.h"
#include "engine/repository/findings.h"
#include "engine/restore/losses.h"
#include "engine/restore/place_batch.h"

namespace haul::restore {

class ChunkLocator {
 public:
  struct Context {
    repository::ChunkReader* chunks = nullptr;
    Losses* losses = nullptr;
    repository::Findings* findings = nullptr;
    std::size_t read_bytes_max = 0;  // of one PackRead
  };

  explicit ChunkLocator(const Context& context) : context_(context) {}

  // Adds a chunk that a leaf of the batch draws on.
  Status add(Batch& batch, std::size_t leaf, ChunkUse use, std::uint32_t size_max_bytes);
  // The same where find() was asked already.
  Status add_found(Batch& batch, std::size_t leaf, ChunkUse use, std::uint32_t size_max_bytes,
                   std::optional<repository::StoredChunk> stored);
  // All chunks are added.
  void make_reads(Batch& batch) const;

 private:
  // Direct reads go through a file of their own; those of the last packs are kept.
  // A leaf that was overlaid many times draws on as many packs.
  static constexpr std::size_t kPacksMax = 256;
  using PackFile =
      std::pair<std::shared_ptr<const repository::PackReader>, std::shared_ptr<io::File>>;

  Result<std::shared_ptr<io::File>> pack_file(const repository::StoredChunk& stored);

  const Context context_;
  std::list<PackFile> packs_;  // most recently used first
};

}  // namespace haul::restore
