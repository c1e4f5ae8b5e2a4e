#include "engine/backup/leaf_work.h"

#include <algorithm>
#include <cstring>

#include "base/format.h"
#include "engine/postgres/page_checksum.h"

namespace haul::backup {

using repository::ChunkEncoder;
using repository::ChunkId;
using repository::ChunkKind;
using repository::Digest;
using repository::PageFate;
using repository::ParentLeaf;
using State = CopiedChunk::State;

Result<LeafWork> LeafWork::open(repository::ChunkWriter& writer, compress::CodecChoice codec,
                                const PageCheckContext& pages, std::size_t workers,
                                ChangePace& pace) {
  LeafWork work(writer, pages, pace);
  for (std::size_t i = 0; i < workers; ++i) {
    work.encoders_.push_back(HAUL_TRY(ChunkEncoder::open(writer, codec)));
  }
  return work;
}

std::vector<PageChecker::Region> page_check_regions(const CopiedLeaf& leaf) {
  std::vector<PageChecker::Region> regions;
  const CopiedFile& file = *leaf.file;
  if (!file.planned.relation) return regions;
  const std::size_t page_bytes = file.shape.page_size_bytes;
  for_each_run(leaf.read, leaf.pages(), [&](std::size_t first, std::size_t end) {
    const std::size_t begin = first * page_bytes;
    PageChecker::Region where;
    where.file = file.file.get();
    where.path = &file.planned.path;
    where.offset = leaf.offset() + begin;
    where.first_block =
        file.planned.first_block + static_cast<std::uint32_t>(where.offset / page_bytes);
    where.bytes = leaf.bytes.subspan(begin, std::min(end * page_bytes, leaf.bytes.size()) - begin);
    regions.push_back(where);
  });
  return regions;
}

bool LeafWork::has_suspects(const CopyBatch& batch) const {
  return std::ranges::any_of(batch.leaves, [this](const CopiedLeaf& leaf) {
    return std::ranges::any_of(page_check_regions(leaf),
                               [this](const auto& region) { return has_suspect(pages_, region); });
  });
}

namespace {

// What has become of the pages of one leaf.
class Comparison {
 public:
  Comparison(const repository::Identity& identity, const CopiedLeaf& leaf,
             std::uint32_t chunk_pages)
      : identity_(identity), leaf_(leaf), chunk_pages_(chunk_pages) {
    fates.resize(leaf.pages());
    digests.resize((fates.size() + chunk_pages - 1) / chunk_pages);
    for (std::size_t region = 0; region < digests.size(); ++region) {
      const std::size_t first = region * chunk_pages_;
      const std::size_t end = std::min(first + chunk_pages_, fates.size());
      if (is_read(first, end)) {
        compare_region(region, first, end);
      } else {
        compare_pages(first, end);
      }
    }
  }

  std::vector<PageFate> fates;                 // by page
  std::vector<std::optional<Digest>> digests;  // by region; the zero digest for zeros

 private:
  std::size_t page_bytes() const { return leaf_.file->shape.page_size_bytes; }
  MutableByteSpan bytes_of(std::size_t first, std::size_t end) const {
    const std::size_t begin = first * page_bytes();
    return leaf_.bytes.subspan(begin, std::min(end * page_bytes(), leaf_.bytes.size()) - begin);
  }

  bool is_read(std::size_t first, std::size_t end) const {
    for (std::size_t page = first; page < end; ++page) {
      if (!leaf_.read[page]) return false;
    }
    return true;
  }

  // What was not read is as it was.
  void compare_pages(std::size_t first, std::size_t end) {
    for (std::size_t page = first; page < end; ++page) {
      if (!leaf_.read[page]) continue;
      leaf_.digests[page] = identity_.page_digest(bytes_of(page, page + 1));
      fates[page] = fate_of(page);
    }
  }

  void compare_region(std::size_t region, std::size_t first, std::size_t end) {
    const ByteSpan bytes = bytes_of(first, end);
    const auto of_region = std::span(fates).subspan(first, end - first);
    if (compress::is_zero(bytes)) {
      digests[region] = Digest{};
      std::ranges::fill(of_region, PageFate::zero);
      for (std::size_t page = first; page < end; ++page) {
        if (has_parent(page) && leaf_.parent->is_hole(page)) fates[page] = PageFate::kept;
      }
      return;
    }
    const auto page_digests = leaf_.digests.subspan(first, end - first);
    identity_.page_digests(bytes, static_cast<std::uint32_t>(page_bytes()), page_digests);
    digests[region] = identity_.chunk_id(ChunkKind::data, static_cast<std::uint32_t>(page_bytes()),
                                         bytes.size(), page_digests);
    if (is_as_before(region, first, end)) {
      std::ranges::fill(of_region, PageFate::kept);
    } else {
      for (std::size_t page = first; page < end; ++page) fates[page] = fate_of(page);
    }
  }

  bool has_parent(std::size_t page) const {
    return leaf_.parent && page < leaf_.parent->pages.size();
  }

  bool is_as_before(std::size_t region, std::size_t first, std::size_t end) const {
    if (!has_parent(end - 1) ||
        leaf_.parent->map.region_digest(region, chunk_pages_) != digests[region]) {
      return false;
    }
    for (std::size_t page = first; page < end; ++page) {
      if (!leaf_.parent->is_usable(page)) return false;
    }
    return true;
  }

