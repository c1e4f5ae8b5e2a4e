#include "engine/repository/chunk_reader.h"

#include <algorithm>

#include "base/format.h"

namespace haul::repository {

namespace {

// About 300 KiB of footer each.
constexpr std::size_t kOpenPacksMax = 64;

bool is_damage(const Error& error) {
  return error.code() == ErrorCode::corrupt || error.code() == ErrorCode::unsupported ||
         error.code() == ErrorCode::not_found;
}

}  // namespace

ChunkReader::ChunkReader(const Cluster& cluster, Index& index, Findings& findings)
    : cluster_(cluster), index_(&index), findings_(&findings) {}

Result<ChunkBytes> ChunkReader::read(ChunkKind kind, const ChunkId& id,
                                     std::uint32_t size_max_bytes) {
  std::vector<ChunkLocation> tried;
  std::string failures;
  const Attempt attempt{kind, id, size_max_bytes};
  ChunkBytes bytes = HAUL_TRY(read_any(HAUL_TRY(index_->find(id)), attempt, tried, failures));
  if (!bytes) {
    // Packs without a run may hold another copy: a killed backup's, or the same pack elsewhere.
    HAUL_TRY(index_->load_packs_without_run());
    bytes = HAUL_TRY(read_any(HAUL_TRY(index_->find(id)), attempt, tried, failures));
  }
  if (bytes) return bytes;
  if (tried.empty()) failures = "no pack holds it";
  return Error(ErrorCode::corrupt,
               format("chunk {} cannot be read: {}", to_hex(id.bytes).substr(0, 16), failures));
}

// The first copy that can be read of those not tried yet; null when there is none.
Result<ChunkBytes> ChunkReader::read_any(const std::vector<ChunkLocation>& locations,
                                         const Attempt& attempt, std::vector<ChunkLocation>& tried,
                                         std::string& failures) {
  for (const ChunkLocation& location : locations) {
    if (std::ranges::find(tried, location) != tried.end()) continue;
    tried.push_back(location);
    auto bytes = read_at(location, attempt);
    if (bytes || !is_damage(bytes.error())) return bytes;
    findings_->add(bytes.error().message());
    failures += failures.empty() ? bytes.error().message() : "; " + bytes.error().message();
  }
  return ChunkBytes();
}

Result<ChunkBytes> ChunkReader::read_at(const ChunkLocation& location, const Attempt& attempt) {
  const OpenPack pack = HAUL_TRY(open_pack(location.pack));
  std::size_t ordinal = location.ordinal;
  // A run and its pack disagree only when one of them is damaged or foreign; the pack knows what it
  // holds.
  if (ordinal >= pack->chunks().size() || pack->chunks()[ordinal].id != attempt.id) {
    const auto found = std::ranges::find(pack->chunks(), attempt.id, &PackedChunk::id);
    if (found == pack->chunks().end()) {
      return Error(ErrorCode::corrupt, format("{}: the chunk is not in this pack",
                                              cluster_.layout.pack(location.pack)));
    }
    ordinal = static_cast<std::size_t>(std::distance(pack->chunks().begin(), found));
  }
  const PackedChunk& chunk = pack->chunks()[ordinal];
  if (chunk.kind != attempt.kind || chunk.raw_bytes > attempt.size_max_bytes) {
    return Error(ErrorCode::corrupt, format("{}: chunk {} is of another kind or size",
                                            cluster_.layout.pack(location.pack), ordinal));
  }
  auto bytes = std::make_shared<std::vector<std::byte>>(chunk.raw_bytes);
  compress::Decompressor decompressor;
  HAUL_TRY(pack->read_chunk(ordinal, decompressor, *bytes));
  return ChunkBytes(std::move(bytes));
}

Result<ChunkReader::OpenPack> ChunkReader::open_pack(const PackRef& ref) {
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = packs_.find(ref); found != packs_.end()) {
      recent_packs_.splice(recent_packs_.begin(), recent_packs_, found->second);
      return found->second->second;
    }
  }
  auto opened = std::make_shared<PackReader>(HAUL_TRY(PackReader::open(cluster_, ref)));
  if (opened->source() == PackReader::Source::frames) findings_->add(opened->footer_damage());
  const std::scoped_lock lock(mutex_);
  if (const auto found = packs_.find(ref); found != packs_.end()) return found->second->second;
  recent_packs_.emplace_front(ref, opened);
  packs_.emplace(ref, recent_packs_.begin());
  if (recent_packs_.size() > kOpenPacksMax) {
    packs_.erase(recent_packs_.back().first);
    recent_packs_.pop_back();
  }
  return OpenPack(std::move(opened));
}

}  // namespace haul::repository
