#include "tests/support/repository_check.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/format.h"
#include "engine/repository/framed_object.h"
#include "engine/repository/index_run.h"
#include "engine/repository/lease.h"
#include "engine/repository/pack_reader.h"
#include "engine/repository/snapshot.h"
#include "tests/support/repository_workload.h"

namespace haul::support {

namespace {

using repository::ObjectKind;
using repository::PackReader;
using repository::PackRef;

class EverythingCheck {
 public:
  explicit EverythingCheck(const repository::Cluster& cluster) : cluster_(cluster) {}

  std::vector<std::string> run() {
    check_config();
    auto objects = cluster_.store->list(cluster_.layout.root());
    note(objects);
    if (!objects) return std::move(findings_);
    // Packs first, as runs are compared with what they hold; then runs, as snapshots rely on them.
    for (const io::ObjectInfo& object : *objects) {
      if (const auto pack = cluster_.layout.parse_pack(object.key)) check_pack(*pack);
    }
    for (const io::ObjectInfo& object : *objects) {
      if (const auto run = cluster_.layout.parse_run(object.key)) check_run(*run);
    }
    for (const io::ObjectInfo& object : *objects) check_object(object.key);
    return std::move(findings_);
  }

 private:
  template <typename T>
  void note(const Result<T>& result) {
    if (!result) findings_.push_back(result.error().message());
  }

  void check_config() {
    const std::string key(repository::kConfigKey);
    const auto object = cluster_.store->get(key, 1 << 16);
    note(object);
    if (!object) return;
    const auto frame = repository::unframe_object(ObjectKind::config, key, *object);
    note(frame);
    if (frame && frame->repository != cluster_.repository) {
      findings_.push_back("config: another repository's");
    }
  }

  void check_object(const std::string& key) {
    const std::string leases = cluster_.layout.leases() + "/";
    if (cluster_.layout.parse_pack(key) || cluster_.layout.parse_run(key)) return;
    if (const auto snapshot = cluster_.layout.parse_snapshot(key)) return check_snapshot(*snapshot);
    if (key.starts_with(leases)) {
      note(repository::check_lease(cluster_, key.substr(leases.size())));
    } else {
      findings_.push_back(format("{}: does not belong here", key));
    }
  }

  void check_pack(const PackRef& ref) {
    const auto pack = PackReader::open(cluster_, ref);
    note(pack);
    if (!pack) return;
    const auto damage = pack->find_damage();
    note(damage);
    if (damage) findings_.insert(findings_.end(), damage->begin(), damage->end());
    std::vector<repository::ChunkId>& ids = chunks_of_packs_[ref];
    for (const repository::PackedChunk& chunk : pack->chunks()) ids.push_back(chunk.id);
  }

  void check_run(const repository::RunRef& ref) {
    const auto run = repository::IndexRun::open(cluster_, ref);
    note(run);
    if (!run) return;
    for (const repository::IndexedPack& pack : run->packs()) packs_of_runs_.insert(pack.ref);
    for (std::size_t block = 0; block < run->blocks(); ++block) {
      const auto entries = run->read_block(block);
      note(entries);
      if (!entries) continue;
      for (const repository::RunEntry& entry : *entries) {
        const PackRef& pack = run->packs()[entry.pack].ref;
        const auto known = chunks_of_packs_.find(pack);
        const bool agrees = known != chunks_of_packs_.end() &&
                            entry.ordinal < known->second.size() &&
                            known->second[entry.ordinal] == entry.id;
        if (!agrees) {
          findings_.push_back(
              format("{} and {} disagree", cluster_.layout.run(ref), cluster_.layout.pack(pack)));
        }
      }
    }
  }

  void check_snapshot(const std::string& id) {
    const auto snapshot = repository::read_snapshot(cluster_, id);
    note(snapshot);
    if (!snapshot) return;
    for (const auto& [pack, use] : snapshot->packs) {
      if (!packs_of_runs_.contains(pack)) {
        findings_.push_back(format("{}: backup {} refers to it, and no index run lists it",
                                   cluster_.layout.pack(pack), id));
      }
    }
    const auto missing = repository::missing_packs(cluster_, snapshot->packs);
    note(missing);
    if (missing) findings_.insert(findings_.end(), missing->begin(), missing->end());
    repository::Findings met;
    note(read_back(cluster_, id, met));
    std::ranges::copy(met.lines(), std::back_inserter(findings_));
  }

  const repository::Cluster& cluster_;
  std::map<PackRef, std::vector<repository::ChunkId>> chunks_of_packs_;
  std::set<PackRef> packs_of_runs_;
  std::vector<std::string> findings_;
};

}  // namespace

std::vector<std::string> check_everything(const repository::Cluster& cluster) {
  return EverythingCheck(cluster).run();
}

}  // namespace haul::support
