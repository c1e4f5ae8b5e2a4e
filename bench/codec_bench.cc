// Speed of the byte transforms that every page passes: checksums, digests, codecs. One core.

#include "compress/codec.h"

#include <array>
#include <cstdint>
#include <vector>

#include <benchmark/benchmark.h>

#include "bench/data_sample.h"
#include "compress/checksum.h"
#include "compress/digest.h"
#include "engine/postgres/crc32c.h"
#include "engine/postgres/internal/crc32c_kernels.h"
#include "engine/postgres/internal/page_checksum_kernels.h"
#include "engine/postgres/page_checksum.h"

namespace haul {
namespace {

using bench::kChunkBytes;
using bench::kPageBytes;

// Larger than a second-level cache, so that pages come from where a read leaves them.
constexpr std::size_t kWorkingSetBytes = 8 << 20;

const std::vector<std::byte>& working_set() {
  static const std::vector<std::byte> bytes = bench::cluster_like(kWorkingSetBytes);
  return bytes;
}

const compress::DigestKey& key() {
  static const compress::DigestKey digest_key(std::array<std::byte, 32>{});
  return digest_key;
}

// Calls `work` on one range of `size_bytes` after another, round the working set.
template <typename Work>
void over_ranges(benchmark::State& state, std::size_t size_bytes, Work work) {
  const ByteSpan bytes = working_set();
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(work(bytes.subspan(at, size_bytes)));
    at = at + 2 * size_bytes > bytes.size() ? 0 : at + size_bytes;
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(size_bytes));
}

void each_of(benchmark::internal::Benchmark* benchmark, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) benchmark->Arg(static_cast<std::int64_t>(i));
}

void page_checksum(benchmark::State& state) {
  over_ranges(state, kPageBytes, [](ByteSpan page) { return postgres::page_checksum(page, 7); });
}
BENCHMARK(page_checksum);

// One per implementation that this processor can run.
void page_checksum_kernel(benchmark::State& state) {
  const auto& kernel =
      postgres::internal::page_checksum_kernels()[static_cast<std::size_t>(state.range(0))];
  state.SetLabel(kernel.name);
  over_ranges(state, kPageBytes, kernel.fold);
}
BENCHMARK(page_checksum_kernel)->Apply([](benchmark::internal::Benchmark* benchmark) {
  each_of(benchmark, postgres::internal::page_checksum_kernels().size());
});

void crc32c_kernel(benchmark::State& state) {
  const auto& kernel =
      postgres::internal::crc32c_kernels()[static_cast<std::size_t>(state.range(0))];
  state.SetLabel(kernel.name);
  over_ranges(state, kChunkBytes, [&](ByteSpan chunk) { return kernel.update(0xFFFFFFFF, chunk); });
}
BENCHMARK(crc32c_kernel)->Apply([](benchmark::internal::Benchmark* benchmark) {
  each_of(benchmark, postgres::internal::crc32c_kernels().size());
});

void crc32c_combine(benchmark::State& state) {
  const postgres::Crc32cPiece first{0x12345678, kChunkBytes};
  const postgres::Crc32cPiece second{0x9ABCDEF0, 12345 * kPageBytes};
  for (auto _ : state) benchmark::DoNotOptimize(postgres::combine(first, second));
}
BENCHMARK(crc32c_combine);

void digest(benchmark::State& state) {
  over_ranges(state, static_cast<std::size_t>(state.range(0)),
              [](ByteSpan range) { return compress::keyed_digest(key(), range).tag(); });
}
BENCHMARK(digest)->Arg(kPageBytes)->Arg(kChunkBytes);

// What a chunk costs: a digest for each page and one over the digests.
void chunk_id(benchmark::State& state) {
  over_ranges(state, kChunkBytes, [](ByteSpan chunk) {
    compress::KeyedHasher id(key());
    for (std::size_t at = 0; at < chunk.size(); at += kPageBytes) {
      id.update(compress::keyed_digest(key(), chunk.subspan(at, kPageBytes)).bytes);
    }
    return id.finish().tag();
  });
}
BENCHMARK(chunk_id);

void checksum(benchmark::State& state) {
  over_ranges(state, kChunkBytes, [](ByteSpan chunk) { return compress::checksum(chunk); });
}
BENCHMARK(checksum);

void is_zero_of_zeros(benchmark::State& state) {
  const std::vector<std::byte> zeros(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(compress::is_zero(zeros));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(is_zero_of_zeros)->Arg(kPageBytes)->Arg(kChunkBytes);

void is_zero_of_data(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(compress::is_zero(ByteSpan(working_set()).first(kPageBytes)));
  }
}
BENCHMARK(is_zero_of_data);

void compress_chunk(benchmark::State& state, const char* choice) {
  auto compressor = compress::Compressor::open(compress::parse_codec_choice(choice).value()).take();
  std::vector<std::byte> into(compress::compressed_size_max(kChunkBytes));
  std::size_t raw_bytes = 0;
  std::size_t stored_bytes = 0;
  over_ranges(state, kChunkBytes, [&](ByteSpan chunk) {
    const compress::Compressed compressed = compressor.compress(chunk, into).value();
    raw_bytes += chunk.size();
    stored_bytes += compressed.bytes.size();
    return compressed.bytes.size();
  });
  state.counters["ratio"] = static_cast<double>(raw_bytes) / static_cast<double>(stored_bytes);
}
BENCHMARK_CAPTURE(compress_chunk, none, "none");
BENCHMARK_CAPTURE(compress_chunk, lz4, "lz4");
BENCHMARK_CAPTURE(compress_chunk, zstd_1, "zstd:1");
BENCHMARK_CAPTURE(compress_chunk, zstd_3, "zstd:3");
BENCHMARK_CAPTURE(compress_chunk, zstd_9, "zstd:9");

// One after another of the working set's chunks, compressed beforehand.
void decompress_chunk(benchmark::State& state, const char* choice) {
  auto compressor = compress::Compressor::open(compress::parse_codec_choice(choice).value()).take();
  struct Stored {
    compress::Codec codec;
    std::vector<std::byte> bytes;
  };
  std::vector<Stored> chunks;
  std::vector<std::byte> into(compress::compressed_size_max(kChunkBytes));
  for (std::size_t at = 0; at < working_set().size(); at += kChunkBytes) {
    const ByteSpan chunk = ByteSpan(working_set()).subspan(at, kChunkBytes);
    const compress::Compressed compressed = compressor.compress(chunk, into).value();
    chunks.push_back({compressed.codec, {compressed.bytes.begin(), compressed.bytes.end()}});
  }
  compress::Decompressor decompressor;
  std::vector<std::byte> raw(kChunkBytes);
  std::size_t next = 0;
  for (auto _ : state) {
    const Stored& chunk = chunks[next];
    next = (next + 1) % chunks.size();
    const Status status = decompressor.decompress(chunk.codec, chunk.bytes, raw);
    if (!status) return state.SkipWithError(status.error().message().c_str());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kChunkBytes));
}
BENCHMARK_CAPTURE(decompress_chunk, none, "none");
BENCHMARK_CAPTURE(decompress_chunk, lz4, "lz4");
BENCHMARK_CAPTURE(decompress_chunk, zstd_1, "zstd:1");
BENCHMARK_CAPTURE(decompress_chunk, zstd_3, "zstd:3");
BENCHMARK_CAPTURE(decompress_chunk, zstd_9, "zstd:9");

}  // namespace
}  // namespace haul
