// One immutable sorted run of the index: chunk id -> pack and ordinal.
//
// Entries lie in blocks of 16 KiB (the last one shorter), each with its own checksum, read one at a
// time; the directory (packs, first keys, filter) is held in memory. Damage of the directory makes
// the run unusable, damage of a block is met when the block is read: the caller falls back to the
// packs' own footers either way.
//
// Units:    sizes are bytes.
// Memory:   directory: about 1.4 bytes per entry and 90 bytes per pack; one block per lookup.
// Threads:  immutable once opened; lookups from any thread.
// Errors:   corrupt, unsupported, io.
// Format:   docs/format.md, "Index runs".
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/repository/cluster.h"
#include "io/object_store.h"

namespace haul::repository {

struct IndexedPack {
  PackRef ref;
  std::uint64_t size_bytes = 0;
  std::uint32_t chunks = 0;

  bool operator==(const IndexedPack&) const = default;
};

// Where a chunk lies, in the terms of one run.
struct RunEntry {
  ChunkId id;
  std::uint32_t pack = 0;  // position in packs()
  std::uint32_t ordinal = 0;
};

struct IndexRunContent {
  std::vector<IndexedPack> packs;
  std::vector<RunEntry> entries;   // any order; sorted by the encoder
  std::vector<RunRef> superseded;  // runs whose content this one holds too
};

// The whole object. Asserts that entries name packs of the content.
std::vector<std::byte> encode_index_run(IndexRunContent content, const RepositoryId& repository,
                                        const std::string& key);

// Of entries in id order.
std::optional<RunEntry> find_entry(const std::vector<RunEntry>& entries, const ChunkId& id);

class IndexRun {
 public:
  static Result<IndexRun> open(const Cluster& cluster, const RunRef& ref);

  const RunRef& ref() const { return ref_; }
  const std::vector<IndexedPack>& packs() const { return packs_; }
  const std::vector<RunRef>& superseded() const { return superseded_; }
  std::uint64_t entries() const { return entries_; }

  // Which block would hold the chunk; nothing when find() would find nothing.
  std::optional<std::size_t> block_of(const ChunkId& id) const;
  Result<std::optional<RunEntry>> find(const ChunkId& id) const;
  // False: find() would find nothing. True: it might; from memory alone.
  bool may_hold(const ChunkId& id) const;
  // Every entry in id order, block by block; for verification and merging. Checks block checksums
  // and order.
  Result<std::vector<RunEntry>> read_block(std::size_t block) const;
  std::size_t blocks() const { return fences_.size(); }

 private:
  IndexRun() = default;
  Status parse_directory(ByteSpan directory);
  std::uint64_t blocks_bytes() const;

  std::unique_ptr<io::ObjectReader> object_;
  RunRef ref_;
  std::string key_;
  std::vector<IndexedPack> packs_;
  std::vector<RunRef> superseded_;
  std::vector<std::uint32_t> filter_;  // 8 words per filter block
  std::vector<ChunkId> fences_;        // first id of each block
  std::uint64_t entries_ = 0;
  std::uint64_t blocks_offset_ = 0;
};

}  // namespace haul::repository
