#include "engine/repository/index.h"

#include <algorithm>
#include <set>

#include "base/format.h"
#include "engine/repository/pack_reader.h"

namespace haul::repository {

namespace {

bool is_damage(const Error& error) {
  return error.code() == ErrorCode::corrupt || error.code() == ErrorCode::unsupported ||
         error.code() == ErrorCode::not_found;
}

}  // namespace

Result<std::unique_ptr<Index>> Index::open(const Cluster& cluster, Findings& findings) {
  std::unique_ptr<Index> index(new Index(cluster, findings));
  HAUL_TRY(index->list_packs());
  HAUL_TRY(index->open_runs());
  return index;
}

Status Index::list_packs() {
  for (const io::ObjectInfo& object : HAUL_TRY(cluster_.store->list(cluster_.layout.packs()))) {
    const auto ref = cluster_.layout.parse_pack(object.key);
    if (!ref) {
      findings_->add(format("{}: not a pack's name", object.key));
      continue;
    }
    listed_.emplace(ref->name, std::pair(ref->lease, object.size_bytes));
  }
  return ok();
}

Status Index::open_runs() {
  for (const io::ObjectInfo& object : HAUL_TRY(cluster_.store->list(cluster_.layout.index()))) {
    const auto ref = cluster_.layout.parse_run(object.key);
    if (!ref) {
      findings_->add(format("{}: not an index run's name", object.key));
      continue;
    }
    auto run = IndexRun::open(cluster_, *ref);
    if (run) {
      runs_.push_back(std::make_unique<IndexRun>(std::move(run).take()));
    } else if (is_damage(run.error())) {
      findings_->add(run.error().message());
    } else {
      return std::move(run).take_error();
    }
  }
  return ok();
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

Result<std::vector<ChunkLocation>> Index::find_in_runs(const ChunkId& id, std::vector<std::size_t>& damaged_runs) {
  std::vector<ChunkLocation> locations;
  const std::shared_lock lock(mutex_);
  for (std::size_t i = runs_.size(); i-- > 0;) {
    if (!runs_[i]) continue;
    auto found = runs_[i]->find(id);
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

Result<std::vector<ChunkLocation>> Index::find(const ChunkId& id) {
  std::vector<std::size_t> damaged_runs;
  std::vector<ChunkLocation> locations = HAUL_TRY(find_in_runs(id, damaged_runs));
  for (const std::size_t run : damaged_runs) HAUL_TRY(abandon_run(run));
  if (!damaged_runs.empty()) locations = HAUL_TRY(find_in_runs(id, damaged_runs));
  if (!locations.empty()) return locations;
  HAUL_TRY(load_packs_without_run());
  return find_in_runs(id, damaged_runs);
}

Result<std::optional<ChunkLocation>> Index::find_dedup_target(const ChunkId& id) {
  const std::shared_lock lock(mutex_);
  for (std::size_t i = runs_.size(); i-- > 0;) {
    if (!runs_[i]) continue;
    auto found = runs_[i]->find(id);
    if (!found) {
      if (!is_damage(found.error())) return std::move(found).take_error();
      // The backup stores the chunk again; nothing relies on a damaged run.
      findings_->add(found.error().message());
      continue;
    }
    if (!*found) continue;
    const IndexedPack& pack = runs_[i]->packs()[(*found)->pack];
    if (listed_size_locked(pack.ref) == pack.size_bytes) return ChunkLocation{pack.ref, (*found)->ordinal};
  }
  const auto [begin, end] = loose_entries_.equal_range(id);
  for (auto it = begin; it != end; ++it) {
    const LoosePack& pack = loose_packs_[it->second.pack];
    if (pack.sound) return ChunkLocation{pack.ref, it->second.ordinal};
  }
  return std::nullopt;
}

Status Index::load_packs_without_run() {
  std::vector<PackRef> missing;
  {
    const std::unique_lock lock(mutex_);
    if (loose_loaded_) return ok();
    loose_loaded_ = true;
    std::set<PackName> covered;
    for (const auto& run : runs_) {
      if (!run) continue;
      for (const IndexedPack& pack : run->packs()) covered.insert(pack.ref.name);
    }
    for (const auto& [name, where] : listed_) {
      if (!covered.contains(name)) missing.push_back({where.first, name});
    }
  }
  std::ranges::sort(missing);
  return load_loose_packs(missing);
}

Status Index::load_loose_packs(const std::vector<PackRef>& packs) {
  for (const PackRef& ref : packs) {
    auto opened = PackReader::open(cluster_, ref);
    if (!opened) {
      if (!is_damage(opened.error())) return std::move(opened).take_error();
      findings_->add(opened.error().message());
      continue;
    }
    const bool sound = opened->source() == PackReader::Source::footer;
    if (!sound) findings_->add(opened->footer_damage());
    const std::unique_lock lock(mutex_);
    const auto number = static_cast<std::uint32_t>(loose_packs_.size());
    loose_packs_.push_back({ref, sound});
    std::uint32_t ordinal = 0;
    for (const PackedChunk& chunk : opened->chunks()) {
      loose_entries_.emplace(chunk.id, LooseEntry{number, ordinal++});
    }
  }
  return ok();
}

Status Index::abandon_run(std::size_t run) {
  std::vector<PackRef> packs;
  {
    const std::unique_lock lock(mutex_);
    if (!runs_[run]) return ok();  // another thread was faster
    for (const IndexedPack& pack : runs_[run]->packs()) {
      if (listed_.contains(pack.ref.name)) packs.push_back(pack.ref);
    }
    runs_[run].reset();
  }
  return load_loose_packs(packs);
}

Status Index::add_run(const RunRef& run) {
  auto opened = std::make_unique<IndexRun>(HAUL_TRY(IndexRun::open(cluster_, run)));
  const std::unique_lock lock(mutex_);
  for (const IndexedPack& pack : opened->packs()) {
    listed_.emplace(pack.ref.name, std::pair(pack.ref.lease, pack.size_bytes));
  }
  runs_.push_back(std::move(opened));
  return ok();
}

}  // namespace haul::repository
