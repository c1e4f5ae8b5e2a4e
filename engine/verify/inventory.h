// What lies in a repository, object by object: who owns each name, and the objects that are checked
// as a whole because they are small (leases, records, index runs).
//
// Units:    sizes are bytes.
// Memory:   about 200 bytes per object of the repository.
// Threads:  the inventory is immutable once taken; functions from any thread.
// Errors:   io, permission; damage becomes a finding.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/repository/cluster.h"
#include "engine/repository/findings.h"
#include "engine/repository/record.h"
#include "engine/wal/segment_changes.h"
#include "engine/wal/wal_layout.h"
#include "engine/wal/wal_piece.h"

namespace haul::verify {

struct WalFile {
  wal::WalKey key;
  std::uint64_t size_bytes = 0;
};

struct Inventory {
  std::map<repository::PackRef, std::uint64_t> packs;  // with their sizes
  std::vector<repository::RunRef> runs;
  std::vector<std::string> snapshots;
  std::vector<std::string> leases;
  std::vector<repository::RecordRef> records;
  std::vector<WalFile> wal;
  std::vector<wal::PieceKey> pieces;  // of segments that are being streamed
  std::vector<wal::ChangesKey> changes;
  std::uint64_t bytes = 0;  // of everything of this cluster

  // A pack is there with this size.
  bool has(const repository::PackRef& pack, std::uint64_t size_bytes) const;
};

// Lists the repository and sorts out this cluster's objects. Whatever belongs to no cluster, or has
// a name that nothing of this format has, is a finding.
Result<Inventory> take_inventory(const repository::Cluster& cluster,
                                 repository::Findings& findings);

// Anything else ends a verification.
using repository::is_damage;

Status check_leases(const repository::Cluster& cluster, const Inventory& inventory,
                    repository::Findings& findings);
Status check_records(const repository::Cluster& cluster, const Inventory& inventory,
                     repository::Findings& findings);
// What the index runs cover.
struct IndexCoverage {
  std::set<repository::PackRef> packs;  // that some sound run lists
  bool whole = true;  // no run is damaged, so that an uncovered pack says something
};

// Every directory and block, and that every pack a run names is there whole.
Result<IndexCoverage> check_runs(const repository::Cluster& cluster, const Inventory& inventory,
                                 repository::Findings& findings);

}  // namespace haul::verify
