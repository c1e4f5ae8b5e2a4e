#include "engine/restore/batch_transfer.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace haul::restore {

namespace {

// Of a leaf: large enough for the device, small enough that several of a leaf are in flight.
constexpr std::uint64_t kPieceBytesMax = 1 << 20;

}  // namespace

void BatchTransfer::put(std::vector<Batch*> Inbox::* where, Batch* batch) {
  {
    const std::scoped_lock lock(mutex_);
    (inbox_.*where).push_back(batch);
  }
  wake();
}

void BatchTransfer::take_planned(Batch* batch) { put(&Inbox::planned, batch); }
void BatchTransfer::take_unread(Batch* batch) { put(&Inbox::unread, batch); }
void BatchTransfer::take_located(Batch* batch) { put(&Inbox::located, batch); }
void BatchTransfer::take_decoded(Batch* batch) { put(&Inbox::decoded, batch); }

void BatchTransfer::release(ReadBuffer* buffer) {
  {
    const std::scoped_lock lock(mutex_);
    inbox_.released.push_back(buffer);
  }
  wake();
}

void BatchTransfer::close() {
  {
    const std::scoped_lock lock(mutex_);
    inbox_.closed = true;
  }
  wake();
}

void BatchTransfer::wake() { waker_.wake(); }

Result<std::unique_ptr<io::Ring>> BatchTransfer::open_ring() {
  io::RingOptions options = context_.options;
  for (const auto& buffer : *context_.read_buffers) {
    options.buffers.push_back(buffer->memory.bytes());
  }
  for (const auto& batch : *context_.batches) options.buffers.push_back(batch->memory.bytes());
  return context_.rings ? context_.rings(options) : io::open_ring(options);
}

Status BatchTransfer::run() {
  const std::unique_ptr<io::Ring> ring = HAUL_TRY(open_ring());
  ring_ = ring.get();
  context_.opened(ring->backend());
  operations_.resize(ring->capacity());
  for (std::size_t tag = 0; tag < ring->capacity(); ++tag) free_tags_.push_back(tag);
  for (const auto& buffer : *context_.read_buffers) free_buffers_.push_back(buffer.get());
  const io::RingWaker::Attached wakeable(waker_, *ring);
  for (;;) {
    look_into_inbox();
    if (context_.stop.stop_requested() || (closed_ && batches_left_ == 0)) return ok();
    // Writes before reads: they set batches free.
    submit_pieces(writes_, Operation::Kind::write_leaf);
    submit_pack_reads();
    submit_pieces(leaf_reads_, Operation::Kind::read_leaf);
    for (io::RingCompletion& completion : ring->wait({}, io::Ring::Idle::allowed)) {
      HAUL_TRY(complete(completion));
    }
  }
}

void BatchTransfer::look_into_inbox() {
  Inbox inbox;
  {
    const std::scoped_lock lock(mutex_);
    std::swap(inbox, inbox_);
  }
  closed_ = closed_ || inbox.closed;
  for (ReadBuffer* buffer : inbox.released) free_buffers_.push_back(buffer);
  for (Batch* batch : inbox.unread) begin_comparing(batch);
  for (Batch* batch : inbox.located) begin_batch(batch);
  batches_left_ += inbox.planned.size();
  for (Batch* batch : inbox.planned) begin_batch(batch);
  for (Batch* batch : inbox.decoded) begin_writes(batch);
}

void BatchTransfer::begin_comparing(Batch* batch) {
  ++batches_left_;
  if (batch->kind == Batch::Kind::small_files) {
    context_.read_small(batch);
    return;
  }
  for (std::size_t leaf = 0; leaf < batch->leaves.size(); ++leaf) {
    const std::uint64_t end = batch->leaves[leaf].bytes.size();
    for (std::uint64_t at = 0; at < end; at += kPieceBytesMax) {
      leaf_reads_.push_back({batch, leaf, at, std::min(kPieceBytesMax, end - at)});
      ++batch->disk_reads_left;
    }
  }
}

void BatchTransfer::begin_batch(Batch* batch) {
  if (batch->chunks.empty()) {
    begin_writes(batch);
    return;
  }
  // Sorted: those that no pack is known for come first. With its last chunk the batch may already
  // be someone else's.
  const std::size_t reads = batch->reads.size();
  const std::size_t missing = reads == 0 ? batch->chunks.size() : batch->reads[0].first_chunk;
  for (std::size_t i = 0; i < reads; ++i) reads_.push_back({batch, i});
  for (std::size_t i = 0; i < missing; ++i) context_.read_again(*batch, i);
}

