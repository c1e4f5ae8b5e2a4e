#include "engine/backup/check.h"

#include "base/format.h"
#include "engine/backup/archive_wait.h"
#include "engine/backup/preflight.h"
#include "engine/postgres/archiver.h"
#include "engine/repository/lease.h"

namespace haul::backup {

namespace {

// A lease is what every backup writes first.
Status check_repository(const repository::Cluster& cluster, Clock& clock) {
  const auto lease = HAUL_TRY(
      repository::Lease::create_for_backup(cluster, 'F', repository::this_process("check"), clock));
  return lease->release();
}

// A backup copies its WAL where it may not do this; whether WAL arrives cannot be seen without.
Status check_right_to_switch(postgres::PgConnection& connection) {
  const std::string allowed = HAUL_TRY(
      connection.query_value("SELECT has_function_privilege('pg_switch_wal()', 'EXECUTE')"));
  if (allowed == "t") return ok();
  const std::string role = HAUL_TRY(connection.query_value("SELECT quote_ident(current_user)"));
  return Error(
      ErrorCode::permission,
      format("role {} may not execute pg_switch_wal(): whether WAL arrives cannot be seen", role),
      format("GRANT EXECUTE ON FUNCTION pg_switch_wal() TO {}", role));
}

Status check_archive(const repository::Cluster& cluster, const BackupOptions& options,
                     const BackupEnvironment& environment, const Preflight& preflight,
                     CheckReport& report) {
  const auto connection = HAUL_TRY(postgres::PgConnection::open(preflight.connection));
  const postgres::ArchiverState state = HAUL_TRY(postgres::archiver_state(*connection));
  if (state.mode == postgres::ArchiverState::Mode::off) {
    report.warnings.push_back(
        "archive_mode is off: what is committed after a backup is not kept by this server's "
        "archiver");
    return ok();
  }
  if (preflight.session->facts().in_recovery) {
    report.warnings.push_back("the server is in recovery: it cannot be made to end a segment");
    return ok();
  }
  HAUL_TRY(check_right_to_switch(*connection));
  const wal::WalArchive archive(cluster, preflight.control.system_identifier);
  ArchiveWait wait;
  wait.archive = &archive;
  wait.segment_size_bytes = preflight.control.wal_segment_size_bytes;
  wait.clock = environment.clock;
  wait.stop = environment.stop;
  wait.timeout = options.archive_timeout;
  const Arrival arrival = HAUL_TRY(try_archive(wait, *connection));
  if (!arrival.arrived()) {
    return Error(
        ErrorCode::server_state, format("no WAL arrives: {}", arrival.reason),
        "archive_command = 'pghaul wal push --repo PATH --cluster NAME %p'; what it said is "
        "in the server's log");
  }
  report.passed.push_back(format("WAL arrives: {} is in the repository, whole", arrival.segment));
  return ok();
}

}  // namespace

Result<CheckReport> run_check(const BackupOptions& options, BackupEnvironment& environment) {
  CheckReport report;
  const repository::Cluster cluster = HAUL_TRY(environment.repository->cluster(options.cluster));
  const Preflight preflight = HAUL_TRY(run_preflight(options, environment, cluster));
  const postgres::ServerFacts& server = preflight.session->facts();
  report.passed.push_back(format("the server is PostgreSQL {}, system {}, and may be backed up",
                                 server.major, server.system_identifier));
  report.passed.push_back(format("{} is its data directory", preflight.data_directory));
  if (!preflight.control.data_checksums()) {
    report.warnings.push_back(
        "data checksums are off: pages that the disk damaged cannot be told from sound ones");
  }
  HAUL_TRY(check_repository(cluster, *environment.clock));
  report.passed.push_back(format("the repository at {} can be written, as cluster {}",
                                 environment.repository->name(), cluster.name));
  HAUL_TRY(check_archive(cluster, options, environment, preflight, report));
  return report;
}

}  // namespace haul::backup
