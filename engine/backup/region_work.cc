#include "engine/backup/region_work.h"

#include <algorithm>

namespace haul::backup {

using repository::ChunkEncoder;
using repository::ChunkKind;
using State = CopiedRegion::State;

Result<RegionWork> RegionWork::open(repository::ChunkWriter& writer, compress::CodecChoice codec,
                                    const PageCheckContext& pages, std::size_t workers) {
  RegionWork work(writer, pages);
  for (std::size_t i = 0; i < workers; ++i) {
    work.encoders_.push_back(HAUL_TRY(ChunkEncoder::open(writer, codec)));
  }
  return work;
}

PageChecker::Region page_check_region(const CopiedRegion& region) {
  const CopiedFile& file = *region.file;
  PageChecker::Region where;
  where.file = file.file.get();
  where.path = &file.planned.path;
  where.offset = region.offset();
  where.first_block = file.planned.first_block +
                      static_cast<std::uint32_t>(where.offset / file.shape.page_size_bytes);
  where.bytes = region.bytes;
  return where;
}

bool RegionWork::has_suspects(const CopyBatch& batch) const {
  return std::ranges::any_of(batch.regions, [this](const CopiedRegion& region) {
    return region.file->planned.relation && has_suspect(pages_, page_check_region(region));
  });
}

Status RegionWork::digest(std::size_t worker, CopyBatch& batch) {
  const repository::Identity& identity = *writer_->cluster().identity;
  for (CopiedRegion& region : batch.regions) {
    if (compress::is_zero(region.bytes)) {
      region.state = State::hole;
      continue;
    }
    const std::uint32_t page_size_bytes = region.file->shape.page_size_bytes;
    identity.page_digests(region.bytes, page_size_bytes, region.digests);
    region.id =
        identity.chunk_id(ChunkKind::data, page_size_bytes, region.bytes.size(), region.digests);
    region.state = writer_->may_hold(region.id) ? State::maybe_stored : State::to_encode;
  }
  return encode(worker, batch);
}

Status RegionWork::encode(std::size_t worker, CopyBatch& batch) {
  for (CopiedRegion& region : batch.regions) {
    if (region.state != State::to_encode) continue;
    ChunkEncoder::Source source;
    source.kind = ChunkKind::data;
    source.page_size_bytes = region.file->shape.page_size_bytes;
    source.bytes = region.bytes;
    source.digests = region.digests;
    source.id = region.id;
    region.chunk = HAUL_TRY(encoders_[worker].encode(source, batch.encoding_room()));
    // What does not compress stays where it was read.
    if (region.chunk.stored.data() != region.bytes.data()) {
      batch.used_encoded_bytes += region.chunk.stored.size();
    }
    region.state = State::encoded;
  }
  return ok();
}

}  // namespace haul::backup
