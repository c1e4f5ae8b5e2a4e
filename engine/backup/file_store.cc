#include "engine/backup/file_store.h"

#include <algorithm>

namespace haul::backup {

using repository::ChunkId;
using repository::ChunkKind;

Result<ChunkId> store_region(ByteSpan bytes, std::uint32_t page_size_bytes,
                             repository::ChunkWriter& writer, repository::ChunkEncoder& encoder,
                             repository::PackStream& data,
                             std::vector<repository::Digest>& digests) {
  if (compress::is_zero(bytes)) return ChunkId{};
  const repository::Identity& identity = *writer.cluster().identity;
  digests.resize(repository::page_count(bytes.size(), page_size_bytes));
  identity.page_digests(bytes, page_size_bytes, digests);
  repository::ChunkEncoder::Source source;
  source.kind = ChunkKind::data;
  source.page_size_bytes = page_size_bytes;
  source.bytes = bytes;
  source.digests = digests;
  source.id = identity.chunk_id(ChunkKind::data, page_size_bytes, bytes.size(), digests);
  HAUL_TRY(encoder.store(source, data));
  return source.id;
}

FileStore::FileStore(repository::ChunkWriter& writer, repository::ChunkEncoder encoder,
                     ChunkStreams streams)
    : writer_(&writer), encoder_(std::move(encoder)), streams_(streams) {}

void FileStore::begin(repository::TreeEntry entry) {
  entry_ = std::move(entry);
  shape_ = {entry_.size_bytes, entry_.page_size_bytes, writer_->cluster().parameters.chunk_pages};
  region_.clear();
  region_ids_.clear();
  leaf_ids_.clear();
  received_bytes_ = 0;
}

Status FileStore::append(ByteSpan bytes) {
  received_bytes_ += bytes.size();
  HAUL_ASSERT(received_bytes_ <= shape_.size_bytes);
  while (!bytes.empty()) {
    const std::size_t count =
        std::min<std::size_t>(bytes.size(), shape_.region_bytes() - region_.size());
    region_.insert(region_.end(), bytes.begin(),
                   bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes = bytes.subspan(count);
    if (region_.size() == shape_.region_bytes()) HAUL_TRY(end_region());
  }
  return ok();
}

Status FileStore::end_region() {
  std::vector<repository::Digest> digests;
  const ChunkId id = HAUL_TRY(
      store_region(region_, shape_.page_size_bytes, *writer_, encoder_, *streams_.data, digests));
  if (id.is_zero()) hole_bytes_ += region_.size();
  region_ids_.push_back(id);
  region_.clear();
  const bool leaf_is_full = region_ids_.size() == repository::kLeafPages / shape_.chunk_pages;
  return leaf_is_full && !shape_.inlined() ? end_leaf() : ok();
}

Status FileStore::end_leaf() {
  leaf_ids_.push_back(
      HAUL_TRY(repository::store_leaf(repository::plain_leaf(region_ids_, shape_, leaf_ids_.size()),
                                      encoder_, *streams_.metadata)));
  region_ids_.clear();
  return ok();
}

Result<repository::TreeEntry> FileStore::finish() {
  HAUL_ASSERT(received_bytes_ == shape_.size_bytes);
  if (!region_.empty()) HAUL_TRY(end_region());
  if (shape_.size_bytes == 0) {
    entry_.content = repository::ContentKind::none;
  } else if (shape_.inlined()) {
    entry_.content = repository::ContentKind::inlined;
    entry_.ids = std::move(region_ids_);
  } else {
    if (!region_ids_.empty()) HAUL_TRY(end_leaf());
    HAUL_TRY(repository::finish_map(std::move(leaf_ids_), entry_, encoder_, *streams_.metadata));
  }
  return std::move(entry_);
}

Result<repository::TreeEntry> FileStore::store(repository::TreeEntry entry, ByteSpan bytes) {
  entry.size_bytes = bytes.size();
  begin(std::move(entry));
  HAUL_TRY(append(bytes));
  return finish();
}

}  // namespace haul::backup
