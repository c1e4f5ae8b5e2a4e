#include "engine/backup/copy.h"

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <optional>
#include <thread>
#include <utility>

#include "engine/backup/collector.h"
#include "engine/backup/copy_batch.h"
#include "engine/backup/leaf_work.h"
#include "engine/backup/source_reader.h"
#include "engine/flow/arena.h"
#include "engine/flow/channel.h"

namespace haul::backup {

namespace {

// Some 32 reads of 1 MiB keep a device busy; the rest is on its way through the other stages.
constexpr std::size_t kBatchesMin = 6;
constexpr std::size_t kBatchesMax = 16;
constexpr std::size_t kReadMemoryBytes = 64 * 1024 * 1024;
constexpr std::size_t kPlannedFilesMax = 4096;
constexpr std::size_t kUnreadFilesMax = 256;
constexpr std::size_t kSecondLookThreads = 4;
constexpr std::size_t kParentThreads = 2;
// Packs that wait for their sync.
constexpr std::size_t kFullPacksMax = 2;

// What reaches the collector.
struct Collected {
  CopyBatch* batch = nullptr;
  std::shared_ptr<CopiedFile> unread_file;
  // The reader is done and has handed on so much.
  std::optional<std::uint64_t> all;
};

class Copy {
 public:
  Copy(const CopyContext& context, LeafWork work, repository::ChunkEncoder map_encoder,
       const ChangePace& pace)
      : context_(context),
        first_error_(context.stop),
        work_(std::move(work)),
        pace_(pace),
        planned_(kPlannedFilesMax, first_error_.stop_token()),
        collected_(kUnreadFilesMax, first_error_.stop_token()),
        parents_(kBatchesMax, first_error_.stop_token()),
        suspects_(kBatchesMax, first_error_.stop_token()),
        full_packs_(kFullPacksMax, first_error_.stop_token()),
        data_(*context.writer, repository::PackStream::WhenFull::hand_out),
        delta_(*context.writer, repository::PackStream::WhenFull::hand_out) {
    do {
      batches_.push_back(std::make_unique<CopyBatch>(page_size_bytes()));
    } while (batches_.size() < kBatchesMin ||
             (batches_.size() < kBatchesMax &&
              batches_.size() * batches_.front()->memory().size() < kReadMemoryBytes));
    reader_.emplace(reader_context());
    collector_.emplace(collector_context(), std::move(map_encoder));
    arena_.emplace(context.workers, first_error_);
  }

  Result<CopyResult> run();

 private:
  std::uint32_t page_size_bytes() const { return context_.pages.page_size_bytes; }
  SourceReader::Context reader_context();
  Collector::Context collector_context();

  Status plan();
  bool is_as_before(const PlannedFile& file) const;
  Status keep(const PlannedFile& file);
  Status read();
  Status look_up_parents();
  Status look_again(PageCheckResult& result);
  Status finish_packs();
  Status collect();

  void check_and_digest(CopyBatch* batch);
  // A stage of the workers, after which the batch is the collector's.
  using Stage = Status (LeafWork::*)(std::size_t worker, CopyBatch& batch);
  void start(Stage stage, CopyBatch* batch);
  Status compute(Stage stage, std::size_t worker, CopyBatch* batch);

