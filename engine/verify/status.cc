#include "engine/verify/status.h"

#include <algorithm>
#include <utility>

#include "base/format.h"
#include "engine/wal/wal_archive.h"

namespace haul::verify {

using repository::Cluster;
using repository::Snapshot;

namespace {

// A server that does not answer is reported, not waited for.
constexpr std::chrono::seconds kServerTimeout{10};

Result<ServerPosition> ask_server(postgres::ConnectionOptions options,
                                  std::optional<std::uint64_t> system) {
  options.connect_timeout = std::min(options.connect_timeout, kServerTimeout);
  options.query_timeout = kServerTimeout;
  const auto server = HAUL_TRY(postgres::PgConnection::open(options));
  const std::string identifier =
      HAUL_TRY(server->query_value("select system_identifier from pg_control_system()"));
  if (system && identifier != std::to_string(*system)) {
    return Error(ErrorCode::server_state,
                 format("the server at {} is another one: its system identifier is {}, the "
                        "cluster's {}",
                        server->name(), identifier, *system));
  }
  const auto row = HAUL_TRY(server->query_row(
      "select pg_is_in_recovery(), case when pg_is_in_recovery() then "
      "coalesce(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0') else "
      "pg_current_wal_flush_lsn() end"));
  const auto position = parse_lsn(row.at(1).value_or(""));
  if (!position) return Error(ErrorCode::server_state, "the server does not say how far it is");
  return ServerPosition{*position, row.at(0) == "t"};
}

// One look at a cluster; the members come into being in the order of the steps.
class Look {
 public:
  Look(const Cluster& cluster, Clock& clock) : cluster_(cluster) { report_.now = clock.now_utc(); }

  Result<StatusReport> run(const std::optional<postgres::ConnectionOptions>& server) {
    system_ = HAUL_TRY(wal::bound_system(cluster_));
    if (system_) archive_ = HAUL_TRY(wal::WalInventory::read(cluster_, *system_));
    for (const std::string& damage : archive_.damage()) problem(damage);
    HAUL_TRY(read_backups());
    for (const wal::TimelineWal& timeline : archive_.timelines()) {
      std::ranges::move(archive_.gaps(timeline.timeline), std::back_inserter(report_.gaps));
    }
    if (server) {
      auto position = ask_server(*server, system_);
      if (position) {
        report_.server = *position;
      } else {
        report_.server_failure = position.error().message();
      }
    }
    if (report_.newest) HAUL_TRY(measure_exposure());
    HAUL_TRY(measure_coverage());
    return std::move(report_);
  }

 private:
  void problem(std::string line) { report_.problems.push_back(std::move(line)); }

  Status read_backups() {
    restore::RecoveryWindows windows(cluster_, archive_);
    for (const std::string& id : HAUL_TRY(repository::list_snapshots(cluster_))) {
      auto backup = read_backup(windows, id);
      if (backup) {
        report_.backups.push_back(std::move(backup).take());
      } else if (is_damage(backup.error())) {
        problem(backup.error().message());
      } else {
        return std::move(backup).take_error();
      }
    }
    if (report_.backups.empty()) problem(format("cluster {} has no backup", cluster_.name));
    for (std::size_t i = 0; i < report_.backups.size(); ++i) consider(i);
    return ok();
  }

  Result<StatusBackup> read_backup(restore::RecoveryWindows& windows, const std::string& id) {
    StatusBackup backup;
    backup.snapshot = HAUL_TRY(repository::read_snapshot(cluster_, id));
    auto facts = postgres::backup_facts_from_json(backup.snapshot.facts);
    if (!facts) return std::move(facts).take_error().with_context(cluster_.layout.snapshot(id));
    backup.facts = std::move(facts).take();
    backup.window = HAUL_TRY(windows.of(backup.facts));
    return backup;
  }

  // The newest of those that can be recovered; what stands in the way of the others.
  void consider(std::size_t number) {
    const StatusBackup& backup = report_.backups[number];
    if (backup.window.missing) {
      problem(format("backup {} cannot be recovered: {} is missing", backup.snapshot.id,
                     *backup.window.missing));
      return;
    }
    const StatusBackup* newest = report_.newest_backup();
    const auto position = [](const StatusBackup& of) {
      return std::pair(of.facts.stop_timeline, of.facts.stop);
    };
    if (newest == nullptr || position(backup) >= position(*newest)) report_.newest = number;
  }

  Status measure_exposure() {
    const StatusBackup& backup = *report_.newest_backup();
    const restore::RecoveryWindow& window = backup.window;
    if (window.gap) {
      problem(format("the archive of backup {} breaks off: {} is missing", backup.snapshot.id,
                     *window.gap));
    }
    ExposedWal exposed;
    exposed.durable = window.end;
    // What lies behind the last record of a whole segment is empty, and archived as well.
    if (const auto lineage = archive_.lineage(window.timeline)) {
      const Lsn reached =
          archive_.reach(backup.facts.stop, *lineage, backup.facts.wal_segment_size_bytes).end;
      exposed.durable = std::max(exposed.durable, reached);
    }
    if (window.last_transaction) exposed.last_commit = window.last_transaction->time;
    if (report_.server) {
      const Lsn written = report_.server->written;
      exposed.bytes = written > exposed.durable ? written.value - exposed.durable.value : 0;
    }
    if (exposed.bytes == std::uint64_t{0}) {
      exposed.time = std::chrono::nanoseconds::zero();
    } else if (exposed.last_commit) {
      exposed.time = elapsed(*exposed.last_commit, report_.now);
    } else {
      // No commit since: the backup itself is what can be recovered.
      exposed.time = elapsed(backup.snapshot.finished, report_.now);
    }
    report_.exposed = exposed;
    return ok();
  }

  Status measure_coverage() {
    repository::Findings findings;
    const Inventory inventory = HAUL_TRY(take_inventory(cluster_, findings));
    const auto records = HAUL_TRY(read_verifications(cluster_, findings));
    std::optional<UtcTime> oldest;
    if (!report_.backups.empty()) oldest = report_.backups.front().snapshot.started;
    report_.coverage = find_coverage(inventory, records, oldest);
    for (const std::string& line : findings.lines()) problem(line);
    for (const VerificationRecord& record : standing_damage(records)) {
      problem(format("the verification of {} found damage: {} findings, {} backups affected",
                     to_iso8601(record.began), record.findings, record.affected.size()));
    }
    return ok();
  }

  const Cluster cluster_;
  std::optional<std::uint64_t> system_;
  wal::WalInventory archive_;
  StatusReport report_;
};

}  // namespace

std::chrono::nanoseconds elapsed(UtcTime from, UtcTime to) {
  return std::chrono::microseconds(std::max<std::int64_t>(0, to.microseconds - from.microseconds));
}

Result<StatusReport> find_status(const Cluster& cluster,
                                 const std::optional<postgres::ConnectionOptions>& server,
                                 Clock& clock) {
  return Look(cluster, clock).run(server);
}

}  // namespace haul::verify
