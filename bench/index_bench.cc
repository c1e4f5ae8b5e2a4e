// Finding chunks in the index of a large repository: PGHAUL_BENCH_ENTRIES chunks (10 million, some
// 2.5 TB of data) in one run, as merging leaves them, and in 16. Blocks come from the page cache.

#include "engine/repository/index.h"

#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include <benchmark/benchmark.h>

#include "base/format.h"
#include "base/random.h"
#include "bench/scratch.h"
#include "io/posix_object_store.h"

namespace haul {
namespace {

using repository::ChunkId;
using repository::Cluster;
using repository::Findings;
using repository::Index;
using repository::IndexRunContent;
using repository::RunRef;

constexpr std::uint32_t kChunksPerPack = 350;
const std::string kLease = "20261123T020222Z-F";

// Numbers up to the number of entries are in the index.
ChunkId id_of(std::uint64_t number) {
  SeededRandom random(number * 4 + 1);
  ChunkId id;
  bench::fill_incompressible(id.bytes, random.next());
  return id;
}

Status write_run(const Cluster& cluster, std::uint32_t run, std::uint64_t first,
                 std::uint64_t entries) {
  IndexRunContent content;
  content.entries.reserve(entries);
  for (std::uint64_t i = 0; i < entries; ++i) {
    if (i % kChunksPerPack == 0) {
      repository::IndexedPack pack;
      pack.ref = {kLease, {id_of(~(first + i)).bytes}};
      pack.size_bytes = repository::kPackSizeDefault;
      pack.chunks =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(kChunksPerPack, entries - i));
      content.packs.push_back(std::move(pack));
    }
    content.entries.push_back({id_of(first + i),
                               static_cast<std::uint32_t>(content.packs.size() - 1),
                               static_cast<std::uint32_t>(i % kChunksPerPack)});
  }
  const std::string key = cluster.layout.run(RunRef{kLease, run});
  return cluster.store->put_if_absent(
      key, repository::encode_index_run(std::move(content), cluster.repository, key));
}

std::size_t allocated_bytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

// An index that lies on disk and is open.
struct Subject {
  bench::ScratchDirectory place;
  std::unique_ptr<io::ObjectStore> store;
  std::unique_ptr<Findings> findings;
  std::unique_ptr<Index> index;
  std::uint64_t entries = 0;
  std::size_t memory_bytes = 0;
};

Result<Subject> make_subject(std::uint32_t runs) {
  auto place = HAUL_TRY(bench::ScratchDirectory::open());
  auto store = io::make_posix_object_store(HAUL_TRY(place.directory()), {});
  Cluster cluster;
  cluster.store = store.get();
  cluster.name = "main";
  cluster.layout = repository::ClusterLayout("main");
  const std::uint64_t entries = HAUL_TRY(bench::index_entries()) / runs * runs;
  for (std::uint32_t run = 0; run < runs; ++run) {
    HAUL_TRY(write_run(cluster, run + 1, entries / runs * run, entries / runs));
  }
  auto findings = std::make_unique<Findings>();
  const std::size_t before_bytes = allocated_bytes();
  auto index = HAUL_TRY(Index::open(cluster, *findings));
  const std::size_t memory_bytes = allocated_bytes() - before_bytes;
  if (findings->count() > 0) return Error(ErrorCode::corrupt, findings->lines().front());
  return Subject{std::move(place), std::move(store), std::move(findings),
                 std::move(index), entries,          memory_bytes};
}

void report(benchmark::State& state, const Subject& subject) {
  state.SetItemsProcessed(state.iterations());
  state.counters["entries"] = static_cast<double>(subject.entries);
  state.counters["memory_bytes"] = static_cast<double>(subject.memory_bytes);
}

// A chunk that is there: one block is read.
void find_hit(benchmark::State& state, const Subject& subject) {
  SeededRandom random(3);
  for (auto _ : state) {
    const auto found = subject.index->find(id_of(random.next() % subject.entries));
    if (!found) return state.SkipWithError(found.error().message().c_str());
    if (found->empty()) return state.SkipWithError("a chunk was not found");
  }
  report(state, subject);
}

// A new chunk: the filters answer, now and then wrongly, and then a block is read.
void find_miss(benchmark::State& state, const Subject& subject) {
  SeededRandom random(4);
  for (auto _ : state) {
    const auto number = subject.entries + random.next() % subject.entries;
    const auto found = subject.index->find_dedup_target(id_of(number));
    if (!found) return state.SkipWithError(found.error().message().c_str());
    if (*found) return state.SkipWithError("a chunk was found that is not there");
  }
  report(state, subject);
}

// The filters alone, and how often they are wrong.
void may_hold_miss(benchmark::State& state, const Subject& subject) {
  SeededRandom random(5);
  std::uint64_t wrong = 0;
  for (auto _ : state) {
    const auto number = subject.entries + random.next() % subject.entries;
    if (subject.index->may_hold(id_of(number))) ++wrong;
  }
  report(state, subject);
  state.counters["wrong"] =
      benchmark::Counter(static_cast<double>(wrong), benchmark::Counter::kAvgIterations);
}

void register_all(const Subject& subject, std::uint32_t runs) {
  const auto add = [&](const char* name, void (*measure)(benchmark::State&, const Subject&)) {
    benchmark::RegisterBenchmark(
        format("{}/runs:{}", name, runs).c_str(),
        [&subject, measure](benchmark::State& state) { measure(state, subject); });
  };
  add("find_hit", find_hit);
  add("find_miss", find_miss);
  add("may_hold_miss", may_hold_miss);
}

}  // namespace
}  // namespace haul

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const auto merged = haul::make_subject(1);
  const auto unmerged = haul::make_subject(16);
  for (const auto* subject : {&merged, &unmerged}) {
    if (*subject) continue;
    std::fprintf(stderr, "index_bench: %s\n", subject->error().message().c_str());
    return 1;
  }
  haul::register_all(*merged, 1);
  haul::register_all(*unmerged, 16);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