  const CopyContext& context_;
  flow::FirstError first_error_;
  LeafWork work_;
  const ChangePace& pace_;
  std::vector<std::unique_ptr<CopyBatch>> batches_;
  flow::Channel<PlannedFile> planned_;
  flow::Channel<Collected> collected_;
  flow::Channel<CopyBatch*> parents_;
  flow::Channel<CopyBatch*> suspects_;
  flow::Channel<repository::PackWriter> full_packs_;
  repository::PackStream data_;
  repository::PackStream delta_;
  std::optional<SourceReader> reader_;
  std::optional<Collector> collector_;
  std::optional<SourceReader::Result> read_;
  std::uint64_t files_kept_ = 0;  // without being opened
  std::array<PageCheckResult, kSecondLookThreads> looked_;
  std::optional<flow::Arena> arena_;  // last: its tasks use all of the above
};

SourceReader::Context Copy::reader_context() {
  SourceReader::Context reader;
  reader.source = context_.source;
  reader.page_size_bytes = page_size_bytes();
  reader.chunk_pages = context_.writer->cluster().parameters.chunk_pages;
  reader.planned = &planned_;
  reader.batches = &batches_;
  reader.rings = context_.rings;
  reader.bytes_per_second = context_.bytes_per_second;
  reader.clock = context_.clock;
  reader.stop = first_error_.stop_token();
  reader.progress = context_.progress;
  reader.look_up = [this](CopyBatch* batch) { parents_.push_now(batch); };
  reader.batch_read = [this](CopyBatch* batch) { check_and_digest(batch); };
  reader.unread_file = [this](std::shared_ptr<CopiedFile> file) {
    collected_.push({nullptr, std::move(file), std::nullopt});
  };
  return reader;
}

Collector::Context Copy::collector_context() {
  Collector::Context collector;
  collector.writer = context_.writer;
  collector.data = &data_;
  collector.delta = &delta_;
  collector.metadata = context_.metadata;
  collector.finish_pack = [this](repository::PackWriter pack) -> Status {
    if (full_packs_.push(std::move(pack))) return ok();
    return Error(ErrorCode::interrupted, "interrupted");
  };
  collector.add_entry = context_.add_entry;
  collector.progress = context_.progress;
  return collector;
}

Status Copy::plan() {
  HAUL_TRY(context_.plan([this](PlannedFile file) -> Status {
    if (context_.parent != nullptr) file.parent = HAUL_TRY(context_.parent->find(file.path));
    const bool whole_pages =
        file.parent != nullptr && file.parent->shape().size_bytes % page_size_bytes() == 0;
    if (context_.changes != nullptr && whole_pages) {
      file.selection = context_.changes->select(file.path, file.first_block, file.info.modified_ns);
      if (is_as_before(file)) return keep(file);
    }
    if (!planned_.push(std::move(file))) return Error(ErrorCode::interrupted, "interrupted");
    reader_->wake();
    return ok();
  }));
  planned_.close();
  reader_->wake();
  return ok();
}

// Nothing of it has to be read.
bool Copy::is_as_before(const PlannedFile& file) const {
  if (!file.selection || file.info.size_bytes != file.parent->shape().size_bytes) return false;
  return std::ranges::count(kept_leaves(file, file.parent->shape()), false) == 0;
}

Status Copy::keep(const PlannedFile& file) {
  repository::TreeEntry entry = file.parent->entry();
  entry.mode = file.info.mode;
  entry.user = file.info.user;
  entry.group = file.info.group;
  context_.progress->bytes_done += entry.size_bytes;
  ++files_kept_;
  return context_.add_entry(entry);
}

Status Copy::read() {
  read_ = HAUL_TRY(reader_->run());
  collected_.push({nullptr, nullptr, read_->handed_on});
  return ok();
}

Status Copy::look_up_parents() {
  while (const auto batch = parents_.pop()) {
    for (CopiedLeaf& leaf : (*batch)->leaves) {
      const repository::ParentMap* const parent = leaf.file->planned.parent.get();
      // Pages of another size are other pages.
      if (parent == nullptr || parent->shape().page_size_bytes != page_size_bytes()) continue;
      leaf.parent = HAUL_TRY(context_.parent->read_leaf(*parent, leaf.number));
      if (leaf.parent && leaf.file->planned.selection) {
        select_pages(leaf, *leaf.file->planned.selection,
                     context_.writer->cluster().parameters.chunk_pages, pace_);
      }
    }
    reader_->looked_up(*batch);
  }
  return ok();
}

void Copy::check_and_digest(CopyBatch* batch) {
  arena_->run([this, batch](std::size_t worker) -> Status {
    if (!work_.has_suspects(*batch)) return compute(&LeafWork::digest, worker, batch);
    suspects_.push_now(batch);
    return ok();
  });
}

void Copy::start(Stage stage, CopyBatch* batch) {
  arena_->run([this, stage, batch](std::size_t worker) { return compute(stage, worker, batch); });
}

Status Copy::compute(Stage stage, std::size_t worker, CopyBatch* batch) {
  HAUL_TRY((work_.*stage)(worker, *batch));
  collected_.push_now({batch, nullptr, std::nullopt});
  return ok();
}

Status Copy::look_again(PageCheckResult& result) {
  PageChecker checker(context_.pages, *context_.clock);
  while (const auto batch = suspects_.pop()) {
    for (const CopiedLeaf& leaf : (*batch)->leaves) {
      for (const PageChecker::Region& region : page_check_regions(leaf)) {
        HAUL_TRY(checker.check(region, result));
      }
    }
    start(&LeafWork::digest, *batch);
  }
  return ok();
}

Status Copy::finish_packs() {
  while (auto pack = full_packs_.pop()) HAUL_TRY(context_.writer->finish_pack(*std::move(pack)));
  return ok();
}

Status Copy::collect() {
  std::uint64_t done = 0;
  std::optional<std::uint64_t> all;
  while (!all || done < *all) {
    HAUL_TRY(context_.health());
    auto collected = collected_.pop();
    if (!collected) return Error(ErrorCode::interrupted, "interrupted");
    if (collected->all) {
      all = collected->all;
    } else if (collected->unread_file) {
      HAUL_TRY(collector_->take_unread_file(*collected->unread_file));
      ++done;
    } else if (HAUL_TRY(collector_->look_up(*collected->batch))) {
      start(&LeafWork::encode, collected->batch);
    } else {
      HAUL_TRY(collector_->store(*collected->batch));
      collected->batch->clear();
      reader_->give_back(collected->batch);
      ++done;
    }
  }
  // Only now: after a failure a task may still be on its way to them.
  parents_.close();
  suspects_.close();
  full_packs_.close();
  HAUL_TRY(data_.close());
  return delta_.close();
}

Result<CopyResult> Copy::run() {
  {
    std::vector<std::jthread> threads;
    const auto launch = [&](std::function<Status()> stage) {
      threads.emplace_back([this, stage = std::move(stage)] { first_error_.guard(stage); });
    };
    launch([this] { return plan(); });
    launch([this] { return read(); });
    for (std::size_t i = 0; context_.parent != nullptr && i < kParentThreads; ++i) {
      launch([this] { return look_up_parents(); });
    }
    for (PageCheckResult& result : looked_) launch([&] { return look_again(result); });
    launch([this] { return finish_packs(); });
    first_error_.guard([this] { return collect(); });
  }
  arena_->wait();
  HAUL_TRY(first_error_.status());

  CopyResult result;
  result.read_bytes = read_->read_bytes;
  result.files_kept = files_kept_;
  result.files_vanished = read_->files_vanished;
  result.vanished_with_directory = std::move(read_->vanished_with_directory);
  result.io_backend = std::move(read_->io_backend);
  result.hole_bytes = collector_->totals().hole_bytes;
  result.changed_bytes = collector_->totals().changed_bytes;
  result.changed_leaves = pace_.leaves();
  result.suspects = collector_->totals().suspects;
  for (PageCheckResult& looked : looked_) {
    std::ranges::move(looked.bad_pages, std::back_inserter(result.pages.bad_pages));
    result.pages.reread_pages += looked.reread_pages;
  }
  return result;
}

ChangePace pace_after(const Parent* parent, std::uint64_t page_size_bytes) {
  if (parent == nullptr) return {0, 0};
  const repository::SnapshotStatistics& before = parent->snapshot().statistics;
  // A full backup's changes are no measure.
  if (before.changed_leaves == 0) return {0, 0};
  return {before.changed_leaves, before.changed_bytes / page_size_bytes};
}

}  // namespace

Result<CopyResult> copy_files(const CopyContext& context) {
  ChangePace pace = pace_after(context.parent, context.pages.page_size_bytes);
  auto work = HAUL_TRY(
      LeafWork::open(*context.writer, context.codec, context.pages, context.workers, pace));
  auto map_encoder =
      HAUL_TRY(repository::ChunkEncoder::open(*context.writer, repository::kMetadataCodec));
  return Copy(context, std::move(work), std::move(map_encoder), pace).run();
}

}  // namespace haul::backup
