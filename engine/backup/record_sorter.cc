#include "engine/backup/record_sorter.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "base/format.h"
#include "compress/checksum.h"
#include "engine/repository/byte_io.h"

namespace haul::backup {

namespace {

using repository::ByteReader;
using repository::ByteWriter;

// What a run is written, read and checked by: checksum of the rest, bytes used, then records, each
// with its length in front.
constexpr std::size_t kBlockBytes = 64 * 1024;
constexpr std::size_t kBlockHeaderBytes = sizeof(compress::Checksum) + 4;
constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kMergeWaysMax = 64;

static_assert(kSorterRecordMax + kLengthBytes <= kBlockBytes - kBlockHeaderBytes);
static_assert(kSorterMemoryMin >= 4 * kBlockBytes);

bool less(ByteSpan left, ByteSpan right) {
  const int order = std::memcmp(left.data(), right.data(), std::min(left.size(), right.size()));
  return order != 0 ? order < 0 : left.size() < right.size();
}

// Records that fit into memory. They grow from the front of one allocation, the index of where they
// begin from its back, so that no growing array is ever copied; pages that are not reached stay
// untouched.
class Arena {
 public:
  explicit Arena(std::size_t size_bytes)
      : words_(std::make_unique_for_overwrite<std::uint32_t[]>(size_bytes / kWordBytes)),
        words_count_(size_bytes / kWordBytes),
        first_(words_count_) {}

  // False when there is no room.
  bool add(ByteSpan record) {
    const std::size_t needed = 1 + (record.size() + kWordBytes - 1) / kWordBytes;
    if (needed + 1 > first_ - used_) return false;
    words_[used_] = static_cast<std::uint32_t>(record.size());
    if (!record.empty()) std::memcpy(&words_[used_ + 1], record.data(), record.size());
    words_[--first_] = static_cast<std::uint32_t>(used_);
    used_ += needed;
    return true;
  }

  void sort() {
    std::sort(words_.get() + first_, words_.get() + words_count_,
              [this](std::uint32_t a, std::uint32_t b) { return less(at(a), at(b)); });
  }

  // After sort(): takes the first of those that are left.
  std::optional<ByteSpan> take() {
    if (first_ == words_count_) return std::nullopt;
    return at(words_[first_++]);
  }

  std::size_t memory_bytes() const { return (used_ + words_count_ - first_) * kWordBytes; }

 private:
  static constexpr std::size_t kWordBytes = sizeof(std::uint32_t);

  ByteSpan at(std::uint32_t start) const {
    return {reinterpret_cast<const std::byte*>(&words_[start + 1]), words_[start]};
  }

  std::unique_ptr<std::uint32_t[]> words_;
  std::size_t words_count_;
  std::size_t used_ = 0;  // words from the front
  std::size_t first_;     // of the index
};

// A file of sorted records; gone when it is destroyed.
struct Run {
  std::unique_ptr<io::File> file;
  std::uint64_t blocks = 0;
};

class RunWriter {
 public:
  explicit RunWriter(std::unique_ptr<io::File> file) {
    run_.file = std::move(file);
    block_.zeros(kBlockHeaderBytes);
  }

  Status add(ByteSpan record) {
    if (block_.size() + kLengthBytes + record.size() > kBlockBytes) HAUL_TRY(end_block());
    block_.u32(static_cast<std::uint32_t>(record.size()));
    block_.bytes(record);
    return ok();
  }

  Result<Run> finish() {
    HAUL_TRY(end_block());
    return std::move(run_);
  }

 private:
  Status end_block() {
    ByteWriter header;
    header.u32(static_cast<std::uint32_t>(block_.size()));
    block_.patch(sizeof(compress::Checksum), header.view());
    block_.pad_to_multiple_of(kBlockBytes);
    block_.patch(0, compress::checksum(block_.view().subspan(sizeof(compress::Checksum))).bytes);
    HAUL_TRY(run_.file->write_at(run_.blocks * kBlockBytes, block_.view()));
    ++run_.blocks;
    block_.clear();
    block_.zeros(kBlockHeaderBytes);
    return ok();
  }

