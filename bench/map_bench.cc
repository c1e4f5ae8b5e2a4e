// Maps of files: encoding and decoding of leaves, whole and fragmented by later backups, and the
// leaves of a large file read from a repository (PGHAUL_BENCH_FILE_MIB times 32: 32 GiB).

#include "engine/repository/map.h"

#include <cstdint>
#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include "base/clock.h"
#include "base/random.h"
#include "bench/data_sample.h"
#include "bench/scratch.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/file_map.h"
#include "engine/repository/local_repository.h"

namespace haul {
namespace {

using repository::ChunkId;
using repository::ChunkKind;
using repository::Cluster;
using repository::Extent;
using repository::MapLeaf;
using repository::TreeEntry;

constexpr std::uint32_t kChunkPages = repository::kChunkPagesDefault;
constexpr std::uint32_t kRegions = repository::kLeafPages / kChunkPages;

ChunkId next_id(SeededRandom& random) {
  ChunkId id;
  bench::fill_incompressible(id.bytes, random.next());
  return id;
}

// One page after another of the chunks that later backups gathered changed pages in.
class DeltaPages {
 public:
  explicit DeltaPages(MapLeaf& leaf) : leaf_(&leaf) {}

  Extent next(SeededRandom& random) {
    if (next_page_ == kChunkPages) {
      leaf_->chunks.push_back(next_id(random));
      next_page_ = 0;
    }
    return {static_cast<std::uint16_t>(leaf_->chunks.size() - 1), next_page_++, 1};
  }

 private:
  MapLeaf* leaf_;
  std::uint8_t next_page_ = kChunkPages;
};

// A leaf of whole regions, in each of which so many pages, evenly spread, have changed since.
MapLeaf make_leaf(std::uint32_t changed_pages, SeededRandom& random) {
  MapLeaf leaf;
  if (changed_pages == 0) {
    for (std::uint32_t i = 0; i < kRegions; ++i) append_region(leaf, next_id(random), kChunkPages);
    return leaf;
  }
  for (std::uint32_t i = 0; i < kRegions; ++i) leaf.chunks.push_back(next_id(random));
  DeltaPages delta(leaf);
  const std::uint32_t stride = kChunkPages / changed_pages;
  for (std::uint16_t region = 0; region < kRegions; ++region) {
    for (std::uint32_t page = 0; page < kChunkPages; page += stride) {
      leaf.extents.push_back(delta.next(random));
      leaf.extents.push_back(
          {region, static_cast<std::uint8_t>(page + 1), static_cast<std::uint8_t>(stride - 1)});
    }
    leaf.region_digests.emplace_back(next_id(random));
  }
  return leaf;
}

// Bytes are those of the file that the leaves describe.
void report(benchmark::State& state, std::size_t leaf_bytes) {
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * repository::kLeafPages *
                          static_cast<std::int64_t>(bench::kPageBytes));
  state.counters["leaf_bytes"] = static_cast<double>(leaf_bytes);
}

// By changed pages in each region of 32.
void encode_leaf(benchmark::State& state) {
  SeededRandom random(1);
  const MapLeaf leaf = make_leaf(static_cast<std::uint32_t>(state.range(0)), random);
  for (auto _ : state) benchmark::DoNotOptimize(repository::encode_map_leaf(leaf));
  report(state, repository::encode_map_leaf(leaf).size());
}
BENCHMARK(encode_leaf)->Arg(0)->Arg(1)->Arg(4)->Arg(16);

void decode_leaf(benchmark::State& state) {
  SeededRandom random(1);
  const MapLeaf leaf = make_leaf(static_cast<std::uint32_t>(state.range(0)), random);
  const std::vector<std::byte> bytes = repository::encode_map_leaf(leaf);
  for (auto _ : state) {
    const auto decoded = repository::decode_map_leaf(bytes, repository::kLeafPages, kChunkPages);
    if (!decoded) return state.SkipWithError(decoded.error().message().c_str());
    benchmark::DoNotOptimize(decoded->extents.data());
  }
  report(state, bytes.size());
}
BENCHMARK(decode_leaf)->Arg(0)->Arg(1)->Arg(4)->Arg(16);

// Stores a map of so many leaves; the chunks that it names exist nowhere.
Status store_map(const Cluster& cluster, std::uint32_t changed_pages, TreeEntry& entry) {
  SystemRandom names;
  repository::Findings findings;
  const auto index = HAUL_TRY(repository::Index::open(cluster, findings));
  repository::ChunkWriter writer(cluster, *index, "20261123T020222Z-F", names);
  auto encoder = HAUL_TRY(repository::ChunkEncoder::open(writer, {compress::Codec::lz4, 0}));
  repository::PackStream metadata(writer);
  SeededRandom random(1);
  std::vector<ChunkId> leaves(repository::map_leaves(entry.size_bytes, entry.page_size_bytes));
  for (ChunkId& id : leaves) {
    const auto bytes = repository::encode_map_leaf(make_leaf(changed_pages, random));
    id = HAUL_TRY(encoder.store_metadata(ChunkKind::map_leaf, bytes, metadata));
  }
  HAUL_TRY(repository::finish_map(std::move(leaves), entry, encoder, metadata));
  HAUL_TRY(metadata.close());
  return writer.finish();
}

Status measure_read(benchmark::State& state) {
  const auto scratch = HAUL_TRY(bench::ScratchDirectory::open());
  SystemRandom random;
  SystemClock clock;
  const auto repository = HAUL_TRY(repository::init_local_repository(
      repository::open_local_directory,
      {scratch.path() + "/repository", repository::LocalOwner::process, {}}, random, clock));
  const Cluster cluster = HAUL_TRY(repository.cluster("main"));
  TreeEntry entry;
  entry.path = "base/5/16384";
  entry.size_bytes = 32 * HAUL_TRY(bench::file_size_bytes());
  entry.page_size_bytes = bench::kPageBytes;
  HAUL_TRY(store_map(cluster, static_cast<std::uint32_t>(state.range(0)), entry));

  repository::Findings findings;
  const auto index = HAUL_TRY(repository::Index::open(cluster, findings));
  repository::ChunkReader chunks(cluster, *index, findings);
  const auto map = HAUL_TRY(repository::FileMapReader::open(chunks, entry));
  const std::uint64_t leaves = map.shape().leaves();
  std::uint64_t next = 0;
  for (auto _ : state) {
    const MapLeaf leaf = HAUL_TRY(map.read_leaf(next));
    benchmark::DoNotOptimize(leaf.extents.data());
    next = (next + 1) % leaves;
  }
  state.counters["leaves"] = static_cast<double>(leaves);
  return ok();
}

// One leaf after another: found in the index, read, decoded, verified.
void read_leaf(benchmark::State& state) {
  const Status status = measure_read(state);
  if (!status) return state.SkipWithError(status.error().message().c_str());
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * repository::kLeafPages *
                          static_cast<std::int64_t>(bench::kPageBytes));
}
BENCHMARK(read_leaf)->Arg(0)->Arg(4);

}  // namespace
}  // namespace haul

BENCHMARK_MAIN();
