// The thread of placing that owns the ring: reads packs into free buffers, and writes the leaves of
// large files once their chunks are in place. Of leaves that are compared it reads what is on disk.
//
// Units:    sizes and offsets are bytes.
// Memory:   the read buffers it was made with.
// Threads:  run() blocks its caller and owns the ring; the rest from any thread.
// Errors:   those of writing the target. What of a pack cannot be read is read again elsewhere.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/flow/channel.h"
#include "engine/repository/findings.h"
#include "engine/restore/losses.h"
#include "engine/restore/place_batch.h"
#include "io/ring_waker.h"

namespace haul::restore {

class BatchTransfer {
 public:
  struct Context {
    io::RingOptions options;  // without buffers
    io::RingFactory rings;
    std::vector<std::unique_ptr<Batch>>* batches = nullptr;
    std::vector<std::unique_ptr<ReadBuffer>>* read_buffers = nullptr;
    repository::Findings* findings = nullptr;
    Losses* losses = nullptr;
    flow::Channel<Batch*>* free = nullptr;
    std::stop_token stop;
    // Takes a read of which so many bytes are there, and gives the buffer back with release().
    std::function<void(Batch&, const PackRead&, ReadBuffer&, std::size_t read_bytes)> decode;
    // Takes a chunk that could not be read, by its number in the batch.
    std::function<void(Batch&, std::size_t chunk)> read_again;
    // Takes a batch of small files.
    std::function<void(Batch*)> small_files;
    // Takes a batch of small files whose bytes on disk are to be read.
    std::function<void(Batch*)> read_small;
    // Takes a batch with the bytes that are on disk.
    std::function<void(Batch*)> compare;
    // Takes a leaf of a large file that is written.
    std::function<void(const PlacedLeaf&)> leaf_done;
    // Told once how the device is used.
    std::function<void(const std::string& backend)> opened;
  };

  explicit BatchTransfer(Context context) : context_(std::move(context)) {}

  // Works until close() and the last batch, or a stop.
  Status run();

  // A batch whose chunks have to be read.
  void take_planned(Batch* batch);
  // A batch that has to be compared with what is on disk, and afterwards.
  void take_unread(Batch* batch);
  void take_located(Batch* batch);
  // A batch whose chunks are in place.
  void take_decoded(Batch* batch);
  void release(ReadBuffer* buffer);
  // No more will be planned.
  void close();
  // Lets run() notice a stop.
  void wake();

 private:
  // What other threads have brought.
  struct Inbox {
    std::vector<Batch*> planned;
    std::vector<Batch*> unread;
    std::vector<Batch*> located;
    std::vector<Batch*> decoded;
    std::vector<ReadBuffer*> released;
    bool closed = false;
  };
  struct Read {
    Batch* batch = nullptr;
    std::size_t number = 0;  // among the batch's reads
  };
  // Of a leaf of a large file.
  struct Piece {
    Batch* batch = nullptr;
    std::size_t leaf = 0;      // in the batch
    std::uint64_t offset = 0;  // in the leaf
    std::size_t size_bytes = 0;
  };
  // What is in flight under one tag.
  struct Operation {
    enum class Kind { read_pack, read_leaf, write_leaf } kind = Kind::read_pack;
    Piece piece;  // of a leaf
    Read read;    // of a pack
    ReadBuffer* buffer = nullptr;
  };

  Result<std::unique_ptr<io::Ring>> open_ring();
  void put(std::vector<Batch*> Inbox::* where, Batch* batch);
  void look_into_inbox();
  void begin_comparing(Batch* batch);
  void begin_batch(Batch* batch);
  void begin_writes(Batch* batch);
  void end_batch(Batch* batch);
  void submit_pieces(std::deque<Piece>& pieces, Operation::Kind kind);
  void submit_pack_reads();
  void submit(io::RingOperation operation, const Operation& what);
  Status complete(io::RingCompletion& completion);
  void complete_pack_read(const Operation& operation, Result<std::size_t> outcome);
  void complete_leaf_read(const Piece& piece, Result<std::size_t> outcome);

  const Context context_;
  io::Ring* ring_ = nullptr;
  std::vector<Operation> operations_;  // by tag
  std::vector<std::size_t> free_tags_;
  std::deque<Read> reads_;
  std::deque<Piece> leaf_reads_;
  std::deque<Piece> writes_;
  std::vector<ReadBuffer*> free_buffers_;
  std::size_t batches_left_ = 0;
  bool closed_ = false;

  std::mutex mutex_;  // guards inbox_
  Inbox inbox_;
  io::RingWaker waker_;
};

}  // namespace haul::restore
