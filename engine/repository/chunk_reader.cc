#include "engine/repository/chunk_reader.h"

#include <algorithm>
#include <iterator>

#include "base/format.h"

namespace haul::repository {

namespace {

// Lists of packs take 300 to 700 KiB each; a file that was overlaid a hundred times draws on as
// many packs, leaf by leaf.
constexpr std::size_t kOpenPackBytesMax = 128 * 1024 * 1024;

// What one more chunk takes where all are looked up.
constexpr std::size_t kListedBytes = sizeof(ChunkId) + 5 * sizeof(void*);

std::size_t list_bytes(const PackReader& pack) {
  std::size_t bytes = sizeof(PackReader);
  for (const PackedChunk& chunk : pack.chunks()) {
    bytes += sizeof(PackedChunk) + chunk.tags.size() * sizeof(std::uint64_t) + kListedBytes;
  }
  return bytes;
}

// Failures that say something about one copy and nothing about another.
bool concerns_one_copy(const Error& error) {
  return error.code() == ErrorCode::corrupt || error.code() == ErrorCode::unsupported ||
         error.code() == ErrorCode::not_found || error.code() == ErrorCode::io;
}

}  // namespace

ChunkReader::ChunkReader(const Cluster& cluster, Index& index, Findings& findings)
    : cluster_(cluster), index_(&index), findings_(&findings) {}

Result<ChunkBytes> ChunkReader::read(ChunkKind kind, const ChunkId& id,
                                     std::uint32_t size_max_bytes) {
  Attempt attempt{kind, id, size_max_bytes, {}, {}};
  ChunkBytes bytes;
  if (const auto listed = find_listed(id)) {
    bytes = HAUL_TRY(
        read_any({{listed->pack->ref(), static_cast<std::uint32_t>(listed->ordinal)}}, attempt));
  }
  if (!bytes) bytes = HAUL_TRY(read_any(HAUL_TRY(index_->find(id)), attempt));
  if (!bytes) {
    // Packs without a run may hold another copy: a killed backup's, or the same pack elsewhere.
    HAUL_TRY(index_->load_packs_without_run());
    bytes = HAUL_TRY(read_any(HAUL_TRY(index_->find(id)), attempt));
  }
  if (!bytes) {
    // What came back wrong may come back right when it is asked for again.
    attempt.tried.clear();
    bytes = HAUL_TRY(read_any(HAUL_TRY(index_->find(id)), attempt));
  }
  if (bytes) return bytes;
  std::string failures;
  ErrorCode code = ErrorCode::corrupt;
  for (const Error& failure : attempt.failures) {
    failures += (failures.empty() ? "" : "; ") + failure.message();
    // The copy may be sound: it is not known to be lost.
    if (failure.code() == ErrorCode::io) code = ErrorCode::io;
  }
  if (failures.empty()) failures = "no pack holds it";
  return Error(code,
               format("chunk {} cannot be read: {}", to_hex(id.bytes).substr(0, 16), failures));
}

Result<std::optional<StoredChunk>> ChunkReader::find(const ChunkId& id,
                                                     std::uint32_t size_max_bytes) {
  const Attempt attempt{ChunkKind::data, id, size_max_bytes, {}, {}};
  if (auto listed = find_listed(id); listed && fits(listed->chunk(), attempt)) return listed;
  for (const ChunkLocation& location : HAUL_TRY(index_->find(id))) {
    auto found = find_at(location, attempt);
    if (found) return std::move(found).take();
    if (!concerns_one_copy(found.error())) return std::move(found).take_error();
    findings_->add(found.error().message());
  }
  return std::nullopt;
}

// The first copy that can be read of those not tried yet; null when there is none.
Result<ChunkBytes> ChunkReader::read_any(const std::vector<ChunkLocation>& locations,
                                         Attempt& attempt) {
  for (const ChunkLocation& location : locations) {
    if (std::ranges::find(attempt.tried, location) != attempt.tried.end()) continue;
    attempt.tried.push_back(location);
    auto bytes = read_at(location, attempt);
    if (bytes || !concerns_one_copy(bytes.error())) return bytes;
    const bool is_known = std::ranges::any_of(attempt.failures, [&](const Error& known) {
      return known.message() == bytes.error().message();
    });
    if (is_known) continue;
    findings_->add(bytes.error().message());
    attempt.failures.push_back(std::move(bytes).take_error());
  }
  return ChunkBytes();
}

bool ChunkReader::fits(const PackedChunk& chunk, const Attempt& attempt) {
  return chunk.kind == attempt.kind && chunk.raw_bytes <= attempt.size_max_bytes;
}

Result<StoredChunk> ChunkReader::find_at(const ChunkLocation& location, const Attempt& attempt) {
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
  if (!fits(pack->chunks()[ordinal], attempt)) {
    return Error(ErrorCode::corrupt, format("{}: chunk {} is of another kind or size",
                                            cluster_.layout.pack(location.pack), ordinal));
  }
  return StoredChunk{pack, ordinal};
}

Result<ChunkBytes> ChunkReader::read_at(const ChunkLocation& location, const Attempt& attempt) {
  const StoredChunk stored = HAUL_TRY(find_at(location, attempt));
  auto bytes = std::make_shared<std::vector<std::byte>>(stored.chunk().raw_bytes);
  // Making one takes longer than decoding a leaf of a map.
  static thread_local compress::Decompressor decompressor;
  HAUL_TRY(stored.pack->read_chunk(stored.ordinal, decompressor, *bytes));
  return ChunkBytes(std::move(bytes));
}

Result<ChunkReader::OpenPack> ChunkReader::open_pack(const PackRef& ref) {
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = packs_.find(ref); found != packs_.end()) {
      recent_packs_.splice(recent_packs_.begin(), recent_packs_, found->second);
      return *found->second;
    }
  }
  auto opened = std::make_shared<PackReader>(HAUL_TRY(PackReader::open(cluster_, ref)));
  if (opened->source() == PackReader::Source::frames) findings_->add(opened->footer_damage());
  const std::scoped_lock lock(mutex_);
  if (const auto found = packs_.find(ref); found != packs_.end()) return *found->second;
  add_open(opened);
  while (recent_packs_.size() > 1 &&
         (open_bytes_ > kOpenPackBytesMax || recent_packs_.size() > kOpenPacksMax)) {
    close_oldest();
  }
  return OpenPack(std::move(opened));
}

