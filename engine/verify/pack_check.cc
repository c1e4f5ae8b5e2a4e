#include "engine/verify/pack_check.h"

#include <algorithm>

#include "engine/flow/workers.h"
#include "engine/repository/pack_reader.h"

namespace haul::verify {

namespace {

using repository::ChunkId;
using repository::PackReader;
using repository::PackRef;

}  // namespace

Status PackChecker::note_damaged(const PackRef& pack) {
  {
    const std::scoped_lock lock(mutex_);
    if (!damaged_.emplace(pack, SoundChunks{}).second) return ok();
  }
  if (!inventory_->packs.contains(pack)) return ok();
  auto reader = PackReader::open(cluster_, pack);
  if (!reader) {
    if (!is_damage(reader.error())) return std::move(reader).take_error();
    findings_->add(reader.error().message());
    return ok();
  }
  SoundChunks sound;
  compress::Decompressor decompressor;
  std::vector<std::byte> raw;
  for (std::size_t i = 0; i < reader->chunks().size(); ++i) {
    const repository::PackedChunk& chunk = reader->chunks()[i];
    raw.resize(chunk.raw_bytes);
    const Status read = reader->read_chunk(i, decompressor, raw);
    if (read) {
      sound.insert(chunk.id);
    } else if (!is_damage(read.error())) {
      return read;
    }
  }
  const std::scoped_lock lock(mutex_);
  damaged_[pack] = std::move(sound);
  return ok();
}

Status PackChecker::check_every_byte(const PackRef& pack) {
  auto reader = PackReader::open(cluster_, pack);
  if (!reader) {
    if (!is_damage(reader.error())) return std::move(reader).take_error();
    findings_->add(reader.error().message());
    return note_damaged(pack);
  }
  const std::vector<std::string> damage = HAUL_TRY(reader->find_damage());
  chunks_decoded_ += reader->chunks().size();
  bytes_read_ += reader->size_bytes();
  for (const std::string& line : damage) findings_->add(line);
  return damage.empty() ? ok() : note_damaged(pack);
}

bool PackChecker::yields(const repository::ChunkLocation& location, const ChunkId& id) const {
  if (!inventory_->packs.contains(location.pack)) return false;
  const std::scoped_lock lock(mutex_);
  const auto damaged = damaged_.find(location.pack);
  return damaged == damaged_.end() || damaged->second.contains(id);
}

Status check_packs(PackChecker& checker, const Inventory& inventory, const PackCheckRun& run) {
  flow::FirstError first_error(run.stop);
  std::atomic<std::size_t> next = 0;
  const std::size_t workers = std::min(run.workers, run.packs.size());
  return flow::run_workers(workers, first_error, [&](std::size_t) -> Status {
    while (!first_error.stopped()) {
      const std::size_t mine = next++;
      if (mine >= run.packs.size()) return ok();
      HAUL_TRY(checker.check_every_byte(run.packs[mine]));
      *run.bytes_done += inventory.packs.at(run.packs[mine]);
    }
    return ok();
  });
}

}  // namespace haul::verify
