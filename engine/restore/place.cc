#include "engine/restore/place.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include "engine/flow/arena.h"
#include "engine/flow/channel.h"
#include "engine/restore/batch_comparer.h"
#include "engine/restore/batch_planner.h"
#include "engine/restore/batch_transfer.h"
#include "engine/restore/chunk_decoder.h"
#include "engine/restore/file_finisher.h"
#include "io/aligned_buffer.h"

namespace haul::restore {

namespace {

constexpr std::size_t kBatchesMax = 32;
constexpr std::size_t kBatchesMin = 4;
constexpr std::size_t kBatchBytesMin = 64 * 1024;
constexpr std::size_t kBatchBytes = 16 << 20;  // of more than one leaf
// Most chunks of the last of many backups are small, and lie apart.
constexpr std::size_t kReadBuffersMax = 64;
constexpr std::size_t kReadBuffersMin = 16;
constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::size_t kOperationsMax = 160;
// Creating and closing small files is the processor's work; syncing one by one is the device's.
constexpr std::size_t kFinishers = 2;
constexpr std::size_t kSyncingFinishers = 16;
// Of small files on disk: their reads wait for the device one after another.
constexpr std::size_t kReaders = 4;

class Placer {
 public:
  Placer(const RestorePlan& plan, const PlaceContext& context)
      : plan_(plan),
        context_(context),
        first_error_(context.stop),
        crcs_(plan.files),
        losses_(context.target == nullptr ? Losses::Purpose::survey : Losses::Purpose::restore),
        free_(kBatchesMax, first_error_.stop_token()) {
    const std::size_t leaf_bytes = std::max(kBatchBytesMin, io::whole_blocks(plan.leaf_bytes_max));
    const std::size_t batch_bytes =
        leaf_bytes * std::clamp(kBatchBytes / leaf_bytes, std::size_t{1}, kLeavesPerBatch);
    // A small cluster has no use for much: what is registered with a ring costs time.
    const std::size_t useful = std::min<std::uint64_t>(kPlaceMemoryBytes / 3, plan.bytes);
    const std::size_t batches = std::clamp(useful * 2 / batch_bytes, kBatchesMin, kBatchesMax);
    for (std::size_t i = 0; i < batches; ++i) {
      batches_.push_back(std::make_unique<Batch>(batch_bytes));
      free_.push_now(batches_.back().get());
    }
    const std::size_t buffers =
        std::clamp(useful / read_bytes_max(), kReadBuffersMin, kReadBuffersMax);
    for (std::size_t i = 0; i < buffers; ++i) {
      read_buffers_.push_back(std::make_unique<ReadBuffer>(read_bytes_max()));
    }
    arena_.emplace(context.workers, first_error_);
    finisher_.emplace(finisher_context());
    decoder_.emplace(decoder_context());
    transfer_.emplace(transfer_context());
    if (context.is_delta) comparer_.emplace(comparer_context());
    planner_.emplace(planner_context());
  }

  Result<PlaceResult> run();

 private:
  // At least a chunk of any size, wherever it begins.
  std::size_t read_bytes_max() const {
    const std::uint64_t chunk_bytes_max = std::uint64_t{plan_.page_size_bytes_max} *
                                          context_.chunks->cluster().parameters.chunk_pages;
    const std::size_t useful = std::min(io::whole_blocks(plan_.leaf_bytes_max), kReadBytes);
    return std::max(useful, io::whole_blocks(chunk_bytes_max)) + 2 * io::kDirectAlignment;
  }
  ChunkLocator::Context locator_context();
  BatchPlanner::Context planner_context();
  BatchComparer::Context comparer_context();
  BatchTransfer::Context transfer_context();
  ChunkDecoder::Context decoder_context();
  FileFinisher::Context finisher_context();
  Status plan();
  Status transfer();

