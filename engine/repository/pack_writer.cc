#include "engine/repository/pack_writer.h"

namespace haul::repository {

Result<PackWriter> PackWriter::open(const Cluster& cluster, const std::string& lease,
                                    Random& random) {
  PackRef ref;
  ref.lease = lease;
  HAUL_TRY(random.fill(ref.name.bytes));
  PackWriter writer(HAUL_TRY(cluster.store->create(cluster.layout.pack(ref))), ref);
  HAUL_TRY(writer.write(encode_pack_header(cluster.repository, ref.name)));
  return writer;
}

Result<std::uint32_t> PackWriter::append(const EncodedChunk& chunk) {
  PackedChunk entry;
  entry.id = chunk.id;
  entry.stored_bytes = static_cast<std::uint32_t>(chunk.stored.size());
  entry.raw_bytes = chunk.raw_bytes;
  entry.page_size_bytes = chunk.page_size_bytes;
  entry.codec = chunk.codec;
  entry.kind = chunk.kind;
  HAUL_TRY(write(encode_chunk_frame(entry)));
  entry.offset = offset_;
  HAUL_TRY(write(chunk.stored));
  entry.tags.reserve(chunk.digests.size());
  for (const Digest& digest : chunk.digests) entry.tags.push_back(digest.tag());
  footer_bytes_ += kFooterEntryBytes + entry.tags.size() * sizeof(std::uint64_t);
  footer_.chunks.push_back(std::move(entry));
  return static_cast<std::uint32_t>(footer_.chunks.size() - 1);
}

Result<FinishedPack> PackWriter::finish() {
  footer_.footer_offset = offset_;
  footer_.data_checksum = data_checksum_.finish();
  const std::vector<std::byte> tail = encode_pack_footer(footer_, ref_.name);
  HAUL_TRY(object_->append(tail));
  HAUL_TRY(object_->commit());
  FinishedPack finished;
  finished.ref = ref_;
  finished.size_bytes = offset_ + tail.size();
  finished.chunks.reserve(footer_.chunks.size());
  for (const PackedChunk& chunk : footer_.chunks) finished.chunks.push_back(chunk.id);
  return finished;
}

Status PackWriter::write(ByteSpan bytes) {
  HAUL_TRY(object_->append(bytes));
  data_checksum_.update(bytes);
  offset_ += bytes.size();
  return ok();
}

}  // namespace haul::repository
