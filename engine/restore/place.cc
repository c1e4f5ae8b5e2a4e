#include "engine/restore/place.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <unordered_set>

#include "base/format.h"
#include "engine/flow/workers.h"
#include "engine/restore/leaf.h"
#include "io/aligned_buffer.h"

namespace haul::restore {

using postgres::Crc32cPiece;
using repository::FileMapReader;
using repository::MapLeaf;
using repository::TreeEntry;

namespace {

// Smaller files go through the page cache: a direct write each would wait for the device.
constexpr std::uint64_t kDirectSizeMinBytes = 1 << 20;

// One file that is being placed.
struct FileJob {
  FileJob(std::size_t file_number, FileMapReader reader, std::unique_ptr<io::File> output)
      : number(file_number),
        map(std::move(reader)),
        file(std::move(output)),
        pieces(map.shape().leaves()),
        leaves_left(pieces.size()) {}

  const std::size_t number;
  const FileMapReader map;
  const std::unique_ptr<io::File> file;  // null when nothing is written
  std::vector<Crc32cPiece> pieces;       // each written by the one worker that has the leaf
  std::atomic<std::uint64_t> leaves_left;
  std::uint64_t next_leaf = 1;  // guarded by the queue; the opener takes leaf 0
};

// What a worker does next: a file to open, or a leaf of an open one.
struct WorkUnit {
  std::size_t file = 0;
  std::shared_ptr<FileJob> job;
  std::uint64_t leaf = 0;
};

// Leaves of open files go first, so that no more files are open than there are workers.
class WorkQueue {
 public:
  explicit WorkQueue(std::size_t files) : files_(files) {}

  // Blocks while others may still bring work; nothing when all is taken or `stop` was requested.
  std::optional<WorkUnit> next(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    const bool ready = changed_.wait(
        lock, stop, [this] { return !open_.empty() || next_file_ < files_ || opening_ == 0; });
    if (!ready || stop.stop_requested()) return std::nullopt;
    if (!open_.empty()) {
      const std::shared_ptr<FileJob> job = open_.front();
      const std::uint64_t leaf = job->next_leaf++;
      if (job->next_leaf == job->pieces.size()) open_.pop_front();
      return WorkUnit{job->number, job, leaf};
    }
    if (next_file_ == files_) return std::nullopt;
    ++opening_;
    return WorkUnit{next_file_++, nullptr, 0};
  }

  // Every file that next() handed out comes back here; with leaves beyond the first, or null.
  void opened(const std::shared_ptr<FileJob>& job) {
    {
      const std::scoped_lock lock(mutex_);
      --opening_;
      if (job != nullptr && job->pieces.size() > 1) open_.push_back(job);
    }
    changed_.notify_all();
  }

 private:
  const std::size_t files_;
  std::mutex mutex_;  // guards everything below, and next_leaf of jobs
  std::condition_variable_any changed_;
  std::deque<std::shared_ptr<FileJob>> open_;
  std::size_t next_file_ = 0;
  std::size_t opening_ = 0;
};

class Placer {
 public:
  Placer(const RestorePlan& plan, const PlaceContext& context)
      : plan_(plan),
        context_(context),
        cache_(*context.chunks),
        queue_(plan.files.size()),
        surveying_(context.target == nullptr) {
    result_.crcs.resize(plan.files.size());
  }

  Result<PlaceResult> run() {
    flow::FirstError first_error(context_.stop);
    HAUL_TRY(flow::run_workers(context_.workers, first_error,
                               [&](std::size_t) { return work(first_error.stop_token()); }));
    std::ranges::sort(result_.lost_files);
    return std::move(result_);
  }

 private:
  Status work(const std::stop_token& stop) {
    io::AlignedBuffer buffer(largest_leaf_bytes());
    while (std::optional<WorkUnit> unit = queue_.next(stop)) {
      std::shared_ptr<FileJob> job = unit->job;
      if (job == nullptr) {
        job = HAUL_TRY(open_job(unit->file));
        queue_.opened(job);
        if (job == nullptr) continue;
        if (job->pieces.empty()) {
          HAUL_TRY(finish(*job));
          continue;
        }
      }
      HAUL_TRY(place_leaf(*job, unit->leaf, buffer.bytes()));
    }
    return ok();
  }

  std::size_t largest_leaf_bytes() const {
    std::uint64_t largest = io::kDirectAlignment;
    for (const TreeEntry& entry : plan_.files) {
      const std::uint64_t leaf = std::uint64_t{entry.page_size_bytes} * repository::kLeafPages;
      largest = std::max(largest, std::min(leaf, entry.size_bytes));
    }
    return (largest + io::kDirectAlignment - 1) / io::kDirectAlignment * io::kDirectAlignment;
  }