  PageFate fate_of(std::size_t page) const {
    if (!has_parent(page)) return PageFate::changed;
    const ParentLeaf& parent = *leaf_.parent;
    const bool stored = !parent.is_hole(page) && parent.is_usable(page);
    if (stored && parent.pages[page].tag == leaf_.digests[page].tag()) {
      return PageFate::kept;
    }
    if (!compress::is_zero(bytes_of(page, page + 1))) return PageFate::changed;
    return parent.is_hole(page) ? PageFate::kept : PageFate::zero;
  }

  const repository::Identity& identity_;
  const CopiedLeaf& leaf_;
  const std::uint32_t chunk_pages_;
};

}  // namespace

Status LeafWork::digest(std::size_t worker, CopyBatch& batch) {
  for (CopiedLeaf& leaf : batch.leaves) HAUL_TRY(digest_leaf(batch, leaf));
  return encode(worker, batch);
}

// Pages of which no WAL says that they have changed are as the parent has them, unless they have
// changed since the backup began: then most say so themselves.
repository::PageSet LeafWork::audit(const CopiedLeaf& leaf, std::span<const PageFate> fates) const {
  repository::PageSet suspects;
  const std::size_t page_bytes = leaf.file->shape.page_size_bytes;
  for (std::size_t page = 0; page < fates.size(); ++page) {
    if (!leaf.read[page] || leaf.may_differ[page] || fates[page] == PageFate::kept) continue;
    if (postgres::page_lsn(leaf.bytes.subspan(page * page_bytes, page_bytes)) >= pages_.start) {
      continue;
    }
    suspects.set(page);
  }
  return suspects;
}

Status LeafWork::digest_leaf(CopyBatch& batch, CopiedLeaf& leaf) const {
  Comparison comparison(*writer_->cluster().identity, leaf, chunk_pages());
  leaf.suspects = audit(leaf, comparison.fates);
  const ParentLeaf* const parent = leaf.parent ? &*leaf.parent : nullptr;
  const auto changed =
      static_cast<std::uint64_t>(std::ranges::count(comparison.fates, PageFate::changed));
  const repository::LeafPlan plan = repository::plan_leaf(
      parent, std::move(comparison.fates), leaf.read, chunk_pages(), pace_->of(changed));
  if (parent != nullptr) pace_->note(plan.changed_pages);
  leaf.changed_pages = plan.changed_pages;
  leaf.first_chunk = batch.chunks.size();
  std::vector<ChunkId> ids;
  for (const repository::NewChunk& chunk : plan.chunks) {
    CopiedChunk& added = add_chunk(batch, leaf, chunk);
    // A region's has been computed.
    added.id = chunk.is_region
                   ? *comparison.digests[chunk.pages.front() / chunk_pages()]
                   : writer_->cluster().identity->chunk_id(ChunkKind::data, added.page_size_bytes,
                                                           added.bytes.size(), added.digests);
    added.state = writer_->may_hold(added.id) ? State::maybe_stored : State::to_encode;
    ids.push_back(added.id);
  }
  leaf.made = repository::make_leaf(parent, plan, ids, comparison.digests, chunk_pages());
  return ok();
}

CopiedChunk& LeafWork::add_chunk(CopyBatch& batch, const CopiedLeaf& leaf,
                                 const repository::NewChunk& plan) {
  const std::size_t page_bytes = leaf.file->shape.page_size_bytes;
  CopiedChunk& chunk = batch.chunks.emplace_back();
  chunk.page_size_bytes = leaf.file->shape.page_size_bytes;
  const auto page_of = [&](std::size_t page) {
    const std::size_t begin = page * page_bytes;
    return leaf.bytes.subspan(begin, std::min(page_bytes, leaf.bytes.size() - begin));
  };
  if (plan.is_region) {
    const std::size_t begin = plan.pages.front() * page_bytes;
    const MutableByteSpan last = page_of(plan.pages.back());
    chunk.bytes = leaf.bytes.subspan(
        begin, static_cast<std::size_t>(last.data() - leaf.bytes.data()) + last.size() - begin);
    chunk.digests = leaf.digests.subspan(plan.pages.front(), plan.pages.size());
  } else {
    std::size_t size_bytes = 0;
    for (const std::uint16_t page : plan.pages) size_bytes += page_of(page).size();
    const MutableByteSpan gathered = batch.gathering_room(size_bytes);
    const std::span<Digest> digests = batch.digests_of_gathered(plan.pages.size());
    std::size_t used = 0;
    for (std::size_t i = 0; i < plan.pages.size(); ++i) {
      const MutableByteSpan page = page_of(plan.pages[i]);
      std::memcpy(gathered.data() + used, page.data(), page.size());
      used += page.size();
      digests[i] = leaf.digests[plan.pages[i]];
    }
    chunk.gathered = true;
    chunk.bytes = gathered;
    chunk.digests = digests;
  }
  return chunk;
}

Status LeafWork::encode(std::size_t worker, CopyBatch& batch) {
  for (CopiedChunk& chunk : batch.chunks) {
    if (chunk.state != State::to_encode) continue;
    ChunkEncoder::Source source;
    source.kind = ChunkKind::data;
    source.page_size_bytes = chunk.page_size_bytes;
    source.bytes = chunk.bytes;
    source.digests = chunk.digests;
    source.id = chunk.id;
    chunk.chunk = HAUL_TRY(encoders_[worker].encode(source, batch.encoding_room()));
    // What does not compress stays where it is.
    if (chunk.chunk.stored.data() != chunk.bytes.data()) {
      batch.use_encoding_room(chunk.chunk.stored.size());
    }
    chunk.state = State::encoded;
  }
  return ok();
}

}  // namespace haul::backup
