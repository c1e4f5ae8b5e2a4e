#include "engine/backup/source_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/postgres/file_grammar.h"

namespace haul::backup {

using repository::TreeEntry;

namespace {

// A read is told by its batch and its number in the batch.
constexpr std::uint64_t kReadsOfBatchMax = 1U << 16;
// Enough to keep any device busy.
constexpr std::size_t kReadsInFlightMax = 128;

}  // namespace

SourceReader::SourceReader(Context context)
    : context_(std::move(context)), rate_(context_.bytes_per_second, *context_.clock) {
  for (const auto& batch : *context_.batches) free_.push_back(batch.get());
}

void SourceReader::wake() { waker_.wake(); }

void SourceReader::looked_up(CopyBatch* batch) {
  {
    const std::scoped_lock lock(mutex_);
    looked_up_.push_back(batch);
  }
  waker_.wake();
}

void SourceReader::give_back(CopyBatch* batch) {
  {
    const std::scoped_lock lock(mutex_);
    free_.push_back(batch);
  }
  waker_.wake();
}

haul::Result<std::unique_ptr<io::Ring>> SourceReader::open_ring() {
  io::RingOptions options;
  options.capacity = kReadsInFlightMax;
  for (const auto& batch : *context_.batches) options.buffers.push_back(batch->memory());
  return context_.rings(options);
}

haul::Result<SourceReader::Result> SourceReader::run() {
  // Its destruction waits for reads in flight; the memory they read into outlives this reader.
  const std::unique_ptr<io::Ring> ring = HAUL_TRY(open_ring());
  ring_ = ring.get();
  result_.io_backend = ring->backend();
  context_.progress->io_backend = std::make_shared<const std::string>(result_.io_backend);
  const io::RingWaker::Attached wakeable(waker_, *ring_);
  const std::stop_callback stopped(context_.stop, [this] { wake(); });
  while (!context_.stop.stop_requested()) {
    HAUL_TRY(fill());
    const bool all_read = !file_ && batch_ == nullptr && looking_up_ == 0 && to_read_.empty() &&
                          ring_->in_flight() == 0;
    if (all_read && context_.planned->exhausted()) return result_;
    std::optional<std::chrono::nanoseconds> timeout;
    if (!to_read_.empty() && rate_.delay().count() > 0) timeout = rate_.delay();
    for (io::RingCompletion& completion : ring_->wait(timeout, io::Ring::Idle::allowed)) {
      HAUL_TRY(complete(completion));
    }
  }
  return Error(ErrorCode::interrupted, "interrupted");
}

// As many reads as there are free batches for, as far as files are planned and the rate allows.
Status SourceReader::fill() {
  charge_for_writing();
  for (;;) {
    take_looked_up();
    submit_reads();
    const bool more = file_ || HAUL_TRY(next_file());
    if (!more) {
      seal_batch();  // what is there does not wait for what may come late
      submit_reads();
      return ok();
    }
    if (batch_ == nullptr && !take_free_batch()) return ok();
    plan_leaf();
  }
}

// False when none is planned at the moment.
haul::Result<bool> SourceReader::next_file() {
  while (!file_) {
    auto planned = context_.planned->try_pop();
    if (!planned) return false;
    HAUL_TRY(open(std::move(*planned)));
  }
  return true;
}

// Leaves file_ empty when the file has vanished or holds nothing.
Status SourceReader::open(PlannedFile planned) {
  auto opened = context_.source->open_file(planned.path);
  if (!opened) return vanished(planned, std::move(opened).take_error());
  auto file = std::make_shared<CopiedFile>();
  file->file = std::move(opened).take();
  const io::FileInfo info = HAUL_TRY(file->file->info());
  file->shape = {info.size_bytes, context_.page_size_bytes, context_.chunk_pages};
  TreeEntry& entry = file->entry;
  entry.path = planned.path;
  entry.mode = info.mode;
  entry.user = info.user;
  entry.group = info.group;
  entry.size_bytes = info.size_bytes;
  entry.page_size_bytes = context_.page_size_bytes;
  // What was planned by an old size counts by the present one from here on.
  context_.progress->bytes_total += info.size_bytes - planned.info.size_bytes;
  result_.source_bytes += info.size_bytes;
  file->planned = std::move(planned);
  file->begin_leaves();
  if (file->leaves_left == 0) {
    ++result_.handed_on;
    context_.unread_file(std::move(file));
    return ok();
  }
  file_ = std::move(file);
  next_leaf_ = 0;
  leaves_to_read_ = file_->leaves_left;
  return ok();
}

Status SourceReader::vanished(const PlannedFile& planned, Error error) {
  if (error.code() != ErrorCode::not_found) return error;
  context_.progress->bytes_total -= planned.info.size_bytes;
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

// What is written to the repository burdens the same machine, as a rule the same device.
void SourceReader::charge_for_writing() {
  const std::uint64_t stored_bytes = context_.progress->stored_bytes;
  rate_.spend(stored_bytes - std::exchange(charged_bytes_, stored_bytes));
}

void SourceReader::charge_for_reading(std::uint64_t size_bytes) {
  rate_.spend(size_bytes);
  result_.read_bytes += size_bytes;
}

bool SourceReader::take_free_batch() {
  const std::scoped_lock lock(mutex_);
  if (free_.empty()) return false;
  batch_ = free_.back();
  free_.pop_back();
  batch_->clear();
  return true;
}

// One leaf more in the batch, which goes on when it is full.
void SourceReader::plan_leaf() {
  while (file_->keeps(next_leaf_)) ++next_leaf_;
  const auto size_bytes = static_cast<std::size_t>(file_->shape.leaf_size(next_leaf_));
  if (!batch_->takes(size_bytes)) return seal_batch();
  batch_->add_leaf(file_, next_leaf_);
  ++next_leaf_;
  if (--leaves_to_read_ == 0) file_.reset();
}

void SourceReader::seal_batch() {
  CopyBatch* const batch = std::exchange(batch_, nullptr);
  if (batch == nullptr) return;
  const bool overlaid = std::ranges::any_of(
      batch->leaves, [](const CopiedLeaf& leaf) { return leaf.file->planned.parent != nullptr; });
  if (overlaid) {
    ++looking_up_;
    context_.look_up(batch);
  } else {
    plan_reads(batch);
  }
}

void SourceReader::plan_reads(CopyBatch* batch) {
  for (CopiedLeaf& leaf : batch->leaves) {
    if (leaf.file->planned.selection) charge_for_reading(leaf.read_cached_pages());
  }
  // With a limit the server's own requests should not queue up behind large ones.
  batch->plan_reads(context_.bytes_per_second > 0 ? kLimitedReadBytesMax : kReadBytesMax);
  if (batch->reads.empty()) {
    hand_on(batch);
  } else {
    to_read_.push_back(batch);
  }
}

void SourceReader::take_looked_up() {
  std::vector<CopyBatch*> looked_up;
  {
    const std::scoped_lock lock(mutex_);
    std::swap(looked_up, looked_up_);
  }
  looking_up_ -= looked_up.size();
  for (CopyBatch* const batch : looked_up) plan_reads(batch);
}

void SourceReader::submit_reads() {
  while (!to_read_.empty() && ring_->in_flight() < ring_->capacity() &&
         rate_.delay().count() <= 0) {
    CopyBatch* const batch = to_read_.front();
    const CopyBatch::Read& planned = batch->reads[batch->next_read];
    io::RingOperation read;
    read.file = batch->leaves[planned.leaf].file->file.get();
    read.offset = planned.offset;
    read.bytes = planned.bytes;
    read.tag = number_of(batch) * kReadsOfBatchMax + batch->next_read;
    ring_->submit(read);
    charge_for_reading(planned.bytes.size());
    if (++batch->next_read == batch->reads.size()) to_read_.pop_front();
  }
}

std::size_t SourceReader::number_of(const CopyBatch* batch) const {
  const auto& batches = *context_.batches;
  const auto place = std::ranges::find(batches, batch, &std::unique_ptr<CopyBatch>::get);
  HAUL_ASSERT(place != batches.end());
  return static_cast<std::size_t>(place - batches.begin());
}

void SourceReader::hand_on(CopyBatch* batch) {
  ++result_.handed_on;
  context_.batch_read(batch);
}

Status SourceReader::complete(io::RingCompletion& completion) {
  CopyBatch* const batch = (*context_.batches)[completion.tag / kReadsOfBatchMax].get();
  const CopyBatch::Read& read = batch->reads[completion.tag % kReadsOfBatchMax];
  const std::size_t got = HAUL_TRY(std::move(completion.outcome));
  // The file was truncated after its size was taken: zeros stand for what replay removes anyway.
  std::ranges::fill(read.bytes.subspan(got), std::byte{0});
  if (--batch->reads_left == 0) hand_on(batch);
  return ok();
}

}  // namespace haul::backup
