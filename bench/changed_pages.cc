#include "bench/changed_pages.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "compress/digest.h"
#include "engine/postgres/file_grammar.h"

namespace haul::bench {
namespace {

using postgres::FileClass;

constexpr std::size_t kPageBytes = 8192;
constexpr std::size_t kChunkBytes = 32 * kPageBytes;
constexpr std::size_t kReadBytes = 4 << 20;

class Comparison {
 public:
  Comparison(io::Directory& before, io::Directory& after, compress::Compressor compressor)
      : before_(&before),
        after_(&after),
        compressor_(std::move(compressor)),
        old_(kReadBytes),
        new_(kReadBytes),
        compressed_(compress::compressed_size_max(kChunkBytes)) {
    chunk_.reserve(kChunkBytes);
  }

  Status compare_directory(const std::string& path) {
    for (const io::DirectoryEntry& entry : HAUL_TRY(after_->list(path))) {
      const std::string below = path.empty() ? entry.name : path + "/" + entry.name;
      const FileClass file_class = postgres::classify(below, entry.kind);
      if (file_class == FileClass::directory) HAUL_TRY(compare_directory(below));
      if (file_class == FileClass::relation || file_class == FileClass::opaque) {
        HAUL_TRY(compare_file(below));
      }
    }
    return ok();
  }

  Result<ChangedPages> finish() {
    HAUL_TRY(compress_chunk());
    return changed_;
  }

 private:
  Status compare_file(const std::string& path) {
    const auto now = HAUL_TRY(after_->open_file(path, io::Caching::buffered));
    auto earlier = before_->open_file(path, io::Caching::buffered);
    if (!earlier && earlier.error().code() != ErrorCode::not_found) return earlier.error();
    for (std::uint64_t offset = 0;; offset += kReadBytes) {
      const std::size_t size = HAUL_TRY(now->read_at(offset, new_));
      const std::size_t old_size = earlier ? HAUL_TRY((*earlier)->read_at(offset, old_)) : 0;
      HAUL_TRY(compare_pages({new_.data(), size}, {old_.data(), old_size}));
      if (size < kReadBytes) return ok();
    }
  }

  Status compare_pages(ByteSpan now, ByteSpan earlier) {
    for (std::size_t at = 0; at < now.size(); at += kPageBytes) {
      const ByteSpan page = now.subspan(at, std::min(kPageBytes, now.size() - at));
      if (compress::is_zero(page)) continue;
      const ByteSpan there = earlier.subspan(std::min(at, earlier.size()));
      const std::size_t there_bytes = std::min(kPageBytes, there.size());
      if (page.size() == there_bytes && std::memcmp(page.data(), there.data(), page.size()) == 0) {
        continue;
      }
      HAUL_TRY(gather(page));
    }
    return ok();
  }

  Status gather(ByteSpan page) {
    if (chunk_.size() + page.size() > kChunkBytes) HAUL_TRY(compress_chunk());
    chunk_.insert(chunk_.end(), page.begin(), page.end());
    ++changed_.pages;
    changed_.bytes += page.size();
    return ok();
  }

  Status compress_chunk() {
    if (chunk_.empty()) return ok();
    changed_.compressed_bytes += HAUL_TRY(compressor_.compress(chunk_, compressed_)).bytes.size();
    chunk_.clear();
    return ok();
  }

  io::Directory* before_;
  io::Directory* after_;
  compress::Compressor compressor_;
  std::vector<std::byte> old_;
  std::vector<std::byte> new_;
  std::vector<std::byte> chunk_;  // pages gathered, at most kChunkBytes
  std::vector<std::byte> compressed_;
  ChangedPages changed_;
};

}  // namespace

Result<ChangedPages> changed_pages(io::Directory& before, io::Directory& after,
                                   compress::CodecChoice codec) {
  Comparison comparison(before, after, HAUL_TRY(compress::Compressor::open(codec)));
  HAUL_TRY(comparison.compare_directory(""));
  return comparison.finish();
}

}  // namespace haul::bench