  const RestorePlan& plan_;
  const PlaceContext& context_;
  flow::FirstError first_error_;
  std::vector<std::uint32_t> crcs_;
  Losses losses_;
  std::vector<std::unique_ptr<Batch>> batches_;
  std::vector<std::unique_ptr<ReadBuffer>> read_buffers_;
  flow::Channel<Batch*> free_;
  std::string io_backend_;
  std::optional<FileFinisher> finisher_;
  std::optional<ChunkDecoder> decoder_;
  std::optional<BatchTransfer> transfer_;
  std::optional<BatchComparer> comparer_;  // of a delta restore
  std::optional<BatchPlanner> planner_;
  std::optional<flow::Arena> arena_;  // last: its tasks use all of the above
};

ChunkLocator::Context Placer::locator_context() {
  ChunkLocator::Context locator;
  locator.chunks = context_.chunks;
  locator.losses = &losses_;
  locator.findings = context_.findings;
  locator.read_bytes_max = read_bytes_max();
  return locator;
}

BatchComparer::Context Placer::comparer_context() {
  BatchComparer::Context comparer;
  comparer.identity = context_.chunks->cluster().identity;
  comparer.target = context_.target;
  comparer.locator = locator_context();
  comparer.losses = &losses_;
  comparer.arena = &*arena_;
  comparer.stop = first_error_.stop_token();
  comparer.located = [this](Batch* batch) { transfer_->take_located(batch); };
  return comparer;
}

BatchPlanner::Context Placer::planner_context() {
  BatchPlanner::Context planner;
  planner.chunks = context_.chunks;
  planner.plan = &plan_;
  planner.target = context_.target;
  planner.is_delta = context_.is_delta;
  planner.locator = locator_context();
  planner.losses = &losses_;
  planner.free = &free_;
  planner.stop = first_error_.stop_token();
  planner.planned = [this](Batch* batch) { transfer_->take_planned(batch); };
  planner.unread = [this](Batch* batch) { transfer_->take_unread(batch); };
  planner.leaf_done = [this](const std::shared_ptr<PlacedFile>& file, std::uint64_t bytes) {
    finisher_->leaf_done(file, bytes);
  };
  return planner;
}

BatchTransfer::Context Placer::transfer_context() {
  BatchTransfer::Context transfer;
  transfer.options.capacity = kOperationsMax;
  transfer.rings = context_.rings;
  transfer.batches = &batches_;
  transfer.read_buffers = &read_buffers_;
  transfer.findings = context_.findings;
  transfer.losses = &losses_;
  transfer.free = &free_;
  transfer.stop = first_error_.stop_token();
  transfer.decode = [this](Batch& batch, const PackRead& read, ReadBuffer& buffer,
                           std::size_t read_bytes) {
    decoder_->decode(batch, read, buffer, read_bytes);
  };
  transfer.read_again = [this](Batch& batch, std::size_t chunk) {
    decoder_->read_again(batch, chunk);
  };
  transfer.small_files = [this](Batch* batch) { finisher_->finish_batch(batch); };
  transfer.read_small = [this](Batch* batch) { comparer_->read(batch); };
  transfer.compare = [this](Batch* batch) { comparer_->compare(batch); };
  transfer.leaf_done = [this](const PlacedLeaf& leaf) {
    leaf.file->leaves[leaf.number] = leaf.crc();
    finisher_->add_kept(leaf.kept_bytes);
    finisher_->leaf_done(leaf.file, leaf.size_bytes);
  };
  transfer.opened = [this](const std::string& backend) { io_backend_ = backend; };
  return transfer;
}

ChunkDecoder::Context Placer::decoder_context() {
  ChunkDecoder::Context decoder;
  decoder.chunks = context_.chunks;
  decoder.losses = &losses_;
  decoder.arena = &*arena_;
  decoder.stop = first_error_.stop_token();
  decoder.decoded = [this](Batch* batch) { transfer_->take_decoded(batch); };
  decoder.released = [this](ReadBuffer* buffer) { transfer_->release(buffer); };
  return decoder;
}

FileFinisher::Context Placer::finisher_context() {
  FileFinisher::Context finisher;
  finisher.target = context_.target;
  finisher.losses = &losses_;
  finisher.free = &free_;
  finisher.crcs = crcs_;
  finisher.progress = context_.progress;
  finisher.stop = first_error_.stop_token();
  return finisher;
}

Status Placer::plan() {
  HAUL_TRY(planner_->run());
  transfer_->close();
  return ok();
}

// When the transfer is done there is nothing more to read again, and all that is to be finished has
// reached the finishers.
Status Placer::transfer() {
  HAUL_TRY(transfer_->run());
  if (first_error_.stopped()) return ok();
  decoder_->close();
  finisher_->close();
  if (comparer_) comparer_->close();
  return ok();
}

Result<PlaceResult> Placer::run() {
  const bool syncs_each = context_.target != nullptr && !context_.target->syncs_files_at_once();
  {
    std::vector<std::jthread> threads;
    const auto start = [&](std::function<Status()> stage) {
      threads.emplace_back([this, stage = std::move(stage)] { first_error_.guard(stage); });
    };
    const std::stop_callback wake(first_error_.stop_token(), [this] { transfer_->wake(); });
    start([this] { return transfer(); });
    start([this] { return decoder_->run(); });
    for (std::size_t i = 0; i < (syncs_each ? kSyncingFinishers : kFinishers); ++i) {
      start([this] { return finisher_->run(); });
    }
    if (comparer_) {
      start([this] { return comparer_->run_locator(); });
      for (std::size_t i = 0; i < kReaders; ++i) start([this] { return comparer_->run_reader(); });
    }
    first_error_.guard([this] { return plan(); });
    threads.clear();  // joined while a stop still wakes the transfer
  }
  arena_->wait();
  HAUL_TRY(first_error_.status());
  PlaceResult result;
  result.crcs = std::move(crcs_);
  result.lost_files = losses_.names();
  result.lost_file_count = losses_.count();
  result.kept_bytes = finisher_->kept_bytes();
  result.io_backend = std::move(io_backend_);
  return result;
}

}  // namespace

Status place_directories(const RestorePlan& plan, Target& target) {
  for (const repository::TreeEntry& entry : plan.directories) {
    HAUL_TRY(target.make_directory(entry.path, entry.mode));
  }
  return ok();
}

Result<PlaceResult> place_files(const RestorePlan& plan, const PlaceContext& context) {
  return Placer(plan, context).run();
}

}  // namespace haul::restore
