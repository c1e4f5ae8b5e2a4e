// Packs appended through the object store of a file system, chunk by chunk, up to the sync and the
// name: bytes as stored. By how the store writes.

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "base/random.h"
#include "bench/data_sample.h"
#include "bench/scratch.h"
#include "compress/codec.h"
#include "engine/repository/pack_writer.h"
#include "io/posix_object_store.h"
#include "io/ring.h"

namespace haul {
namespace {

using repository::ChunkId;
using repository::Cluster;
using repository::EncodedChunk;
using repository::PackWriter;

constexpr std::size_t kChunks = 64;

struct Chunk {
  compress::Codec codec;
  std::vector<std::byte> bytes;
  ChunkId id;
  std::vector<repository::Digest> digests;
};

// As a backup hands them over: compressed with LZ4, where that pays.
Result<std::vector<Chunk>> make_chunks() {
  SeededRandom random(1);
  auto compressor = HAUL_TRY(compress::Compressor::open({compress::Codec::lz4, 0}));
  const std::vector<std::byte> data = bench::cluster_like(kChunks * bench::kChunkBytes);
  std::vector<std::byte> into(compress::compressed_size_max(bench::kChunkBytes));
  std::vector<Chunk> chunks;
  for (std::size_t at = 0; at < data.size(); at += bench::kChunkBytes) {
    const auto stored =
        HAUL_TRY(compressor.compress(ByteSpan(data).subspan(at, bench::kChunkBytes), into));
    Chunk chunk{stored.codec, {stored.bytes.begin(), stored.bytes.end()}, {}, {}};
    HAUL_TRY(random.fill(chunk.id.bytes));
    chunk.digests.resize(bench::kChunkBytes / bench::kPageBytes);
    for (auto& digest : chunk.digests) HAUL_TRY(random.fill(digest.bytes));
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

// One pack of its usual size, or of less where a pass is to take less.
Status write_pack(const Cluster& cluster, const std::vector<Chunk>& chunks, Random& random,
                  std::uint64_t& stored_bytes) {
  PackWriter pack = HAUL_TRY(PackWriter::open(cluster, "20261123T020222Z-F", random));
  for (std::size_t i = 0; pack.size_bytes() < cluster.parameters.pack_size_bytes; ++i) {
    const Chunk& chunk = chunks[i % chunks.size()];
    EncodedChunk encoded;
    encoded.id = chunk.id;
    encoded.codec = chunk.codec;
    encoded.page_size_bytes = bench::kPageBytes;
    encoded.raw_bytes = bench::kChunkBytes;
    encoded.stored = chunk.bytes;
    encoded.digests = chunk.digests;
    HAUL_TRY(pack.append(encoded));
  }
  const repository::FinishedPack finished = HAUL_TRY(pack.finish());
  stored_bytes += finished.size_bytes;
  return ok();
}

Status measure(benchmark::State& state, io::PosixObjectStoreOptions options) {
  const auto scratch = HAUL_TRY(bench::ScratchDirectory::open());
  const auto store = io::make_posix_object_store(HAUL_TRY(scratch.directory()), std::move(options));
  Cluster cluster;
  cluster.store = store.get();
  cluster.name = "main";
  cluster.layout = repository::ClusterLayout("main");
  cluster.parameters.pack_size_bytes =
      std::min(repository::kPackSizeDefault, HAUL_TRY(bench::file_size_bytes()));
  const std::vector<Chunk> chunks = HAUL_TRY(make_chunks());
  SeededRandom random(2);
  std::uint64_t stored_bytes = 0;
  for (auto _ : state) {
    HAUL_TRY(write_pack(cluster, chunks, random, stored_bytes));
    state.PauseTiming();
    for (const io::ObjectInfo& pack : HAUL_TRY(store->list(cluster.layout.packs()))) {
      HAUL_TRY(store->remove(pack.key));
    }
    state.ResumeTiming();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(stored_bytes));
  return ok();
}

void pack_append(benchmark::State& state, io::PosixObjectStoreOptions options) {
  const Status status = measure(state, std::move(options));
  if (!status) state.SkipWithError(status.error().message().c_str());
}

// Buffered writes within append(), or direct ones behind it through a ring.
io::PosixObjectStoreOptions within() { return {}; }
io::PosixObjectStoreOptions behind(io::RingBackend backend) {
  io::PosixObjectStoreOptions options;
  options.rings = [backend](const io::RingOptions& wanted) {
    io::RingOptions chosen = wanted;
    chosen.backend = backend;
    return io::open_ring(chosen);
  };
  return options;
}

BENCHMARK_CAPTURE(pack_append, buffered, within())->UseRealTime();
BENCHMARK_CAPTURE(pack_append, ring_threads, behind(io::RingBackend::threads))->UseRealTime();
// Threads again where the kernel refuses io_uring.
BENCHMARK_CAPTURE(pack_append, ring_automatic, behind(io::RingBackend::automatic))->UseRealTime();

}  // namespace
}  // namespace haul

BENCHMARK_MAIN();
