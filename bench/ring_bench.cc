// Reads and writes through rings: both back ends, by queue depth and size of an operation, on the
// device that holds PGHAUL_BENCH_DIR. O_DIRECT, one file, front to back, the caller's thread.

#include "io/ring.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <benchmark/benchmark.h>

#include "base/format.h"
#include "bench/ring_pass.h"
#include "bench/scratch.h"
#include "io/aligned_buffer.h"

namespace haul {
namespace {

using io::RingOperation;

constexpr std::array<std::size_t, 2> kOperationsBytes{256 << 10, 1 << 20};
constexpr std::array<std::size_t, 7> kDepths{1, 2, 4, 8, 16, 32, 64};

struct Setting {
  RingOperation::Kind kind = RingOperation::Kind::read;
  io::RingBackend backend = io::RingBackend::uring;
  std::size_t operation_bytes = 0;
  std::size_t depth = 0;
};

struct Scratch {
  bench::ScratchDirectory place;
  std::unique_ptr<io::Directory> directory;
  std::uint64_t size_bytes;
};

Result<std::unique_ptr<io::Ring>> open(const Setting& setting, MutableByteSpan memory) {
  io::RingOptions options;
  options.backend = setting.backend;
  options.capacity = setting.depth;
  for (; !memory.empty(); memory = memory.subspan(setting.operation_bytes)) {
    options.buffers.push_back(memory.first(setting.operation_bytes));
  }
  return io::open_ring(options);
}

// The whole file once.
Status pass(io::Ring& ring, io::File& file, const Setting& setting, const Scratch& scratch,
            MutableByteSpan memory) {
  std::uint64_t offset = 0;
  const auto next = [&](std::size_t slot) -> Result<std::optional<RingOperation>> {
    if (offset == scratch.size_bytes) return std::optional<RingOperation>();
    RingOperation operation;
    operation.kind = setting.kind;
    operation.file = &file;
    operation.offset = offset;
    operation.bytes = memory.subspan(slot * setting.operation_bytes, setting.operation_bytes);
    offset += setting.operation_bytes;
    return std::optional(operation);
  };
  const auto done = [&](std::size_t, std::size_t bytes) -> Status {
    if (bytes == setting.operation_bytes) return ok();
    return Error(ErrorCode::io, "an operation was cut short");
  };
  return bench::drive(ring, next, done);
}

// A file of its full size, the space taken: writes then neither extend it nor look for room.
Result<std::unique_ptr<io::File>> create(const Scratch& scratch, const std::string& name) {
  auto file = HAUL_TRY(scratch.directory->create_file(name, 0600, io::Caching::direct));
  HAUL_TRY(file->resize(scratch.size_bytes));
  HAUL_TRY(file->preallocate(scratch.size_bytes));
  return file;
}

Status measure_read(benchmark::State& state, const Setting& setting, const Scratch& scratch) {
  io::AlignedBuffer memory(setting.depth * setting.operation_bytes);
  const auto file = HAUL_TRY(scratch.directory->open_file("read", io::Caching::direct));
  const auto ring = HAUL_TRY(open(setting, memory.bytes()));
  state.SetLabel(ring->backend());
  for (auto _ : state) HAUL_TRY(pass(*ring, *file, setting, scratch, memory.bytes()));
  return ok();
}

// The time includes the sync: a device may hold in a cache what it was given.
Status measure_write(benchmark::State& state, const Setting& setting, const Scratch& scratch) {
  io::AlignedBuffer memory(setting.depth * setting.operation_bytes);
  bench::fill_incompressible(memory.bytes(), 1);
  for (auto _ : state) {
    state.PauseTiming();
    const auto file = HAUL_TRY(create(scratch, "write"));
    const auto ring = HAUL_TRY(open(setting, memory.bytes()));
    state.SetLabel(ring->backend());
    state.ResumeTiming();
    HAUL_TRY(pass(*ring, *file, setting, scratch, memory.bytes()));
    HAUL_TRY(file->sync());
    state.PauseTiming();
    HAUL_TRY(scratch.directory->remove_file("write"));
    state.ResumeTiming();
  }
  return ok();
}

void measure(benchmark::State& state, const Setting& setting, const Scratch& scratch) {
  const Status status = setting.kind == RingOperation::Kind::read
                            ? measure_read(state, setting, scratch)
                            : measure_write(state, setting, scratch);
  if (!status) return state.SkipWithError(status.error().message().c_str());
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(scratch.size_bytes));
}

void register_benchmark(const Setting& setting, const Scratch& scratch) {
  const std::string name =
      format("{}/{}/{}KiB/depth:{}", setting.kind == RingOperation::Kind::read ? "read" : "write",
             setting.backend == io::RingBackend::uring ? "uring" : "threads",
             setting.operation_bytes >> 10, setting.depth);
  benchmark::RegisterBenchmark(name.c_str(), [setting, &scratch](benchmark::State& state) {
    measure(state, setting, scratch);
  })->UseRealTime();
}

void register_all(const Scratch& scratch) {
  for (const auto kind : {RingOperation::Kind::read, RingOperation::Kind::write}) {
    for (const auto backend : {io::RingBackend::uring, io::RingBackend::threads}) {
      for (const std::size_t operation_bytes : kOperationsBytes) {
        for (const std::size_t depth : kDepths) {
          const Setting setting{kind, backend, operation_bytes, depth};
          // Where the kernel refuses io_uring there is nothing to measure of it.
          if (auto ring = open(setting, {}); !ring) {
            std::fprintf(stderr, "ring_bench: %s\n", ring.error().message().c_str());
            break;
          }
          register_benchmark(setting, scratch);
        }
      }
    }
  }
}

Result<Scratch> make_scratch() {
  auto place = HAUL_TRY(bench::ScratchDirectory::open());
  auto directory = HAUL_TRY(place.directory());
  const std::uint64_t size_bytes = HAUL_TRY(bench::file_size_bytes());
  Scratch scratch{std::move(place), std::move(directory), size_bytes};
  const auto file = HAUL_TRY(create(scratch, "read"));
  const Setting writing{RingOperation::Kind::write, io::RingBackend::threads, 1 << 20, 4};
  io::AlignedBuffer memory(writing.depth * writing.operation_bytes);
  bench::fill_incompressible(memory.bytes(), 2);
  const auto ring = HAUL_TRY(open(writing, memory.bytes()));
  HAUL_TRY(pass(*ring, *file, writing, scratch, memory.bytes()));
  HAUL_TRY(file->sync());
  return scratch;
}

}  // namespace
}  // namespace haul

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  const auto scratch = haul::make_scratch();
  if (!scratch) {
    std::fprintf(stderr, "ring_bench: %s\n", scratch.error().message().c_str());
    return 1;
  }
  haul::register_all(*scratch);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