  Run run_;
  ByteWriter block_;
};

class RunReader {
 public:
  explicit RunReader(Run run) : run_(std::move(run)), block_(kBlockBytes) {}

  // The record that was read last.
  ByteSpan record() const { return record_; }

  // False after the last record.
  Result<bool> advance() {
    while (records_.remaining() == 0) {
      if (next_block_ == run_.blocks) return false;
      HAUL_TRY(read_block());
    }
    record_ = records_.bytes(records_.u32());
    if (!records_.ok()) return damaged();
    return true;
  }

 private:
  Status read_block() {
    const std::size_t count = HAUL_TRY(run_.file->read_at(next_block_ * kBlockBytes, block_));
    ByteReader in(block_);
    const compress::Checksum sum{in.array<sizeof(compress::Checksum)>()};
    const std::size_t used = in.u32();
    const ByteSpan checked = ByteSpan(block_).subspan(sizeof sum);
    if (count != kBlockBytes || sum != compress::checksum(checked) || used < kBlockHeaderBytes ||
        used > kBlockBytes) {
      return damaged();
    }
    records_ = ByteReader(ByteSpan(block_).first(used).subspan(kBlockHeaderBytes));
    ++next_block_;
    return ok();
  }

  static Error damaged() {
    return {ErrorCode::io, "a temporary file does not read back as it was written"};
  }

  Run run_;
  std::vector<std::byte> block_;
  ByteReader records_{ByteSpan()};
  ByteSpan record_;
  std::uint64_t next_block_ = 0;
};

// Several runs as one.
class Merge {
 public:
  static Result<Merge> open(std::vector<Run> runs) {
    Merge merge;
    for (Run& run : runs) {
      auto reader = std::make_unique<RunReader>(std::move(run));
      if (HAUL_TRY(reader->advance())) merge.heap_.push_back(std::move(reader));
    }
    std::ranges::make_heap(merge.heap_, after);
    return merge;
  }

  Result<std::optional<ByteSpan>> next() {
    // The record handed out last lies in the block of the run at the front: only now may it move.
    if (handed_out_) HAUL_TRY(advance_front());
    handed_out_ = !heap_.empty();
    if (heap_.empty()) return std::nullopt;
    return std::optional<ByteSpan>(heap_.front()->record());
  }

  std::size_t memory_bytes() const { return heap_.size() * kBlockBytes; }

 private:
  using Reader = std::unique_ptr<RunReader>;

  static bool after(const Reader& left, const Reader& right) {
    return less(right->record(), left->record());
  }

  Status advance_front() {
    std::ranges::pop_heap(heap_, after);
    if (!HAUL_TRY(heap_.back()->advance())) {
      heap_.pop_back();
      return ok();
    }
    std::ranges::push_heap(heap_, after);
    return ok();
  }

  std::vector<Reader> heap_;  // the run with the least record at the front
  bool handed_out_ = false;
};

}  // namespace

class RecordSorter::Work {
 public:
  explicit Work(SorterOptions options) : options_(std::move(options)) {
    HAUL_ASSERT(options_.spool && options_.memory_bytes >= kSorterMemoryMin &&
                options_.memory_bytes <= std::size_t{4} << 30);
  }

  Status add(ByteSpan record) {
    HAUL_ASSERT(record.size() <= kSorterRecordMax && !finished_);
    if (!arena_) arena_.emplace(options_.memory_bytes);
    if (arena_->add(record)) return ok();
    HAUL_TRY(explained(spill()));
    arena_.emplace(options_.memory_bytes);
    const bool added = arena_->add(record);
    HAUL_ASSERT(added);
    return ok();
  }

  Status finish() {
    HAUL_ASSERT(!finished_);
    finished_ = true;
    if (levels_.empty()) {
      if (arena_) arena_->sort();
      return ok();
    }
    return explained(open_merge());
  }

  Result<std::optional<ByteSpan>> next() {
    HAUL_ASSERT(finished_);
    if (merge_) return explained(merge_->next());
    return arena_ ? arena_->take() : std::nullopt;
  }

