#include "engine/repository/chunk_writer.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/bytes.h"
#include "base/format.h"
#include "engine/repository/pack_reader.h"

namespace haul::repository {

ChunkWriter::ChunkWriter(const Cluster& cluster, Index& index, std::string lease, Random& random)
    : cluster_(cluster), index_(&index), lease_(std::move(lease)), random_(&random) {}

bool ChunkWriter::may_hold(const ChunkId& id) const {
  {
    const std::scoped_lock lock(mutex_);
    if (fresh_.contains(id)) return true;
  }
  return index_->may_hold(id);
}

Result<std::optional<PackRef>> ChunkWriter::find(const ChunkId& id) {
  {
    const std::scoped_lock lock(mutex_);
    if (const auto fresh = fresh_.find(id); fresh != fresh_.end()) {
      ++statistics_.chunks_found;
      return *fresh->second.pack;
    }
  }
  const auto location = HAUL_TRY(index_->find_dedup_target(id));
  if (!location) return std::nullopt;
  const std::scoped_lock lock(mutex_);
  ++statistics_.chunks_found;
  return location->pack;
}

void ChunkWriter::inherit(const PackTable& table) {
  const std::scoped_lock lock(mutex_);
  for (const auto& [pack, use] : table) {
    PackUse& ours = pack_table_[pack];
    ours.chunk_references += use.chunk_references;
    ours.live_pages += use.live_pages;
  }
}

void ChunkWriter::note_reference(const PackRef& pack, std::uint64_t pages) {
  const std::scoped_lock lock(mutex_);
  PackUse& use = pack_table_[pack];
  ++use.chunk_references;
  use.live_pages += pages;
}

void ChunkWriter::chunk_appended(const EncodedChunk& chunk,
                                 const std::shared_ptr<const PackRef>& pack) {
  const std::scoped_lock lock(mutex_);
  fresh_.emplace(chunk.id, Fresh{pack});
  ++statistics_.chunks_stored;
  statistics_.raw_bytes_stored += chunk.raw_bytes;
}

Status ChunkWriter::finish_pack(PackWriter pack) {
  FinishedPack finished = HAUL_TRY(pack.finish());
  const std::scoped_lock publishing(publishing_);
  own_pack_sizes_[finished.ref.name] = finished.size_bytes;
  {
    const std::scoped_lock lock(mutex_);
    statistics_.stored_bytes += finished.size_bytes;
    ++statistics_.packs;
  }
  unindexed_.push_back(std::move(finished));
  return unindexed_.size() < kPacksPerRun ? ok() : write_run();
}

// A run may name only packs that survive a crash, so their directories come first.
Status ChunkWriter::write_run() {
  std::set<std::string> leases;
  for (const FinishedPack& pack : unindexed_) leases.insert(pack.ref.lease);
  for (const std::string& lease : leases) {
    HAUL_TRY(cluster_.store->make_durable(cluster_.layout.packs_of(lease)));
  }
  IndexRunContent content;
  for (const FinishedPack& pack : unindexed_) {
    const auto number = static_cast<std::uint32_t>(content.packs.size());
    content.packs.push_back(
        {pack.ref, pack.size_bytes, static_cast<std::uint32_t>(pack.chunks.size())});
    std::uint32_t ordinal = 0;
    for (const ChunkId& id : pack.chunks) content.entries.push_back({id, number, ordinal++});
  }
  HAUL_TRY(index_->merge_into(content));
  const RunRef ref{lease_, ++runs_written_};
  const std::string key = cluster_.layout.run(ref);
  const std::vector<std::byte> object =
      encode_index_run(std::move(content), cluster_.repository, key);
  HAUL_TRY(cluster_.store->put_if_absent(key, object));
  HAUL_TRY(cluster_.store->make_durable(cluster_.layout.index()));
  HAUL_TRY(index_->add_run(ref));
  const std::scoped_lock lock(mutex_);
  for (const FinishedPack& pack : unindexed_) {
    for (const ChunkId& id : pack.chunks) fresh_.erase(id);
  }
  unindexed_.clear();
  statistics_.stored_bytes += object.size();
  ++statistics_.index_runs;
  return ok();
}

Status ChunkWriter::finish() {
  const std::scoped_lock publishing(publishing_);
  HAUL_TRY(adopt_packs());
  if (!unindexed_.empty()) HAUL_TRY(write_run());
  const std::scoped_lock lock(mutex_);
  for (auto& [ref, use] : pack_table_) {
    if (const auto own = own_pack_sizes_.find(ref.name); own != own_pack_sizes_.end()) {
      use.size_bytes = own->second;
      continue;
    }
    const auto listed = index_->listed_size(ref);
    HAUL_ASSERT(listed.has_value());  // find() hands out listed packs only
    use.size_bytes = *listed;
  }
  return ok();
}

// What others wrote is relied upon only once it is certain to survive:
// they may have died before their own sync. What no run lists is listed in ours.
Status ChunkWriter::adopt_packs() {
  PackTable table;
  {
    const std::scoped_lock lock(mutex_);
    table = pack_table_;
  }
  std::set<std::string> leases;
  bool relies_on_runs = false;
  for (const auto& [ref, use] : table) {
    if (ref.lease == lease_) continue;
    if (leases.insert(ref.lease).second) {
      HAUL_TRY(cluster_.store->make_durable(cluster_.layout.packs_of(ref.lease)));
    }
    if (!index_->is_without_run(ref)) {
      relies_on_runs = true;
      continue;
    }
    const PackReader pack = HAUL_TRY(PackReader::open(cluster_, ref));
    FinishedPack adopted{ref, pack.size_bytes(), {}};
    for (const PackedChunk& chunk : pack.chunks()) adopted.chunks.push_back(chunk.id);
    unindexed_.push_back(std::move(adopted));
  }
  return relies_on_runs ? cluster_.store->make_durable(cluster_.layout.index()) : ok();
}

ChunkWriterStatistics ChunkWriter::statistics() const {
  const std::scoped_lock lock(mutex_);
  return statistics_;
}

Result<PackRef> PackStream::append(const EncodedChunk& chunk) {
  const std::scoped_lock lock(mutex_);
  HAUL_ASSERT(!full_);  // the caller takes what it wanted handed out
  if (!pack_) {
    pack_ = HAUL_TRY(PackWriter::open(writer_->cluster_, writer_->lease_, *writer_->random_));
    ref_ = std::make_shared<const PackRef>(pack_->ref());
  }
  HAUL_TRY(pack_->append(chunk));
  const PackRef ref = *ref_;
  writer_->chunk_appended(chunk, ref_);
  if (pack_->size_bytes() < writer_->cluster_.parameters.pack_size_bytes) return ref;
  if (when_full_ == WhenFull::finish) {
    HAUL_TRY(close_locked());
  } else {
    full_ = std::exchange(pack_, std::nullopt);
    ref_.reset();
  }
  return ref;
}

std::optional<PackWriter> PackStream::take_full() {
  const std::scoped_lock lock(mutex_);
  return std::exchange(full_, std::nullopt);
}

Status PackStream::close() {
  const std::scoped_lock lock(mutex_);
  return close_locked();
}

Status PackStream::close_locked() {
  if (!pack_) return ok();
  PackWriter pack = *std::exchange(pack_, std::nullopt);
  ref_.reset();
  return writer_->finish_pack(std::move(pack));
}

Result<ChunkEncoder> ChunkEncoder::open(ChunkWriter& writer, compress::CodecChoice codec) {
  return ChunkEncoder(writer, HAUL_TRY(compress::Compressor::open(codec)));
}

Status check_encoding(const compress::Compressed& encoded, ByteSpan source,
                      compress::Decompressor& decompressor, std::vector<std::byte>& scratch) {
  // Unencoded, it is the source itself.
  if (encoded.codec == compress::Codec::none && encoded.bytes.data() == source.data()) return ok();
  scratch.resize(source.size());
  const Status decoded = decompressor.decompress(encoded.codec, encoded.bytes, scratch);
  if (decoded && equal_bytes(scratch, source)) return ok();
  return Error(ErrorCode::io, "an encoded chunk does not decode to its source",
               "the memory or the processor of this machine may be faulty");
}

Result<EncodedChunk> ChunkEncoder::encode(const Source& source, MutableByteSpan into) {
  const compress::Compressed result = HAUL_TRY(compressor_.compress(source.bytes, into));
  HAUL_TRY(check_encoding(result, source.bytes, decompressor_, decoded_));
  EncodedChunk chunk;
  chunk.id = source.id;
  chunk.kind = source.kind;
  chunk.codec = result.codec;
  chunk.page_size_bytes = source.page_size_bytes;
  chunk.raw_bytes = static_cast<std::uint32_t>(source.bytes.size());
  chunk.stored = result.bytes;
  chunk.digests = source.digests;
  return chunk;
}

Status ChunkEncoder::store(const Source& source, PackStream& stream) {
  const auto found = HAUL_TRY(writer_->find(source.id));
  if (found) {
    writer_->note_reference(*found, source.digests.size());
    return ok();
  }
  compressed_.resize(
      std::max(compressed_.size(), compress::compressed_size_max(source.bytes.size())));
  const EncodedChunk chunk = HAUL_TRY(encode(source, compressed_));
  const PackRef pack = HAUL_TRY(stream.append(chunk));
  writer_->note_reference(pack, source.digests.size());
  return ok();
}

Result<ChunkId> ChunkEncoder::store_metadata(ChunkKind kind, ByteSpan bytes, PackStream& stream) {
  HAUL_ASSERT(is_metadata(kind) && !bytes.empty() && bytes.size() <= kMetadataChunkBytesMax);
  const Identity& identity = *writer_->cluster().identity;
  std::vector<Digest> digests(page_count(bytes.size(), kMetadataPageSize));
  identity.page_digests(bytes, kMetadataPageSize, digests);
  Source source;
  source.kind = kind;
  source.page_size_bytes = kMetadataPageSize;
  source.bytes = bytes;
  source.digests = digests;
  source.id = identity.chunk_id(kind, kMetadataPageSize, bytes.size(), digests);
  HAUL_TRY(store(source, stream));
  return source.id;
}

}  // namespace haul::repository
