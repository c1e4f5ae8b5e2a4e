#include "engine/repository/index.h"

#include <algorithm>
#include <ranges>
#include <set>

#include "base/format.h"
#include "engine/repository/index_merge.h"
#include "engine/repository/pack_reader.h"

namespace haul::repository {

Result<std::unique_ptr<Index>> Index::open(const Cluster& cluster, Findings& findings,
                                           Packs packs) {
  std::unique_ptr<Index> index(new Index(cluster, findings));
  if (packs == Packs::listed) HAUL_TRY(index->list_packs());
  HAUL_TRY(index->open_runs());
  return index;
}

Status Index::list_packs() {
  if (packs_listed_) return ok();
  for (const io::ObjectInfo& object : HAUL_TRY(cluster_.store->list(cluster_.layout.packs()))) {
    const auto ref = cluster_.layout.parse_pack(object.key);
    if (!ref) {
      findings_->add(format("{}: not a pack's name", object.key));
      continue;
    }
    const std::unique_lock lock(mutex_);
    const bool first = listed_.emplace(ref->name, std::pair(ref->lease, object.size_bytes)).second;
    if (!first) findings_->add(format("{}: another pack bears this name", object.key));
  }
  packs_listed_ = true;
  return ok();
}

Status Index::open_runs() {
  for (const io::ObjectInfo& object : HAUL_TRY(cluster_.store->list(cluster_.layout.index()))) {
    const auto ref = cluster_.layout.parse_run(object.key);
    if (!ref) {
      findings_->add(format("{}: not an index run's name", object.key));
      continue;
    }
    listed_runs_.insert(*ref);
  }
  // What a run holds that is still to come it holds too.
  std::set<RunRef> superseded;
  for (const RunRef& ref : listed_runs_ | std::views::reverse) {
    if (superseded.contains(ref)) continue;
    auto run = IndexRun::open(cluster_, ref);
    if (run) {
      superseded.insert(run->superseded().begin(), run->superseded().end());
      note_reliable(*run);
      runs_.push_back(std::make_unique<IndexRun>(std::move(run).take()));
    } else if (is_damage(run.error())) {
      findings_->add(run.error().message());
    } else {
      return std::move(run).take_error();
    }
  }
  std::ranges::reverse(runs_);
  return ok();
}

void Index::note_reliable(const IndexRun& run) {
  for (const IndexedPack& pack : run.packs()) {
    if (listed_size_locked(pack.ref) == pack.size_bytes) reliable_.insert(pack.ref);
  }
}

bool Index::is_reliable(const PackRef& pack) const {
  const std::shared_lock lock(mutex_);
  return reliable_.contains(pack);
}

std::optional<std::uint64_t> Index::listed_size(const PackRef& pack) const {
  const std::shared_lock lock(mutex_);
  return listed_size_locked(pack);
}

std::optional<std::uint64_t> Index::listed_size_locked(const PackRef& pack) const {
  const auto found = listed_.find(pack.name);
  if (found == listed_.end() || found->second.first != pack.lease) return std::nullopt;
  return found->second.second;
}

Result<std::optional<RunEntry>> Index::find_in_run(const IndexRun& run, const ChunkId& id) {
  const auto number = run.block_of(id);
  if (!number) return std::nullopt;
  const BlockCache::Key key(run.ref(), *number);
  BlockCache::Block block = blocks_.find(key);
  if (block == nullptr) {
    block = std::make_shared<const std::vector<RunEntry>>(HAUL_TRY(run.read_block(*number)));
    blocks_.add(key, block);
  }
  return find_entry(*block, id);
}

Result<std::vector<ChunkLocation>> Index::find_in_runs(const ChunkId& id,
                                                       std::vector<std::size_t>& damaged_runs) {
  std::vector<ChunkLocation> locations;
  const std::shared_lock lock(mutex_);
  for (std::size_t i = runs_.size(); i-- > 0;) {
    if (!runs_[i]) continue;
    auto found = find_in_run(*runs_[i], id);
    if (!found) {
      if (!is_damage(found.error())) return std::move(found).take_error();
      findings_->add(found.error().message());
      damaged_runs.push_back(i);
      continue;
    }
    if (!*found) continue;
    locations.push_back({runs_[i]->packs()[(*found)->pack].ref, (*found)->ordinal});
  }
  const auto [begin, end] = loose_entries_.equal_range(id);
  for (auto it = begin; it != end; ++it) {
    locations.push_back({loose_packs_[it->second.pack].ref, it->second.ordinal});
  }
  return locations;
}

Result<std::vector<ChunkLocation>> Index::find_in_sound_runs(const ChunkId& id) {
  for (;;) {
    std::vector<std::size_t> damaged_runs;
    std::vector<ChunkLocation> locations = HAUL_TRY(find_in_runs(id, damaged_runs));
    if (damaged_runs.empty()) return locations;
    for (const std::size_t run : damaged_runs) HAUL_TRY(abandon_run(run));
  }
}

Result<std::vector<ChunkLocation>> Index::find(const ChunkId& id) {
  std::vector<ChunkLocation> locations = HAUL_TRY(find_in_sound_runs(id));
  if (!locations.empty()) return locations;
  HAUL_TRY(load_packs_without_run());
  return find_in_sound_runs(id);
}

Result<std::optional<ChunkLocation>> Index::find_dedup_target(const ChunkId& id) {
  const std::shared_lock lock(mutex_);
  for (std::size_t i = runs_.size(); i-- > 0;) {
    if (!runs_[i]) continue;
    auto found = find_in_run(*runs_[i], id);
    if (!found) {
      if (!is_damage(found.error())) return std::move(found).take_error();
      // The backup stores the chunk again; nothing relies on a damaged run.
      findings_->add(found.error().message());
      continue;
    }
    if (!*found) continue;
    const IndexedPack& pack = runs_[i]->packs()[(*found)->pack];
    if (listed_size_locked(pack.ref) == pack.size_bytes)
      return ChunkLocation{pack.ref, (*found)->ordinal};
  }
  const auto [begin, end] = loose_entries_.equal_range(id);
  for (auto it = begin; it != end; ++it) {
    const LoosePack& pack = loose_packs_[it->second.pack];
    if (pack.sound) return ChunkLocation{pack.ref, it->second.ordinal};
  }
  return std::nullopt;
}

bool Index::may_hold(const ChunkId& id) const {
  const std::shared_lock lock(mutex_);
  return loose_entries_.contains(id) ||
         std::ranges::any_of(runs_, [&id](const auto& run) { return run && run->may_hold(id); });
}

Status Index::load_packs_without_run() {
  const std::scoped_lock loading(loading_);
  if (loose_loaded_) return ok();
  HAUL_TRY(list_packs());
  std::vector<PackRef> missing;
  {
    const std::shared_lock lock(mutex_);
    std::set<PackRef> covered;
    for (const auto& run : runs_) {
      if (!run) continue;
      for (const IndexedPack& pack : run->packs()) covered.insert(pack.ref);
    }
    for (const auto& [name, where] : listed_) {
      PackRef ref{where.first, name};
      if (!covered.contains(ref)) missing.push_back(std::move(ref));
    }
  }
  HAUL_TRY(load_loose_packs(std::move(missing)));
  loose_loaded_ = true;
  return ok();
}

bool Index::is_without_run(const PackRef& pack) const {
  const std::shared_lock lock(mutex_);
  return loose_refs_.contains(pack);
}

Status Index::load_loose_packs(std::vector<PackRef> packs) {
  std::ranges::sort(packs);
  for (const PackRef& ref : packs) {
    if (!is_without_run(ref)) HAUL_TRY(load_loose_pack(ref));
  }
  return ok();
}

Status Index::load_loose_pack(const PackRef& ref) {
  auto opened = PackReader::open(cluster_, ref);
  if (!opened && !is_damage(opened.error())) return std::move(opened).take_error();
  if (!opened) {
    findings_->add(opened.error().message());
    return ok();
  }
  const bool sound = opened->source() == PackReader::Source::footer;
  if (!sound) findings_->add(opened->footer_damage());
  const std::unique_lock lock(mutex_);
  const auto number = static_cast<std::uint32_t>(loose_packs_.size());
  loose_packs_.push_back({ref, sound});
  if (sound) reliable_.insert(ref);
  loose_refs_.insert(ref);
  std::uint32_t ordinal = 0;
  for (const PackedChunk& chunk : opened->chunks()) {
    // The zero id stands for a chunk that a walk could not decode.
    if (!chunk.id.is_zero()) loose_entries_.emplace(chunk.id, LooseEntry{number, ordinal});
    ++ordinal;
  }
  return ok();
}

// The packs are loaded before the run goes, so that no other thread misses a chunk in between.
Status Index::abandon_run(std::size_t run) {
  const std::scoped_lock loading(loading_);
  HAUL_TRY(list_packs());
  std::vector<PackRef> packs;
  {
    const std::shared_lock lock(mutex_);
    if (!runs_[run]) return ok();  // another thread was faster
    for (const IndexedPack& pack : runs_[run]->packs()) {
      if (listed_size_locked(pack.ref)) packs.push_back(pack.ref);
    }
  }
  HAUL_TRY(load_loose_packs(std::move(packs)));
  const std::unique_lock lock(mutex_);
  runs_[run].reset();
  return ok();
}

Status Index::merge_into(IndexRunContent& content) const {
  const std::shared_lock lock(mutex_);
  return merge_runs(runs_, listed_runs_, content);
}

Status Index::add_run(const RunRef& run) {
  auto opened = std::make_unique<IndexRun>(HAUL_TRY(IndexRun::open(cluster_, run)));
  const std::unique_lock lock(mutex_);
  // Others are listed already, or are not there: the run may have taken over what another says.
  for (const IndexedPack& pack : opened->packs()) {
    if (pack.ref.lease != run.lease) continue;
    listed_.emplace(pack.ref.name, std::pair(pack.ref.lease, pack.size_bytes));
  }
  const std::vector<RunRef>& superseded = opened->superseded();
  for (auto& known : runs_) {
    if (known && std::ranges::find(superseded, known->ref()) != superseded.end()) known.reset();
  }
  listed_runs_.insert(run);
  runs_.push_back(std::move(opened));
  return ok();
}

}  // namespace haul::repository
