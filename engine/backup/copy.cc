#include "engine/backup/copy.h"

#include <algorithm>
#include <mutex>

#include "base/format.h"
#include "engine/flow/workers.h"
#include "io/ring.h"

namespace haul::backup {

namespace {

using repository::ChunkId;
using repository::TreeEntry;

constexpr std::size_t kRegionsInFlight = 16;
constexpr std::size_t kReadThreads = 4;

// A file being copied; shared by the workers that read its leaves.
struct FileTask {
  const PlannedFile* planned = nullptr;
  TreeEntry entry;
  repository::FileShape shape;
  std::unique_ptr<io::File> file;
  std::vector<ChunkId> leaf_ids;
  std::atomic<std::uint64_t> leaves_left = 0;
};

// A leaf being copied; one worker's.
struct LeafTask {
  std::shared_ptr<FileTask> file;
  std::uint64_t leaf = 0;
  std::vector<ChunkId> regions;  // handed on when the leaf is finished
  std::size_t regions_to_submit = 0;
  std::size_t regions_left = 0;

  std::uint64_t region_offset(std::size_t region) const {
    return leaf * file->shape.leaf_bytes() + region * file->shape.region_bytes();
  }
  std::size_t region_size(std::size_t region) const {
    return static_cast<std::size_t>(
        std::min(file->shape.region_bytes(), file->shape.size_bytes - region_offset(region)));
  }
};

// Hands out leaves in file order and gathers what was finished.
class Dispatcher {
 public:
  Dispatcher(const CopyContext& context, const SourcePlan& plan) : context_(context), plan_(plan) {}

  // The next leaf; null when there is none.
  Result<std::shared_ptr<LeafTask>> next() {
    const std::scoped_lock lock(mutex_);
    while (!current_ || next_leaf_ == current_->shape.leaves()) {
      if (next_file_ == plan_.files.size()) return std::shared_ptr<LeafTask>();
      HAUL_TRY(open_next_file());
    }
    auto leaf = std::make_shared<LeafTask>();
    leaf->file = current_;
    leaf->leaf = next_leaf_++;
    const std::uint64_t bytes = current_->shape.leaf_size(leaf->leaf);
    leaf->regions.resize((bytes + current_->shape.region_bytes() - 1) /
                         current_->shape.region_bytes());
    leaf->regions_to_submit = leaf->regions_left = leaf->regions.size();
    return leaf;
  }

  void finish_file(FileTask& file) {
    const std::scoped_lock lock(mutex_);
    result_.entries.push_back(std::move(file.entry));
  }

  void finish_worker(const PageCheckResult& pages, std::uint64_t hole_bytes,
                     std::string_view backend) {
    const std::scoped_lock lock(mutex_);
    result_.pages.bad_pages.insert(result_.pages.bad_pages.end(), pages.bad_pages.begin(),
                                   pages.bad_pages.end());
    result_.pages.reread_pages += pages.reread_pages;
    result_.hole_bytes += hole_bytes;
    result_.io_backend = backend;
  }

  CopyResult take_result() { return std::move(result_); }

 private:
  // Leaves current_ empty when the file has vanished or holds nothing.
  Status open_next_file() {
    current_.reset();
    next_leaf_ = 0;
    const PlannedFile& planned = plan_.files[next_file_++];
    auto file = context_.source->open_file(planned.path);
    if (!file) return vanished(planned, std::move(file).take_error());
    const io::FileInfo info = HAUL_TRY((*file)->info());

    auto task = std::make_shared<FileTask>();
    task->planned = &planned;
    task->file = std::move(file).take();
    task->shape = {info.size_bytes, context_.pages.page_size_bytes,
                   context_.writer->cluster().parameters.chunk_pages};
    task->entry.path = planned.path;
    task->entry.mode = info.mode;
    task->entry.user = info.user;
    task->entry.group = info.group;
    task->entry.size_bytes = info.size_bytes;
    task->entry.page_size_bytes = context_.pages.page_size_bytes;
    // What was planned by an old size counts by the present one from here on.
    context_.progress->bytes_total += info.size_bytes - planned.size_hint_bytes;
    result_.source_bytes += info.size_bytes;
    if (info.size_bytes == 0) {
      result_.entries.push_back(std::move(task->entry));
      return ok();
    }
    task->leaf_ids.resize(task->shape.leaves());
    task->leaves_left = task->shape.leaves();
    current_ = std::move(task);
    return ok();
  }

  Status vanished(const PlannedFile& planned, Error error) {
    if (error.code() != ErrorCode::not_found) return error;
    context_.progress->bytes_total -= planned.size_hint_bytes;
    switch (postgres::vanishing(planned.path)) {
      case postgres::Vanishing::tolerated: ++result_.files_vanished; return ok();
      case postgres::Vanishing::with_directory:
        result_.vanished_with_directory.push_back(planned.path);
        ++result_.files_vanished;
        return ok();
      case postgres::Vanishing::never: break;
    }
    return std::move(error).with_context("the data directory lost a file that cannot vanish");
  }

  const CopyContext& context_;
  const SourcePlan& plan_;
  std::mutex mutex_;  // guards everything below
  std::size_t next_file_ = 0;
  std::uint64_t next_leaf_ = 0;
  std::shared_ptr<FileTask> current_;
  CopyResult result_;
};

class Worker {
 public:
  Worker(const CopyContext& context, Dispatcher& dispatcher, repository::ChunkEncoder encoder,
         std::stop_token stop)
      : context_(context),
        dispatcher_(dispatcher),
        encoder_(std::move(encoder)),
        stop_(std::move(stop)),
        data_(*context.writer),
        checker_(context.pages, *context.clock),
        slots_(kRegionsInFlight),
        ring_(io::make_thread_ring(kRegionsInFlight, kReadThreads)) {
    const std::size_t region_bytes = std::size_t{context.pages.page_size_bytes} *
                                     context.writer->cluster().parameters.chunk_pages;
    for (Slot& slot : slots_) slot.buffer = io::AlignedBuffer(region_bytes);
    for (std::size_t i = 0; i < slots_.size(); ++i) free_.push_back(i);
  }