void BatchTransfer::begin_writes(Batch* batch) {
  if (batch->kind == Batch::Kind::small_files) {
    --batches_left_;
    context_.small_files(batch);
    return;
  }
  batch->writes_left = 0;
  for (std::size_t leaf = 0; leaf < batch->leaves.size(); ++leaf) {
    if (context_.losses->is_survey()) break;
    for (const ByteRange& range : batch->leaves[leaf].written) {
      const std::uint64_t end = range.offset + range.size_bytes;
      for (std::uint64_t at = range.offset; at < end; at += kPieceBytesMax) {
        writes_.push_back({batch, leaf, at, std::min(kPieceBytesMax, end - at)});
        ++batch->writes_left;
      }
    }
  }
  if (batch->writes_left == 0) end_batch(batch);
}

void BatchTransfer::end_batch(Batch* batch) {
  --batches_left_;
  for (const PlacedLeaf& leaf : batch->leaves) context_.leaf_done(leaf);
  batch->clear();
  context_.free->push_now(batch);
}

void BatchTransfer::submit(io::RingOperation operation, const Operation& what) {
  operation.tag = free_tags_.back();
  free_tags_.pop_back();
  operations_[operation.tag] = what;
  ring_->submit(operation);
}

void BatchTransfer::submit_pieces(std::deque<Piece>& pieces, Operation::Kind kind) {
  const auto of_ring = kind == Operation::Kind::write_leaf ? io::RingOperation::Kind::write
                                                           : io::RingOperation::Kind::read;
  while (!pieces.empty() && !free_tags_.empty()) {
    const Piece piece = pieces.front();
    pieces.pop_front();
    const PlacedLeaf& leaf = piece.batch->leaves[piece.leaf];
    submit({of_ring, leaf.file->file.get(), leaf.offset + piece.offset,
            leaf.bytes.subspan(piece.offset, piece.size_bytes)},
           {kind, piece, {}, nullptr});
  }
}

void BatchTransfer::submit_pack_reads() {
  while (!reads_.empty() && !free_tags_.empty() && !free_buffers_.empty()) {
    const Read read = reads_.front();
    reads_.pop_front();
    ReadBuffer* const buffer = free_buffers_.back();
    free_buffers_.pop_back();
    const PackRead& of_pack = read.batch->reads[read.number];
    submit({io::RingOperation::Kind::read, of_pack.pack.get(), of_pack.offset,
            buffer->memory.bytes().first(of_pack.size_bytes)},
           {Operation::Kind::read_pack, {}, read, buffer});
  }
}

Status BatchTransfer::complete(io::RingCompletion& completion) {
  const Operation operation = operations_[completion.tag];
  free_tags_.push_back(completion.tag);
  switch (operation.kind) {
    case Operation::Kind::read_pack:
      complete_pack_read(operation, std::move(completion.outcome));
      return ok();
    case Operation::Kind::read_leaf:
      complete_leaf_read(operation.piece, std::move(completion.outcome));
      return ok();
    case Operation::Kind::write_leaf:
      if (!completion.outcome) return std::move(completion.outcome).take_error();
      if (--operation.piece.batch->writes_left == 0) end_batch(operation.piece.batch);
  }
  return ok();
}

void BatchTransfer::complete_pack_read(const Operation& operation, Result<std::size_t> outcome) {
  Batch& batch = *operation.read.batch;
  const PackRead& read = batch.reads[operation.read.number];
  if (outcome) {
    context_.decode(batch, read, *operation.buffer, *outcome);
    return;
  }
  // Another copy may do, or another attempt; what was worked around is reported all the same.
  context_.findings->add(outcome.error().message());
  free_buffers_.push_back(operation.buffer);
  const std::pair chunks(read.first_chunk, read.end_chunk);
  for (std::size_t i = chunks.first; i < chunks.second; ++i) context_.read_again(batch, i);
}

// What cannot be read is rewritten.
void BatchTransfer::complete_leaf_read(const Piece& piece, Result<std::size_t> outcome) {
  PlacedLeaf& leaf = piece.batch->leaves[piece.leaf];
  if (outcome) {
    std::ranges::fill(leaf.bytes.subspan(piece.offset, piece.size_bytes).subspan(*outcome),
                      std::byte{0});
  } else {
    leaf.is_unreadable = true;
  }
  if (--piece.batch->disk_reads_left == 0) context_.compare(piece.batch);
}

}  // namespace haul::restore