  // Null when the file is lost.
  Result<std::shared_ptr<FileJob>> open_job(std::size_t number) {
    const TreeEntry& entry = plan_.files[number];
    auto map = FileMapReader::open(*context_.chunks, entry);
    if (!map) {
      HAUL_TRY(note_lost(entry, std::move(map).take_error()));
      return std::shared_ptr<FileJob>();
    }
    std::unique_ptr<io::File> file;
    if (!surveying_) {
      const auto caching =
          entry.size_bytes < kDirectSizeMinBytes ? io::Caching::buffered : io::Caching::direct;
      file = HAUL_TRY(context_.target->create_file(entry.path, entry.mode, caching));
    }
    return std::make_shared<FileJob>(number, std::move(map).take(), std::move(file));
  }

  Status place_leaf(FileJob& job, std::uint64_t leaf, MutableByteSpan buffer) {
    Status copied = copy_leaf(job, leaf, buffer);
    if (!copied) {
      HAUL_TRY(note_lost(plan_.files[job.number], std::move(copied).take_error()));
    }
    if (context_.progress != nullptr) {
      context_.progress->bytes_done += job.map.shape().leaf_size(leaf);
    }
    if (job.leaves_left.fetch_sub(1) > 1) return ok();
    return finish(job);
  }

  // `corrupt` says that the leaf is lost; errors of the target have other codes.
  Status copy_leaf(FileJob& job, std::uint64_t leaf, MutableByteSpan buffer) {
    const MapLeaf map = HAUL_TRY(job.map.read_leaf(leaf));
    const LeafShape shape = leaf_shape(job.map.shape(), leaf);
    if (map.chunks.empty()) {
      job.pieces[leaf] = crc32c_of_zeros(shape.size_bytes);
      return ok();
    }
    const MutableByteSpan bytes = buffer.first(shape.size_bytes);
    HAUL_TRY(assemble_leaf(map, shape, cache_, bytes));
    job.pieces[leaf] = {postgres::crc32c(bytes), shape.size_bytes};
    if (job.file == nullptr || surveying_) return ok();
    // A direct write ends at a multiple of its alignment; finish() cuts off what is too much.
    const std::size_t padded =
        (bytes.size() + io::kDirectAlignment - 1) / io::kDirectAlignment * io::kDirectAlignment;
    std::ranges::fill(buffer.first(padded).subspan(bytes.size()), std::byte{0});
    const std::uint64_t start = leaf * job.map.shape().leaf_bytes();
    for (const ByteRange& range : written_ranges(map, shape)) {
      HAUL_TRY(
          job.file->write_at(start + range.offset, buffer.subspan(range.offset, range.size_bytes)));
    }
    return ok();
  }

  Status finish(FileJob& job) {
    Crc32cPiece whole;
    for (const Crc32cPiece& piece : job.pieces) whole = postgres::combine(whole, piece);
    result_.crcs[job.number] = whole.crc;
    if (job.file == nullptr || surveying_) return ok();
    HAUL_TRY(job.file->resize(plan_.files[job.number].size_bytes));
    return context_.target->finish_file(*job.file);
  }

  // Passes on any error that is no damage.
  Status note_lost(const TreeEntry& entry, Error error) {
    if (error.code() != ErrorCode::corrupt) {
      return std::move(error).with_context(format("cannot restore {}", entry.path));
    }
    surveying_ = true;
    const std::scoped_lock lock(mutex_);
    if (!lost_.insert(&entry).second) return ok();
    ++result_.lost_file_count;
    if (result_.lost_files.size() < PlaceResult::kLostFilesMax) {
      result_.lost_files.push_back(entry.path);
    }
    return ok();
  }

  const RestorePlan& plan_;
  const PlaceContext& context_;
  ChunkCache cache_;
  WorkQueue queue_;
  // From the first loss on nothing is written any more.
  std::atomic<bool> surveying_;
  std::mutex mutex_;  // guards lost_, and the lost files of result_
  std::unordered_set<const TreeEntry*> lost_;
  PlaceResult result_;  // crcs: each written by the one worker that finishes the file
};

}  // namespace

Status place_directories(const RestorePlan& plan, Target& target) {
  for (const TreeEntry& entry : plan.directories) {
    HAUL_TRY(target.make_directory(entry.path, entry.mode));
  }
  return ok();
}

Result<PlaceResult> place_files(const RestorePlan& plan, const PlaceContext& context) {
  return Placer(plan, context).run();
}

}  // namespace haul::restore