bool ChunkReader::open_ahead(const PackRef& pack) {
  {
    const std::scoped_lock lock(mutex_);
    // The rest is for what turns out to be needed.
    if (open_bytes_ >= kOpenPackBytesMax / 2 ||
        recent_packs_.size() + opening_ahead_ >= kOpenPacksMax / 2) {
      return false;
    }
    ++opening_ahead_;
  }
  static_cast<void>(open_pack(pack));
  const std::scoped_lock lock(mutex_);
  --opening_ahead_;
  return true;
}

std::optional<StoredChunk> ChunkReader::find_listed(const ChunkId& id) {
  const std::scoped_lock lock(mutex_);
  const auto found = listed_.find(id);
  if (found == listed_.end()) return std::nullopt;
  const Listed& listed = found->second;
  recent_packs_.splice(recent_packs_.begin(), recent_packs_, listed.pack);
  return StoredChunk{*listed.pack, listed.ordinal};
}

void ChunkReader::add_open(const OpenPack& pack) {
  recent_packs_.push_front(pack);
  packs_.emplace(pack->ref(), recent_packs_.begin());
  open_bytes_ += list_bytes(*pack);
  for (std::size_t i = 0; i < pack->chunks().size(); ++i) {
    listed_.try_emplace(pack->chunks()[i].id, Listed{recent_packs_.begin(), i});
  }
}

void ChunkReader::close_oldest() {
  const auto oldest = std::prev(recent_packs_.end());
  open_bytes_ -= list_bytes(**oldest);
  for (const PackedChunk& chunk : (*oldest)->chunks()) {
    const auto found = listed_.find(chunk.id);
    if (found != listed_.end() && found->second.pack == oldest) listed_.erase(found);
  }
  packs_.erase((*oldest)->ref());
  recent_packs_.pop_back();
}

}  // namespace haul::repository
