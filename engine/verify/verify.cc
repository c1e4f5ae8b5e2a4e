#include "engine/verify/verify.h"

#include <algorithm>
#include <set>

#include "base/format.h"
#include "engine/flow/workers.h"
#include "engine/postgres/backup_facts.h"
#include "engine/repository/snapshot.h"
#include "engine/verify/inventory.h"
#include "engine/verify/pack_check.h"
#include "engine/verify/reach.h"
#include "engine/verify/wal_check.h"

namespace haul::verify {

namespace {

using repository::Cluster;
using repository::Findings;
using repository::PackRef;
using repository::Snapshot;

// One verification; the members come into being in the order of the steps.
class Verification {
 public:
  Verification(const VerifyOptions& options, const VerifyEnvironment& environment,
               const Cluster& cluster)
      : options_(options), environment_(environment), cluster_(cluster) {}

  Result<VerifyReport> run() {
    record_.began = environment_.clock->now_utc();
    // A backup that commits meanwhile is either listed here, and then everything that it names is
    // found below, or it is the next verification's.
    HAUL_TRY(read_snapshots());
    const auto index = HAUL_TRY(repository::Index::open(cluster_, findings_));
    inventory_ = HAUL_TRY(take_inventory(cluster_, findings_));
    HAUL_TRY(check_leases(cluster_, inventory_, findings_));
    HAUL_TRY(check_records(cluster_, inventory_, findings_));
    index_ = HAUL_TRY(check_runs(cluster_, inventory_, findings_));

    PackChecker packs(cluster_, inventory_, findings_);
    HAUL_TRY(check_pack_tables(packs));
    if (options_.depth == VerifyOptions::Depth::data) HAUL_TRY(check_data(packs));
    // Whoever names backups means these alone.
    if (options_.backups.empty()) HAUL_TRY(check_archive());
    repository::ChunkReader chunks(cluster_, *index, findings_);
    Reach reach(chunks, packs, findings_, environment_.stop);
    for (const Snapshot& snapshot : snapshots_) {
      AffectedBackup affected = HAUL_TRY(reach.walk(snapshot));
      if (affected.lost_file_count > 0) report_.affected.push_back(std::move(affected));
    }
    HAUL_TRY(find_remedies(chunks));
    std::ranges::sort(report_.affected, {}, &AffectedBackup::backup);
    report_.chunks = packs.chunks_decoded();
    report_.bytes_read += packs.bytes_read();
    report_.damage = findings_.lines();
    if (options_.backups.empty() && environment_.random != nullptr) leave_record();
    return std::move(report_);
  }

 private:
  bool wanted(const std::string& id) const {
    return options_.backups.empty() ||
           std::ranges::find(options_.backups, id) != options_.backups.end();
  }

  Status read_snapshots() {
    const std::vector<std::string> ids = HAUL_TRY(repository::list_snapshots(cluster_));
    for (const std::string& name : options_.backups) {
      if (std::ranges::find(ids, name) == ids.end()) {
        return Error(ErrorCode::not_found,
                     format("there is no backup {} in cluster {}", name, cluster_.name));
      }
    }
    for (const std::string& id : ids) {
      if (wanted(id)) HAUL_TRY(read_snapshot(id));
    }
    return ok();
  }

  Status read_snapshot(const std::string& id) {
    ++report_.backups;
    auto snapshot = repository::read_snapshot(cluster_, id);
    auto facts = snapshot ? postgres::backup_facts_from_json(snapshot->facts)
                          : Result<postgres::BackupFacts>(snapshot.error());
    if (facts) {
      snapshots_.push_back(std::move(snapshot).take());
      return ok();
    }
    if (!is_damage(facts.error())) return std::move(facts).take_error();
    const std::string key = cluster_.layout.snapshot(id);
    const std::string& message = facts.error().message();
    findings_.add(message.starts_with(key) ? message : format("{}: {}", key, message));
    AffectedBackup affected;
    affected.backup = id;
    affected.loss = AffectedBackup::Loss::everything;
    report_.affected.push_back(std::move(affected));
    unreadable_snapshots_ = true;
    return ok();
  }

  // Existence and size of every pack that a backup refers to.
  Status check_pack_tables(PackChecker& packs) {
    std::set<PackRef> referenced;
    for (const Snapshot& snapshot : snapshots_) {
      for (const auto& [pack, use] : snapshot.packs) {
        referenced.insert(pack);
        // A snapshot is committed after the runs that list its packs: one of them is gone.
        if (index_.whole && !index_.packs.contains(pack)) {
          findings_.add(format("{}: no index run lists this pack of backup {}",
                               cluster_.layout.pack(pack), snapshot.id));
        }
        if (inventory_.has(pack, use.size_bytes)) continue;
        const auto listed = inventory_.packs.find(pack);
        const std::string key = cluster_.layout.pack(pack);
        findings_.add(listed == inventory_.packs.end() ? format("{}: missing", key)
                                                       : format("{}: {} bytes instead of {}", key,
                                                                listed->second, use.size_bytes));
        HAUL_TRY(packs.note_damaged(pack));
      }
    }
    const bool all = options_.backups.empty();
    report_.packs = all ? inventory_.packs.size() : referenced.size();
    // Which are not referenced can only be said when every snapshot has been read.
    if (all && !unreadable_snapshots_) {
      report_.unreferenced_packs = static_cast<std::uint64_t>(std::ranges::count_if(
          inventory_.packs, [&](const auto& pack) { return !referenced.contains(pack.first); }));
    }
    return ok();
  }