  Status run() {
    for (;;) {
      if (stop_.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
      HAUL_TRY(context_.health());
      HAUL_TRY(fill_ring());
      if (ring_->in_flight() == 0) break;
      for (io::RingCompletion& completion : ring_->wait()) HAUL_TRY(complete(completion));
    }
    HAUL_TRY(data_.close());
    dispatcher_.finish_worker(pages_, hole_bytes_, ring_->backend());
    return ok();
  }

 private:
  struct Slot {
    io::AlignedBuffer buffer;
    std::shared_ptr<LeafTask> leaf;
    std::size_t region = 0;
  };

  Status fill_ring() {
    while (!free_.empty()) {
      if (!leaf_ || leaf_->regions_to_submit == 0) {
        leaf_ = HAUL_TRY(dispatcher_.next());
        if (!leaf_) return ok();
      }
      const std::size_t number = free_.back();
      free_.pop_back();
      Slot& slot = slots_[number];
      slot.leaf = leaf_;
      slot.region = leaf_->regions.size() - leaf_->regions_to_submit--;
      io::RingOperation read;
      read.file = leaf_->file->file.get();
      read.offset = leaf_->region_offset(slot.region);
      // Whole blocks, as direct reads demand; what lies past the recorded size is ignored.
      const std::size_t size = leaf_->region_size(slot.region);
      read.bytes = slot.buffer.bytes().first((size + io::kDirectAlignment - 1) /
                                             io::kDirectAlignment * io::kDirectAlignment);
      read.tag = number;
      ring_->submit(read);
    }
    return ok();
  }

  Status complete(io::RingCompletion& completion) {
    Slot& slot = slots_[completion.tag];
    const std::shared_ptr<LeafTask> leaf = std::move(slot.leaf);
    FileTask& file = *leaf->file;
    const std::size_t got = HAUL_TRY(std::move(completion.outcome));
    const MutableByteSpan bytes = slot.buffer.bytes().first(leaf->region_size(slot.region));
    // The file was truncated after its size was taken: zeros stand for what replay removes anyway.
    if (got < bytes.size()) std::ranges::fill(bytes.subspan(got), std::byte{0});
    if (file.planned->relation) HAUL_TRY(check_pages(*leaf, slot.region, bytes));

    const ChunkId id = HAUL_TRY(store_region(bytes, file.shape.page_size_bytes, *context_.writer,
                                             encoder_, data_, digests_));
    if (id.is_zero()) hole_bytes_ += bytes.size();
    leaf->regions[slot.region] = id;
    context_.progress->bytes_done += bytes.size();
    free_.push_back(completion.tag);
    if (--leaf->regions_left == 0) HAUL_TRY(finish_leaf(*leaf));
    return ok();
  }

  Status check_pages(LeafTask& leaf, std::size_t region, MutableByteSpan bytes) {
    PageChecker::Region where;
    where.file = leaf.file->file.get();
    where.path = &leaf.file->planned->path;
    where.offset = leaf.region_offset(region);
    where.first_block = leaf.file->planned->first_block +
                        static_cast<std::uint32_t>(where.offset / leaf.file->shape.page_size_bytes);
    where.bytes = bytes;
    return checker_.check(where, pages_);
  }

  Status finish_leaf(LeafTask& leaf) {
    FileTask& file = *leaf.file;
    if (file.shape.inlined()) {
      file.entry.content = repository::ContentKind::inlined;
      file.entry.ids = std::move(leaf.regions);
    } else {
      file.leaf_ids[leaf.leaf] = HAUL_TRY(repository::store_leaf(
          leaf.regions, file.shape, leaf.leaf, encoder_, *context_.metadata));
    }
    if (--file.leaves_left > 0) return ok();
    if (!file.shape.inlined()) {
      HAUL_TRY(repository::finish_map(std::move(file.leaf_ids), file.entry, encoder_,
                                      *context_.metadata));
    }
    HAUL_TRY(file.file->finish());
    dispatcher_.finish_file(file);
    return ok();
  }

  const CopyContext& context_;
  Dispatcher& dispatcher_;
  repository::ChunkEncoder encoder_;
  const std::stop_token stop_;
  repository::PackStream data_;
  PageChecker checker_;
  PageCheckResult pages_;
  std::uint64_t hole_bytes_ = 0;
  std::vector<repository::Digest> digests_;
  std::shared_ptr<LeafTask> leaf_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_;
  std::unique_ptr<io::Ring> ring_;  // last: it waits for reads into slots_ before they go
};

}  // namespace

Result<CopyResult> copy_files(const CopyContext& context, const SourcePlan& plan) {
  Dispatcher dispatcher(context, plan);
  flow::FirstError first_error(context.stop);
  HAUL_TRY(flow::run_workers(context.workers, first_error, [&](std::size_t) -> Status {
    auto encoder = HAUL_TRY(repository::ChunkEncoder::open(*context.writer, context.codec));
    return Worker(context, dispatcher, std::move(encoder), first_error.stop_token()).run();
  }));
  return dispatcher.take_result();
}

}  // namespace haul::backup
