#include "engine/verify/inventory.h"

#include <set>

#include "base/format.h"
#include "engine/repository/index_run.h"
#include "engine/repository/lease.h"

namespace haul::verify {

namespace {

using repository::Cluster;
using repository::Findings;
using repository::PackRef;

constexpr std::string_view kClusters = "clusters/";

// The rest of `key` after `prefix` and a slash; empty when it lies elsewhere.
std::string_view beneath(std::string_view key, std::string_view prefix) {
  if (!key.starts_with(prefix) || key.size() <= prefix.size() || key[prefix.size()] != '/') {
    return {};
  }
  return key.substr(prefix.size() + 1);
}

// True when the object is of a cluster, this one or another.
bool has_an_owner(std::string_view key) {
  if (!key.starts_with(kClusters)) return false;
  const std::string_view rest = key.substr(kClusters.size());
  const std::size_t slash = rest.find('/');
  return slash != std::string_view::npos &&
         repository::check_cluster_name(rest.substr(0, slash)).has_value();
}

class Sorter {
 public:
  Sorter(const Cluster& cluster, Findings& findings) : cluster_(cluster), findings_(&findings) {}

  void add(const io::ObjectInfo& object) {
    if (object.key == repository::kConfigKey) return;
    if (beneath(object.key, cluster_.layout.root()).empty()) {
      if (!has_an_owner(object.key)) unknown(object.key);
      return;
    }
    inventory_.bytes += object.size_bytes;
    if (!add_known(object)) unknown(object.key);
  }

  Inventory take() && { return std::move(inventory_); }

 private:
  void unknown(const std::string& key) {
    findings_->add(format("{}: does not belong into a repository", key));
  }

  bool add_known(const io::ObjectInfo& object) {
    const repository::ClusterLayout& layout = cluster_.layout;
    if (const auto pack = layout.parse_pack(object.key)) {
      add_pack(*pack, object);
      return true;
    }
    if (const auto run = layout.parse_run(object.key)) {
      inventory_.runs.push_back(*run);
      // "-01" would be another name for run 1.
      return layout.run(*run) == object.key;
    }
    if (const auto snapshot = layout.parse_snapshot(object.key)) {
      inventory_.snapshots.push_back(*snapshot);
      return true;
    }
    if (auto wal = wal::parse_wal_key(layout, object.key)) {
      inventory_.wal.push_back({*std::move(wal), object.size_bytes});
      return true;
    }
    if (auto piece = wal::parse_piece_key(layout, object.key)) {
      inventory_.pieces.push_back(*std::move(piece));
      return true;
    }
    if (auto changes = wal::parse_changes_key(layout, object.key)) {
      inventory_.changes.push_back(*std::move(changes));
      return true;
    }
    if (auto record = repository::parse_record_key(layout, object.key)) {
      inventory_.records.push_back(*std::move(record));
      return true;
    }
    const std::string_view lease = beneath(object.key, layout.leases());
    if (!repository::is_backup_name(lease)) return false;
    inventory_.leases.emplace_back(lease);
    return true;
  }

  void add_pack(const PackRef& pack, const io::ObjectInfo& object) {
    inventory_.packs.emplace(pack, object.size_bytes);
    // Names are random and never given twice.
    if (!names_.insert(pack.name).second) {
      findings_->add(format("{}: another pack has the same name", object.key));
    }
  }

  const Cluster& cluster_;
  Findings* findings_;
  Inventory inventory_;
  std::set<repository::PackName> names_;
};

Status check_run(const Cluster& cluster, const repository::RunRef& ref, const Inventory& inventory,
                 IndexCoverage& coverage, Findings& findings) {
  const repository::IndexRun run = HAUL_TRY(repository::IndexRun::open(cluster, ref));
  for (const repository::IndexedPack& pack : run.packs()) {
    if (inventory.has(pack.ref, pack.size_bytes)) continue;
    const auto listed = inventory.packs.find(pack.ref);
    const std::string pack_key = cluster.layout.pack(pack.ref);
    findings.add(listed == inventory.packs.end() ? format("{}: missing", pack_key)
                                                 : format("{}: {} bytes instead of {}", pack_key,
                                                          listed->second, pack.size_bytes));
  }
  for (std::size_t block = 0; block < run.blocks(); ++block) HAUL_TRY(run.read_block(block));
  for (const repository::IndexedPack& pack : run.packs()) coverage.packs.insert(pack.ref);
  return ok();
}

}  // namespace

bool Inventory::has(const PackRef& pack, std::uint64_t size_bytes) const {
  const auto found = packs.find(pack);
  return found != packs.end() && found->second == size_bytes;
}

Result<Inventory> take_inventory(const Cluster& cluster, Findings& findings) {
  Sorter sorter(cluster, findings);
  for (const io::ObjectInfo& object : HAUL_TRY(cluster.store->list(""))) sorter.add(object);
  return std::move(sorter).take();
}

Status check_leases(const Cluster& cluster, const Inventory& inventory, Findings& findings) {
  for (const std::string& id : inventory.leases) {
    const Status status = repository::check_lease(cluster, id);
    if (status) continue;
    // Its holder ended in the meantime.
    if (status.error().code() == ErrorCode::not_found) continue;
    if (!is_damage(status.error())) return status;
    findings.add(status.error().message());
  }
  return ok();
}

Status check_records(const Cluster& cluster, const Inventory& inventory, Findings& findings) {
  for (const repository::RecordRef& record : inventory.records) {
    const auto content = repository::read_record(cluster, record);
    if (content) continue;
    if (!is_damage(content.error())) return content.error();
    findings.add(content.error().message());
  }
  return ok();
}

Result<IndexCoverage> check_runs(const Cluster& cluster, const Inventory& inventory,
                                 Findings& findings) {
  IndexCoverage coverage;
  for (const repository::RunRef& run : inventory.runs) {
    Status status = check_run(cluster, run, inventory, coverage, findings);
    if (status) continue;
    if (!is_damage(status.error())) return std::move(status).take_error();
    findings.add(status.error().message());
    coverage.whole = false;
  }
  return coverage;
}

}  // namespace haul::verify
