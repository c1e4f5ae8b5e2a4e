// The computing stage of placing: decodes chunks into their places, verifies their ids, and takes
// the CRC of what was placed.
//
// A chunk whose bytes could not be had from where it was found is read again by a thread that may
// block: other packs may hold it.
//
// Memory:   per worker what a codec needs and one chunk.
// Threads:  decode() starts tasks of the arena; read_again() from any thread; run() blocks its
//           caller.
// Errors:   those of reading the repository; what is damaged everywhere is a loss.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "compress/codec.h"
#include "engine/flow/arena.h"
#include "engine/flow/channel.h"
#include "engine/repository/chunk_reader.h"
#include "engine/restore/losses.h"
#include "engine/restore/place_batch.h"

namespace haul::restore {

class ChunkDecoder {
 public:
  struct Context {
    repository::ChunkReader* chunks = nullptr;
    Losses* losses = nullptr;
    flow::Arena* arena = nullptr;
    std::stop_token stop;
    // Takes a batch whose chunks are all in their places, or lost; from any thread.
    std::function<void(Batch*)> decoded;
    // Takes a buffer that nobody needs any more; from any thread.
    std::function<void(ReadBuffer*)> released;
  };

  explicit ChunkDecoder(Context context);

  // Starts tasks for the chunks of a read, of which `read_bytes` are there.
  void decode(Batch& batch, const PackRead& read, ReadBuffer& buffer, std::size_t read_bytes);
  // Hands a chunk to run(); never blocks.
  void read_again(Batch& batch, std::size_t chunk) { again_.push_now({&batch, chunk}); }

  // Reads what read_again() was given, until close() or a stop.
  Status run();
  void close() { again_.close(); }

 private:
  struct Again {
    Batch* batch = nullptr;
    std::size_t chunk = 0;
  };
  struct DecodeTask {
    Batch* batch = nullptr;
    std::size_t first_chunk = 0;
    std::size_t end_chunk = 0;
    ByteSpan bytes;            // what was read
    std::uint64_t offset = 0;  // of it in the pack
  };

  struct Tools {
    compress::Decompressor decompressor;
    std::vector<std::byte> scratch;                   // a chunk of which only parts are placed
    std::vector<repository::PackReader::Part> parts;  // of it
  };

  void carry_out(std::size_t worker, const DecodeTask& task);
  // False when the chunk has to be read again.
  bool decode_chunk(Tools& tools, Batch& batch, PlacedChunk& chunk, ByteSpan stored);
  void chunk_done(Batch& batch);

  const Context context_;
  std::vector<Tools> tools_;  // by worker
  flow::Channel<Again> again_;
};

}  // namespace haul::restore
