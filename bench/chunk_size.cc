// How the size of a chunk bears on speed, compression and the cost of reaching one page.
//
//   chunk_size DIRECTORY [CODEC...]      e.g. a stopped cluster's "base"; default: none lz4 zstd:1
//
// For each chunk size every file is read with O_DIRECT by two threads, three times over, as a
// backup reads it: a keyed digest for each 8 KiB page, the chunk's id over them, compression, and
// the decoded result compared with what was read. Prints one Markdown row for each codec and chunk
// size.

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/format.h"
#include "base/result.h"
#include "compress/codec.h"
#include "compress/digest.h"
#include "io/aligned_buffer.h"
#include "io/directory.h"
#include "io/posix_directory.h"

namespace haul {
namespace {

constexpr std::size_t kPageBytes = 8192;
constexpr std::size_t kThreads = 2;
constexpr int kPasses = 3;
constexpr std::array<std::size_t, 5> kChunkSizes{64 << 10, 128 << 10, 256 << 10, 512 << 10,
                                                 1024 << 10};

struct SourceFile {
  std::string path;
  std::uint64_t size_bytes = 0;
};

// One chunk to read.
struct Range {
  const SourceFile* file = nullptr;
  std::uint64_t offset = 0;
};

struct Measure {
  std::uint64_t chunks = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t stored_bytes = 0;
  std::chrono::nanoseconds decoding{};

  void add(const Measure& other) {
    chunks += other.chunks;
    raw_bytes += other.raw_bytes;
    stored_bytes += other.stored_bytes;
    decoding += other.decoding;
  }
};

Status collect(io::Directory& root, const std::string& path, std::vector<SourceFile>& files) {
  for (const io::DirectoryEntry& entry : HAUL_TRY(root.list(path))) {
    const std::string below = path.empty() ? entry.name : path + "/" + entry.name;
    if (entry.kind == io::FileKind::directory) HAUL_TRY(collect(root, below, files));
    if (entry.kind != io::FileKind::regular) continue;
    const std::uint64_t size_bytes = HAUL_TRY(root.info(below)).size_bytes;
    files.push_back({below, size_bytes});
  }
  return ok();
}

std::vector<Range> cut(const std::vector<SourceFile>& files, std::size_t chunk_size_bytes) {
  std::vector<Range> ranges;
  for (const SourceFile& file : files) {
    for (std::uint64_t at = 0; at < file.size_bytes; at += chunk_size_bytes) {
      ranges.push_back({&file, at});
    }
  }
  return ranges;
}

compress::Digest chunk_id(const compress::DigestKey& key, ByteSpan chunk) {
  compress::KeyedHasher id(key);
  for (; !chunk.empty(); chunk = chunk.subspan(std::min(kPageBytes, chunk.size()))) {
    const ByteSpan page = chunk.first(std::min(kPageBytes, chunk.size()));
    id.update(compress::keyed_digest(key, page).bytes);
  }
  return id.finish();
}

// One thread's buffers and codecs.
class Worker {
 public:
  static Result<Worker> open(io::Directory& root, compress::CodecChoice choice,
                             std::size_t chunk_size_bytes) {
    return Worker(root, HAUL_TRY(compress::Compressor::open(choice)), chunk_size_bytes);
  }

  // Takes ranges until there are no more.
  Status run(const std::vector<Range>& ranges, std::atomic<std::size_t>& next) {
    for (std::size_t i = next.fetch_add(1); i < ranges.size(); i = next.fetch_add(1)) {
      HAUL_TRY(process(ranges[i]));
    }
    return ok();
  }

  const Measure& measure() const { return measure_; }

 private:
  Worker(io::Directory& root, compress::Compressor compressor, std::size_t chunk_size_bytes)
      : root_(&root),
        compressor_(std::move(compressor)),
        raw_(chunk_size_bytes),
        stored_(compress::compressed_size_max(chunk_size_bytes)),
        decoded_(chunk_size_bytes) {}

  Status process(const Range& range) {
    if (range.file != open_range_) {
      file_ = HAUL_TRY(root_->open_file(range.file->path, io::Caching::direct));
      open_range_ = range.file;
    }
    const std::size_t size = HAUL_TRY(file_->read_at(range.offset, raw_.bytes()));
    const ByteSpan chunk = raw_.bytes().first(size);
    ids_ ^= chunk_id(key_, chunk).tag();
    const compress::Compressed compressed = HAUL_TRY(compressor_.compress(chunk, stored_));

    const auto before = std::chrono::steady_clock::now();
    const MutableByteSpan decoded = MutableByteSpan(decoded_).first(size);
    HAUL_TRY(decompressor_.decompress(compressed.codec, compressed.bytes, decoded));
    measure_.decoding += std::chrono::steady_clock::now() - before;
    if (size > 0 && std::memcmp(decoded.data(), chunk.data(), size) != 0) {
      return Error(ErrorCode::corrupt, format("{}: decodes to something else", range.file->path));
    }
    measure_.chunks += 1;
    measure_.raw_bytes += size;
    measure_.stored_bytes += compressed.bytes.size();
    return ok();
  }

