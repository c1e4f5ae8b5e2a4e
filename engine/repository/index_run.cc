#include "engine/repository/index_run.h"

#include <algorithm>
#include <map>

#include "base/format.h"
#include "compress/checksum.h"

namespace haul::repository {

namespace {

constexpr std::size_t kBlockBytes = 16384;
constexpr std::size_t kEntryBytes = 40;
constexpr std::size_t kEntriesPerBlock = 409;
constexpr std::size_t kBlockHeaderBytes = 8;
constexpr std::size_t kBlockChecksumBytes = 16;
constexpr std::size_t kRunHeaderBytes = 96;
constexpr std::size_t kRunChecksumOffset = kRunHeaderBytes - 16;
constexpr std::size_t kDirectoryAlignment = 64;
constexpr std::size_t kFilterWords = 8;
constexpr std::uint64_t kFilterBitsPerEntry = 10;
// A directory larger than this would index more than 10^9 chunks; a run is merged long before.
constexpr std::uint64_t kDirectoryBytesMax = 4ULL << 30;

static_assert(kBlockHeaderBytes + kEntriesPerBlock * kEntryBytes + kBlockChecksumBytes ==
              kBlockBytes);

// Every block is full but the last one, which is as long as its entries ask for.
constexpr std::size_t block_bytes(std::size_t entries) {
  return kBlockHeaderBytes + entries * kEntryBytes + kBlockChecksumBytes;
}

Error corrupt(const std::string& key, std::string_view what) {
  return Error(ErrorCode::corrupt, format("{}: {}", key, what));
}

// A split block filter: an id picks one block of 8 words and one bit in each. Ids are already
// uniform, so their own bytes serve as hash values.
struct FilterProbe {
  std::size_t block;
  std::array<std::uint32_t, kFilterWords> bits;
};

FilterProbe probe_of(const ChunkId& id, std::size_t filter_blocks) {
  ByteReader in(id.bytes);
  const std::uint64_t where = in.u64();
  std::uint64_t which = in.u64();
  FilterProbe probe{static_cast<std::size_t>(where % filter_blocks), {}};
  for (std::uint32_t& bit : probe.bits) {
    bit = 1U << (which & 31U);
    which >>= 5U;
  }
  return probe;
}

std::vector<std::uint32_t> build_filter(const std::vector<RunEntry>& entries) {
  const std::size_t blocks =
      std::max<std::size_t>(1, entries.size() * kFilterBitsPerEntry / (kFilterWords * 32) + 1);
  std::vector<std::uint32_t> filter(blocks * kFilterWords);
  for (const RunEntry& entry : entries) {
    const FilterProbe probe = probe_of(entry.id, blocks);
    for (std::size_t i = 0; i < kFilterWords; ++i)
      filter[probe.block * kFilterWords + i] |= probe.bits[i];
  }
  return filter;
}

// Over the run's key and the block's number too: a block of another run or place is none of ours.
compress::Checksum block_checksum(const std::string& key, std::size_t block, ByteSpan covered) {
  ByteWriter number;
  number.u64(block);
  compress::Checksummer sum;
  sum.update(bytes_of(key)).update(number.view()).update(covered);
  return sum.finish();
}

void write_block(ByteWriter& out, const std::string& key, std::size_t block,
                 std::span<const RunEntry> entries) {
  const std::size_t start = out.size();
  out.u32(static_cast<std::uint32_t>(entries.size()));
  out.u32(0);
  for (const RunEntry& entry : entries) {
    out.bytes(entry.id.bytes);
    out.u32(entry.pack);
    out.u32(entry.ordinal);
  }
  out.bytes(block_checksum(key, block, out.view().subspan(start)).bytes);
}

// Leases as a string table, so that 160,000 packs do not repeat one name.
void write_packs(ByteWriter& out, const std::vector<IndexedPack>& packs) {
  std::map<std::string, std::uint32_t> leases;
  for (const IndexedPack& pack : packs) leases.emplace(pack.ref.lease, 0);
  out.u32(static_cast<std::uint32_t>(leases.size()));
  std::uint32_t next = 0;
  for (auto& [lease, number] : leases) {
    number = next++;
    out.short_text(lease);
  }
  for (const IndexedPack& pack : packs) {
    out.bytes(pack.ref.name.bytes);
    out.u32(leases.at(pack.ref.lease));
    out.u32(pack.chunks);
    out.u64(pack.size_bytes);
  }
}

compress::Checksum directory_checksum(const std::string& key, ByteSpan object,
                                      std::size_t directory_bytes) {
  compress::Checksummer sum;
  sum.update(bytes_of(key)).update(object.first(kRunChecksumOffset));
  sum.update(object.subspan(kRunHeaderBytes, directory_bytes));
  return sum.finish();
}

}  // namespace

std::vector<std::byte> encode_index_run(IndexRunContent content, const RepositoryId& repository,
                                        const std::string& key) {
  std::ranges::sort(content.entries, {},
                    [](const RunEntry& e) { return std::tie(e.id, e.pack, e.ordinal); });
  const auto [duplicates, end] = std::ranges::unique(content.entries, {}, &RunEntry::id);
  content.entries.erase(duplicates, end);
  for (const RunEntry& entry : content.entries) {
    HAUL_ASSERT(entry.pack < content.packs.size() &&
                entry.ordinal < content.packs[entry.pack].chunks);
  }

  const std::vector<std::uint32_t> filter = build_filter(content.entries);
  const std::size_t blocks = (content.entries.size() + kEntriesPerBlock - 1) / kEntriesPerBlock;
  ByteWriter out;
  write_object_header(out, ObjectKind::index_run, repository);
  out.u64(content.entries.size());
  out.u64(0);  // directory length, patched below
  out.u32(static_cast<std::uint32_t>(content.packs.size()));
  out.u32(static_cast<std::uint32_t>(content.superseded.size()));
  out.u32(static_cast<std::uint32_t>(blocks));
  out.u32(static_cast<std::uint32_t>(filter.size()));
  out.zeros(kRunHeaderBytes - out.size());

  write_packs(out, content.packs);
  for (const RunRef& run : content.superseded) {
    out.short_text(run.lease);
    out.u32(run.number);
  }
  for (std::size_t i = 0; i < content.entries.size(); i += kEntriesPerBlock)
    out.bytes(content.entries[i].id.bytes);
  for (const std::uint32_t word : filter) out.u32(word);
  out.pad_to_multiple_of(kDirectoryAlignment);

  const std::size_t directory_bytes = out.size() - kRunHeaderBytes;
  ByteWriter length;
  length.u64(directory_bytes);
  out.patch(kObjectHeaderBytes + 8, length.view());
  out.patch(kRunChecksumOffset, directory_checksum(key, out.view(), directory_bytes).bytes);

  for (std::size_t i = 0; i < content.entries.size(); i += kEntriesPerBlock) {
    const std::size_t count = std::min(kEntriesPerBlock, content.entries.size() - i);
    write_block(out, key, i / kEntriesPerBlock, std::span(content.entries).subspan(i, count));
  }
  return std::move(out).take();
}

Result<IndexRun> IndexRun::open(const Cluster& cluster, const RunRef& ref) {
  IndexRun run;
  run.ref_ = ref;
  run.key_ = cluster.layout.run(ref);
  run.object_ = HAUL_TRY(cluster.store->open(run.key_));
  const std::uint64_t size = run.object_->size_bytes();
  if (size < kRunHeaderBytes) return corrupt(run.key_, "too short for an index run");
  std::vector<std::byte> head(kRunHeaderBytes);
  HAUL_TRY(run.object_->read_at(0, head));
  ByteReader in(head);
  const RepositoryId owner = HAUL_TRY(read_object_header(in, ObjectKind::index_run, run.key_));
  in.u64();
  const std::uint64_t directory_bytes = in.u64();
  if (directory_bytes > size - kRunHeaderBytes || directory_bytes > kDirectoryBytesMax) {
    return corrupt(run.key_, "the directory does not fit the run");
  }
  head.resize(kRunHeaderBytes + directory_bytes);
  HAUL_TRY(run.object_->read_at(kRunHeaderBytes, MutableByteSpan(head).subspan(kRunHeaderBytes)));
  if (directory_checksum(run.key_, head, directory_bytes).bytes !=
      ByteReader(ByteSpan(head).subspan(kRunChecksumOffset)).array<16>()) {
    return corrupt(run.key_, "directory checksum does not match");
  }
  if (owner != cluster.repository) return corrupt(run.key_, "belongs to another repository");
  HAUL_TRY(run.parse_directory(head));
  if (size != run.blocks_offset_ + run.blocks_bytes()) return corrupt(run.key_, "the run was cut");
  return run;
}

Status IndexRun::parse_directory(ByteSpan directory) {
  ByteReader in(directory);
  in.bytes(kObjectHeaderBytes);
  entries_ = in.u64();
  blocks_offset_ = kRunHeaderBytes + in.u64();
  const std::uint32_t pack_count = in.u32();
  const std::uint32_t superseded_count = in.u32();
  const std::uint32_t block_count = in.u32();
  const std::uint32_t filter_words = in.u32();
  in.zeros(kRunChecksumOffset - in.position());
  in.bytes(16);

  std::vector<std::string> leases;
  const std::uint32_t lease_count = in.u32();
  for (std::uint32_t i = 0; i < lease_count; ++i) {
    leases.push_back(in.short_text());
    if (!is_backup_name(leases.back())) return corrupt(key_, "a lease's name is not valid");
  }
  for (std::uint32_t i = 0; i < pack_count && in.ok(); ++i) {
    IndexedPack pack;
    pack.ref.name.bytes = in.array<32>();
    const std::uint32_t lease = in.u32();
    pack.chunks = in.u32();
    pack.size_bytes = in.u64();
    if (lease >= leases.size()) return corrupt(key_, "a pack names no lease");
    pack.ref.lease = leases[lease];
    packs_.push_back(std::move(pack));
  }
  for (std::uint32_t i = 0; i < superseded_count && in.ok(); ++i) {
    RunRef run{in.short_text(), 0};
    run.number = in.u32();
    if (!is_backup_name(run.lease) || run.number == 0) {
      return corrupt(key_, "a superseded run's name is not valid");
    }
    superseded_.push_back(std::move(run));
  }
  for (std::uint32_t i = 0; i < block_count && in.ok(); ++i)
    fences_.push_back(ChunkId{in.array<32>()});
  for (std::uint32_t i = 0; i < filter_words && in.ok(); ++i) filter_.push_back(in.u32());
  in.zeros(in.remaining());
  const std::uint64_t entries_max = std::uint64_t{block_count} * kEntriesPerBlock;
  const bool blocks_fit = entries_ <= entries_max && entries_max - entries_ < kEntriesPerBlock;
  // No id occurs twice: every block begins after the one before it.
  const bool fences_ascend =
      std::ranges::adjacent_find(fences_, std::ranges::greater_equal{}) == fences_.end();
  if (!in.ok() || !blocks_fit || !fences_ascend || filter_.empty() ||
      filter_.size() % kFilterWords != 0) {
    return corrupt(key_, "the directory is not valid");
  }
  return ok();
}

std::uint64_t IndexRun::blocks_bytes() const {
  if (entries_ == 0) return 0;
  const std::uint64_t full = fences_.size() - 1;
  return full * kBlockBytes + block_bytes(entries_ - full * kEntriesPerBlock);
}

bool IndexRun::may_hold(const ChunkId& id) const {
  if (fences_.empty()) return false;
  const FilterProbe probe = probe_of(id, filter_.size() / kFilterWords);
  for (std::size_t i = 0; i < kFilterWords; ++i) {
    if ((filter_[probe.block * kFilterWords + i] & probe.bits[i]) == 0) return false;
  }
  return true;
}

std::optional<RunEntry> find_entry(const std::vector<RunEntry>& entries, const ChunkId& id) {
  const auto found = std::ranges::lower_bound(entries, id, {}, &RunEntry::id);
  if (found == entries.end() || found->id != id) return std::nullopt;
  return *found;
}

std::optional<std::size_t> IndexRun::block_of(const ChunkId& id) const {
  if (!may_hold(id)) return std::nullopt;
  const auto after = std::ranges::upper_bound(fences_, id);
  if (after == fences_.begin()) return std::nullopt;
  return static_cast<std::size_t>(std::distance(fences_.begin(), after) - 1);
}

Result<std::optional<RunEntry>> IndexRun::find(const ChunkId& id) const {
  const auto block = block_of(id);
  if (!block) return std::nullopt;
  return find_entry(HAUL_TRY(read_block(*block)), id);
}

Result<std::vector<RunEntry>> IndexRun::read_block(std::size_t block) const {
  HAUL_ASSERT(block < fences_.size());
  const std::size_t expected =
      std::min<std::uint64_t>(kEntriesPerBlock, entries_ - block * kEntriesPerBlock);
  std::vector<std::byte> bytes(block_bytes(expected));
  HAUL_TRY(object_->read_at(blocks_offset_ + block * kBlockBytes, bytes));
  const ByteSpan covered = ByteSpan(bytes).first(bytes.size() - kBlockChecksumBytes);
  ByteReader stored_sum(ByteSpan(bytes).subspan(covered.size()));
  ByteReader in(covered);
  const std::size_t count = in.u32();
  in.zeros(4);
  const compress::Checksum sum = block_checksum(key_, block, covered);
  if (sum.bytes != stored_sum.array<16>() || count != expected || !in.ok()) {
    return corrupt(key_, format("block {} is damaged", block));
  }
  std::vector<RunEntry> entries;
  entries.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    RunEntry entry;
    entry.id = ChunkId{in.array<32>()};
    entry.pack = in.u32();
    entry.ordinal = in.u32();
    const bool ordered =
        entries.empty() ? entry.id == fences_[block] : entries.back().id < entry.id;
    const bool placed = entry.pack < packs_.size() && entry.ordinal < packs_[entry.pack].chunks;
    if (!ordered || !placed) return corrupt(key_, format("block {} is not valid", block));
    entries.push_back(entry);
  }
  if (block + 1 < fences_.size() && !(entries.back().id < fences_[block + 1])) {
    return corrupt(key_, format("block {} is not valid", block));
  }
  return entries;
}

}  // namespace haul::repository