  Status check_data(PackChecker& packs) {
    PackCheckRun run;
    run.packs = packs_to_read();
    run.workers = flow::resolve_workers(options_.workers);
    run.stop = environment_.stop;
    run.bytes_done = &environment_.progress->bytes_done;
    for (const PackRef& pack : run.packs) {
      environment_.progress->bytes_total += inventory_.packs.at(pack);
    }
    if (options_.backups.empty()) environment_.progress->bytes_total += wal_bytes();
    return check_packs(packs, inventory_, run);
  }

  Status find_remedies(repository::ChunkReader& chunks) {
    if (report_.affected.empty() && damaged_wal_.empty()) return ok();
    HAUL_TRY(find_whole_files(chunks, snapshots_, report_.affected));
    if (!options_.backups.empty()) return ok();
    report_.lost_moments =
        HAUL_TRY(find_lost_moments(cluster_, snapshots_, damaged_wal_, report_.affected));
    return ok();
  }

  // That a verification cannot write is no reason not to report.
  void leave_record() {
    record_.finished = environment_.clock->now_utc();
    record_.program = environment_.program;
    record_.data = options_.depth == VerifyOptions::Depth::data;
    record_.shard = options_.shard;
    record_.bytes_read = report_.bytes_read;
    record_.findings = report_.damage.size();
    for (const AffectedBackup& affected : report_.affected) {
      record_.affected.push_back(affected.backup);
    }
    count_objects(inventory_, record_);
    auto id = repository::new_record_id(*environment_.clock, *environment_.random);
    Status added = id ? repository::add_record(
                            cluster_, {repository::RecordKind::verification, *id}, to_json(record_))
                      : Status(id.error());
    report_.recorded = added.has_value();
    if (!added) report_.not_recorded = std::move(added).take_error();
  }

  Status check_archive() {
    const bool data = options_.depth == VerifyOptions::Depth::data;
    std::atomic<std::uint64_t> headers_alone = 0;
    WalCheckRun run;
    run.depth = data ? WalCheckRun::Depth::every_byte : WalCheckRun::Depth::headers;
    run.shard = options_.shard;
    run.workers = flow::resolve_workers(options_.workers);
    run.stop = environment_.stop;
    run.bytes_done = data ? &environment_.progress->bytes_done : &headers_alone;
    report_.wal_files = inventory_.wal.size();
    damaged_wal_ = HAUL_TRY(check_wal(cluster_, inventory_, run, findings_));
    if (data) report_.bytes_read += wal_bytes();
    return ok();
  }

  std::uint64_t wal_bytes() const {
    std::uint64_t bytes = 0;
    for (const WalFile& file : inventory_.wal) {
      if (options_.shard.takes(file.key.name.text)) bytes += file.size_bytes;
    }
    return bytes;
  }

  std::vector<PackRef> packs_to_read() const {
    std::set<PackRef> packs;
    if (options_.backups.empty()) {
      for (const auto& [pack, size] : inventory_.packs) packs.insert(pack);
    }
    for (const Snapshot& snapshot : snapshots_) {
      for (const auto& [pack, use] : snapshot.packs) {
        if (inventory_.packs.contains(pack)) packs.insert(pack);
      }
    }
    std::erase_if(packs, [&](const PackRef& pack) { return !options_.shard.takes(pack); });
    return {packs.begin(), packs.end()};
  }

  const VerifyOptions& options_;
  const VerifyEnvironment& environment_;
  const Cluster cluster_;
  Findings findings_;
  Inventory inventory_;
  IndexCoverage index_;
  std::vector<Snapshot> snapshots_;
  bool unreadable_snapshots_ = false;
  std::vector<wal::WalKey> damaged_wal_;
  VerificationRecord record_;
  VerifyReport report_;
};

}  // namespace

Result<VerifyReport> run_verify(const VerifyOptions& options, VerifyEnvironment& environment) {
  VerifyProgress unwatched;
  VerifyEnvironment own = environment;
  if (own.progress == nullptr) own.progress = &unwatched;
  const Cluster cluster = HAUL_TRY(own.repository->cluster(options.cluster));
  auto report = Verification(options, own, cluster).run();
  // A repository that went away looks like one that lost everything.
  const bool suspicious = report ? !report->sound() : is_damage(report.error());
  if (suspicious) HAUL_TRY(own.repository->check_still_there());
  return report;
}

}  // namespace haul::verify