  io::Directory* root_;
  compress::DigestKey key_{std::array<std::byte, 32>{}};
  compress::Compressor compressor_;
  compress::Decompressor decompressor_;
  io::AlignedBuffer raw_;
  std::vector<std::byte> stored_;
  std::vector<std::byte> decoded_;
  std::unique_ptr<io::File> file_;
  const SourceFile* open_range_ = nullptr;
  std::uint64_t ids_ = 0;  // so that no digest is computed in vain
  Measure measure_;
};

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// All ranges on kThreads threads; their sum, or the first failure.
Result<Measure> run_threads(io::Directory& root, compress::CodecChoice choice,
                            std::size_t chunk_size_bytes, const std::vector<Range>& ranges) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;  // guards outcome
  Result<Measure> outcome = Measure{};
  const auto work = [&] {
    Result<Worker> worker = Worker::open(root, choice, chunk_size_bytes);
    const Status status = worker ? worker->run(ranges, next) : Status(worker.error());
    const std::scoped_lock lock(mutex);
    if (!outcome) return;
    if (!status) {
      outcome = status.error();
    } else {
      outcome->add(worker->measure());
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) threads.emplace_back(work);
  }
  return outcome;
}

struct Pass {
  Measure measure;
  double seconds = 0;
  double cpu_seconds = 0;
};

Result<Pass> run_pass(io::Directory& root, compress::CodecChoice choice,
                      std::size_t chunk_size_bytes, const std::vector<Range>& ranges) {
  const double cpu_before = cpu_seconds();
  const auto before = std::chrono::steady_clock::now();
  Pass pass;
  pass.measure = HAUL_TRY(run_threads(root, choice, chunk_size_bytes, ranges));
  pass.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  pass.cpu_seconds = cpu_seconds() - cpu_before;
  return pass;
}

// The best of several passes: whatever else runs on the machine only ever makes one slower.
Status measure_row(io::Directory& root, const std::vector<SourceFile>& files,
                   compress::CodecChoice choice, std::size_t chunk_size_bytes) {
  const std::vector<Range> ranges = cut(files, chunk_size_bytes);
  Pass best = HAUL_TRY(run_pass(root, choice, chunk_size_bytes, ranges));
  for (int i = 1; i < kPasses; ++i) {
    const Pass pass = HAUL_TRY(run_pass(root, choice, chunk_size_bytes, ranges));
    best.seconds = std::min(best.seconds, pass.seconds);
    best.cpu_seconds = std::min(best.cpu_seconds, pass.cpu_seconds);
    best.measure.decoding = std::min(best.measure.decoding, pass.measure.decoding);
  }
  const auto raw = static_cast<double>(best.measure.raw_bytes);
  const std::string row = format(
      "| {} | {} KiB | {:.0f} | {:.3f} | {:.2f} | {:.0f} | {} |", to_string(choice),
      chunk_size_bytes >> 10, raw / best.seconds / 1e6,
      raw / static_cast<double>(best.measure.stored_bytes), best.cpu_seconds / (raw / (1 << 30)),
      static_cast<double>(best.measure.decoding.count()) / 1e3 /
          static_cast<double>(best.measure.chunks),
      best.measure.chunks);
  std::puts(row.c_str());
  std::fflush(stdout);
  return ok();
}

Status measure_all(const std::string& path, const std::vector<std::string>& codecs) {
  const std::unique_ptr<io::Directory> root = HAUL_TRY(io::open_posix_directory(path));
  std::vector<SourceFile> files;
  HAUL_TRY(collect(*root, "", files));
  std::puts("| codec | chunk | MB/s | ratio | CPU s/GiB | decode us/chunk | chunks |");
  std::puts("|---|---|---|---|---|---|---|");
  for (const std::string& codec : codecs) {
    const compress::CodecChoice choice = HAUL_TRY(compress::parse_codec_choice(codec));
    for (const std::size_t size : kChunkSizes) {
      HAUL_TRY(measure_row(*root, files, choice, size));
    }
  }
  return ok();
}

}  // namespace
}  // namespace haul

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: chunk_size DIRECTORY [CODEC...]\n");
    return 2;
  }
  std::vector<std::string> codecs(argv + 2, argv + argc);
  if (codecs.empty()) codecs = {"none", "lz4", "zstd:1"};
  const haul::Status status = haul::measure_all(argv[1], codecs);
  if (status) return 0;
  std::fprintf(stderr, "chunk_size: %s\n", status.error().message().c_str());
  return 1;
}