  std::size_t memory_bytes() const {
    if (merge_) return merge_->memory_bytes();
    return arena_ ? arena_->memory_bytes() : 0;
  }

 private:
  // More runs at once than the memory has blocks for are merged in steps.
  std::size_t merge_ways() const {
    return std::min(options_.memory_bytes / kBlockBytes, kMergeWaysMax);
  }

  Status open_merge() {
    if (arena_) HAUL_TRY(spill());
    std::vector<Run> runs;
    for (std::vector<Run>& level : levels_) {
      for (Run& run : level) runs.push_back(std::move(run));
    }
    levels_.clear();
    // The short runs are in front.
    while (runs.size() > merge_ways()) {
      const auto end = runs.begin() + static_cast<std::ptrdiff_t>(merge_ways());
      std::vector<Run> merged(std::make_move_iterator(runs.begin()), std::make_move_iterator(end));
      runs.erase(runs.begin(), end);
      runs.push_back(HAUL_TRY(merge_runs(std::move(merged))));
    }
    merge_.emplace(HAUL_TRY(Merge::open(std::move(runs))));
    return ok();
  }

  // Writes what is in memory to a run, and gives the memory back.
  Status spill() {
    arena_->sort();
    Run run =
        HAUL_TRY(write_run([this]() -> Result<std::optional<ByteSpan>> { return arena_->take(); }));
    arena_.reset();
    return push_run(std::move(run));
  }

  Status push_run(Run run) {
    for (std::size_t level = 0;; ++level) {
      if (levels_.size() == level) levels_.emplace_back();
      levels_[level].push_back(std::move(run));
      if (levels_[level].size() < merge_ways()) return ok();
      run = HAUL_TRY(merge_runs(std::exchange(levels_[level], {})));
    }
  }

  Result<Run> merge_runs(std::vector<Run> runs) {
    Merge merge = HAUL_TRY(Merge::open(std::move(runs)));
    return write_run([&merge] { return merge.next(); });
  }

  Result<Run> write_run(const std::function<Result<std::optional<ByteSpan>>()>& next) {
    if (!spool_) spool_ = HAUL_TRY(options_.spool());
    RunWriter writer(HAUL_TRY(spool_->create_temporary("", io::Caching::buffered)));
    for (;;) {
      const std::optional<ByteSpan> record = HAUL_TRY(next());
      if (!record) return writer.finish();
      HAUL_TRY(writer.add(*record));
    }
  }

  // The user did not name the spool in this command, and may not know what it is for.
  template <typename T>
  Result<T> explained(Result<T> result) const {
    if (result || !spool_) return result;
    Error error = std::move(result).take_error().with_context(
        format("cannot sort the list of files in {}", spool_->name()));
    if (error.code() != ErrorCode::no_space) return error;
    return std::move(error).with_hint(
        "make room there, or name another directory for temporary files");
  }

  const SorterOptions options_;
  bool finished_ = false;
  std::optional<Arena> arena_;  // absent before the first record and when all was spilled
  std::unique_ptr<io::Directory> spool_;
  // Runs of one level are merged into one of the next when there are as many as a merge takes, so
  // that neither open files nor the work per record grow faster than the logarithm.
  std::vector<std::vector<Run>> levels_;
  std::optional<Merge> merge_;
};

RecordSorter::RecordSorter(SorterOptions options)
    : work_(std::make_unique<Work>(std::move(options))) {}
RecordSorter::~RecordSorter() = default;
RecordSorter::RecordSorter(RecordSorter&&) noexcept = default;
RecordSorter& RecordSorter::operator=(RecordSorter&&) noexcept = default;

Status RecordSorter::add(ByteSpan record) { return work_->add(record); }
Status RecordSorter::finish() { return work_->finish(); }
Result<std::optional<ByteSpan>> RecordSorter::next() { return work_->next(); }
std::size_t RecordSorter::memory_bytes() const { return work_->memory_bytes(); }

}  // namespace haul::backup
