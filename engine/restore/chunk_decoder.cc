#include "engine/restore/chunk_decoder.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace haul::restore {

using repository::ChunkKind;
using repository::PackedChunk;

namespace {

// Enough work for a task to be worth starting.
constexpr std::uint64_t kTaskBytesMin = 256 * 1024;
// For read_again(), which does not keep to it.
constexpr std::size_t kAgainMax = 1;

// Ends of runs of chunks that have about kTaskBytesMin decoded.
std::vector<std::size_t> task_ends(const Batch& batch, const PackRead& read) {
  std::vector<std::size_t> ends;
  std::uint64_t bytes = 0;
  for (std::size_t i = read.first_chunk; i < read.end_chunk; ++i) {
    bytes += batch.chunks[i].stored->chunk().raw_bytes;
    if (bytes >= kTaskBytesMin || i + 1 == read.end_chunk) {
      ends.push_back(i + 1);
      bytes = 0;
    }
  }
  return ends;
}

}  // namespace

ChunkDecoder::ChunkDecoder(Context context)
    : context_(std::move(context)),
      tools_(context_.arena->workers()),
      again_(kAgainMax, context_.stop) {}

void ChunkDecoder::decode(Batch& batch, const PackRead& read, ReadBuffer& buffer,
                          std::size_t read_bytes) {
  const std::vector<std::size_t> ends = task_ends(batch, read);
  const ByteSpan bytes = ByteSpan(buffer.memory.bytes()).first(read_bytes);
  buffer.users = ends.size();
  std::size_t begin = read.first_chunk;
  for (const std::size_t end : ends) {
    const DecodeTask task{&batch, begin, end, bytes, read.offset};
    context_.arena->run([this, task, &buffer](std::size_t worker) {
      carry_out(worker, task);
      if (buffer.users.fetch_sub(1) == 1) context_.released(&buffer);
      return ok();
    });
    begin = end;
  }
}

// With its last chunk a batch is another's: nothing of it is touched afterwards.
void ChunkDecoder::carry_out(std::size_t worker, const DecodeTask& task) {
  for (std::size_t i = task.first_chunk; i < task.end_chunk; ++i) {
    PlacedChunk& chunk = task.batch->chunks[i];
    const PackedChunk& packed = chunk.stored->chunk();
    const std::uint64_t begin = packed.offset - task.offset;
    const bool is_there = begin + packed.stored_bytes <= task.bytes.size();
    if (is_there && decode_chunk(tools_[worker], *task.batch, chunk,
                                 task.bytes.subspan(begin, packed.stored_bytes))) {
      chunk_done(*task.batch);
    } else {
      read_again(*task.batch, i);
    }
  }
}

bool ChunkDecoder::decode_chunk(Tools& tools, Batch& batch, PlacedChunk& chunk, ByteSpan stored) {
  PlacedLeaf& leaf = batch.leaves[chunk.leaf];
  const std::uint32_t raw_bytes = chunk.stored->chunk().raw_bytes;
  const repository::PackReader& pack = *chunk.stored->pack;
  if (chunk.use.is_whole(raw_bytes)) {
    const ChunkTarget& target = chunk.use.targets[0];
    const MutableByteSpan place = leaf.bytes.subspan(target.offset, target.size_bytes);
    if (!pack.decode_chunk(chunk.stored->ordinal, stored, tools.decompressor, place)) return false;
    leaf.extents[target.extent] = {postgres::crc32c(place), target.size_bytes};
    return true;
  }
  // What the leaf does not draw on nobody else does, as a rule: it is neither verified nor kept.
  tools.parts.clear();
  for (const ChunkTarget& target : chunk.use.targets) {
    tools.parts.push_back({target.chunk_offset, target.size_bytes});
  }
  std::vector<std::byte>& scratch = tools.scratch;
  if (scratch.size() < raw_bytes) scratch.resize(raw_bytes);
  const MutableByteSpan raw = MutableByteSpan(scratch).first(raw_bytes);
  return pack.decode_parts(chunk.stored->ordinal, stored, tools.decompressor, raw, tools.parts) &&
         place_chunk(chunk.use, raw, leaf);
}

void ChunkDecoder::chunk_done(Batch& batch) {
  if (batch.chunks_left.fetch_sub(1) != 1) return;
  batch.finish_compared();
  context_.decoded(&batch);
}

Status ChunkDecoder::run() {
  while (const auto again = again_.pop()) {
    Batch& batch = *again->batch;
    const PlacedChunk& chunk = batch.chunks[again->chunk];
    PlacedLeaf& leaf = batch.leaves[chunk.leaf];
    const auto bytes = context_.chunks->read(ChunkKind::data, chunk.use.id, chunk.size_max_bytes);
    Status placed = bytes ? place_chunk(chunk.use, **bytes, leaf) : Status(bytes.error());
    if (!placed) HAUL_TRY(context_.losses->note(*leaf.file, std::move(placed).take_error()));
    chunk_done(batch);
  }
  return ok();
}

}  // namespace haul::restore
