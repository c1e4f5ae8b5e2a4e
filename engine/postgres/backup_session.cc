#include "engine/postgres/backup_session.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/format.h"
#include "engine/postgres/backup_label.h"
#include "engine/postgres/internal/server_answers.h"
#include "engine/postgres/internal/text.h"

namespace haul::postgres {
namespace {

using std::chrono::milliseconds;

// MAXPGPATH, the server's own limit for a label.
constexpr std::size_t kLabelMaxBytes = 1024;
constexpr milliseconds kPingIntervalMax{10000};

struct Watched {
  std::int64_t backend_pid = 0;
  std::string backend_start;
};

Status check_version(const PgConnection& connection) {
  const int major = connection.server_major();
  if (major >= kServerMajorMin && major <= kServerMajorMax) return ok();
  return Error(ErrorCode::unsupported, format("server version {} is not supported", major),
               format("PostgreSQL {} to {} are supported", kServerMajorMin, kServerMajorMax));
}

// A pooler hands each transaction to whatever server session is free, and backup mode would end up
// in some session or other. Its own process id gives it away: it is not the one that answers.
Result<Watched> identify(PgConnection& connection) {
  const auto row = HAUL_TRY(connection.query_row(
      "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"));
  if (row.size() != 2 || !row[0] || !row[1]) {
    return Error(ErrorCode::server_state, "the session does not find itself in pg_stat_activity");
  }
  if (*row[0] != format("{}", connection.backend_pid())) {
    return Error(ErrorCode::server_state,
                 format("the connection to {} goes through a pooler", connection.name()),
                 "connect to the server itself");
  }
  return Watched{connection.backend_pid(), *row[1]};
}

Status check_right(PgConnection& connection, const std::string& signature) {
  const std::string allowed =
      HAUL_TRY(connection.query_value("SELECT has_function_privilege($1, 'EXECUTE')", {signature}));
  if (allowed == "t") return ok();
  const std::string role = HAUL_TRY(connection.query_value("SELECT quote_ident(current_user)"));
  return Error(ErrorCode::permission, format("role {} may not execute {}", role, signature),
               format("GRANT EXECUTE ON FUNCTION {} TO {}", signature, role));
}

Status check_visible_settings(PgConnection& connection, const ServerFacts& facts) {
  const bool visible = !facts.data_directory.empty() && !facts.config_file.empty() &&
                       !facts.hba_file.empty() && !facts.ident_file.empty();
  if (visible) return ok();
  const std::string role = HAUL_TRY(connection.query_value("SELECT quote_ident(current_user)"));
  return Error(ErrorCode::permission,
               format("role {} may not see where data and configuration files are", role),
               format("GRANT pg_read_all_settings TO {}", role));
}

Status check_state(const ServerFacts& facts) {
  if (facts.wal_level < WalLevel::replica) {
    return Error(ErrorCode::server_state,
                 "wal_level is minimal: the server cannot be backed up online",
                 "set wal_level = replica and restart the server");
  }
  // A primary forces them on while a backup runs; a standby depends on what was replayed.
  if (facts.in_recovery && !facts.full_page_writes) {
    return Error(ErrorCode::server_state,
                 "full_page_writes is off on the primary: this standby cannot be backed up",
                 "set full_page_writes = on on the primary");
  }
  return ok();
}

class LiveBackupSession final : public BackupSession {
 public:
  struct Parts {
    std::unique_ptr<PgConnection> session;
    std::unique_ptr<PgConnection> watcher;
    Watched watched;
    ServerFacts facts;
    milliseconds ping_interval;
    milliseconds ping_timeout;
  };

  explicit LiveBackupSession(Parts parts) : parts_(std::move(parts)) {
    pinger_ = std::jthread([this](const std::stop_token& stop) { keep_pinging(stop); });
  }

  // The pinger uses both connections; closing them ends the server's backup mode.
  ~LiveBackupSession() override { stop_pinging(); }

  const ServerFacts& facts() const override { return parts_.facts; }
  Result<std::vector<Tablespace>> tablespaces() override;
  Result<StartResult> start(const std::string& label, CheckpointMode mode) override;
  Result<StopResult> stop() override;
  Status health() override;
  Result<Lsn> current_wal_insert_lsn() override;
  Result<std::vector<DatabasePlace>> databases() override;
  void cancel() override;

 private:
  void keep_pinging(const std::stop_token& stop);
  void stop_pinging();
  // Asks both sessions; records what is wrong.
  void ping();
  Status ask_session();
  Status ask_watcher();
  void record_failure(Error error);
  Status check_stop(const StopResult& result) const;

  Parts parts_;
  std::optional<StartResult> started_;
  bool stopped_ = false;

  std::mutex session_mutex_;  // guards the use of parts_.session
  std::mutex watcher_mutex_;  // guards the use of parts_.watcher

  std::mutex health_mutex_;  // guards failure_ and timeline_
  std::optional<Error> failure_;
  // The one the server must stay on. Unknown before start(): a server promoted a moment ago still
  // has the old one in its last checkpoint.
  std::optional<TimelineId> timeline_;

  std::mutex sleep_mutex_;  // guards nothing but the pinger's sleep
  std::condition_variable_any wake_;
  std::jthread pinger_;  // last: it uses all of the above
};

Result<std::vector<Tablespace>> LiveBackupSession::tablespaces() {
  const std::lock_guard lock(session_mutex_);
  const Rows rows = HAUL_TRY(parts_.session->query(tablespaces_sql()));
  return parse_tablespaces(rows.values);
}

Result<StartResult> LiveBackupSession::start(const std::string& label, CheckpointMode mode) {
  HAUL_ASSERT(!started_);
  HAUL_TRY(check_label(label));
  HAUL_TRY(health());
  StartResult result;
  {
    const std::lock_guard lock(session_mutex_);
    parts_.session->set_query_timeout(milliseconds{0});
    const std::string fast = mode == CheckpointMode::fast ? "true" : "false";
    const Row row = HAUL_TRY(parts_.session->query_row(start_sql(facts().major), {label, fast}));
    result = HAUL_TRY(parse_start(row));
  }
  {
    const std::lock_guard lock(health_mutex_);
    timeline_ = result.timeline;
  }
  started_ = result;
  return result;
}

Result<StopResult> LiveBackupSession::stop() {
  HAUL_ASSERT(started_ && !stopped_);
  HAUL_TRY(health());
  StopResult result;
  {
    const std::lock_guard lock(session_mutex_);
    parts_.session->set_query_timeout(milliseconds{0});
    const Row row = HAUL_TRY(parts_.session->query_row(stop_sql(facts().major)));
    result = HAUL_TRY(parse_stop(row));
  }
  stopped_ = true;
  // The last look comes after the stop: whatever happened before it counts.
  ping();
  stop_pinging();
  HAUL_TRY(health());
  result.timeline = started_->timeline;
  HAUL_TRY(check_stop(result));
  return result;
}

Status LiveBackupSession::check_stop(const StopResult& result) const {
  const BackupLabel label =
      HAUL_TRY(parse_backup_label(result.backup_label, facts().wal_segment_size_bytes));
  if (label.start != started_->start || label.timeline != started_->timeline) {
    return Error(ErrorCode::server_state,
                 format("backup_label is of a backup that began at {} on timeline {}, not {} on {}",
                        to_string(label.start), label.timeline.value, to_string(started_->start),
                        started_->timeline.value));
  }
  if (result.stop < started_->start) {
    return Error(ErrorCode::server_state,
                 format("backup stopped at {}, before its start {}", to_string(result.stop),
                        to_string(started_->start)));
  }
  HAUL_TRY(parse_tablespace_map(result.tablespace_map));
  return ok();
}

Status LiveBackupSession::health() {
  const std::lock_guard lock(health_mutex_);
  if (failure_) return Error(*failure_);
  return ok();
}

Result<Lsn> LiveBackupSession::current_wal_insert_lsn() {
  const std::lock_guard lock(watcher_mutex_);
  const Row row = HAUL_TRY(parts_.watcher->query_row(wal_position_sql()));
  return parse_position(row);
}

Result<std::vector<DatabasePlace>> LiveBackupSession::databases() {
  const std::lock_guard lock(watcher_mutex_);
  const Rows rows = HAUL_TRY(parts_.watcher->query(
      "SELECT oid::text, dattablespace::text FROM pg_catalog.pg_database WHERE datconnlimit <> -2 "
      "ORDER BY oid, dattablespace"));
  std::vector<DatabasePlace> places;
  for (const auto& row : rows.values) {
    const auto oid = parse_oid(row.size() == 2 ? row[0].value_or("") : "");
    const auto tablespace = parse_oid(row.size() == 2 ? row[1].value_or("") : "");
    if (!oid || !tablespace) {
      return Error(ErrorCode::server_state, "the server's list of databases cannot be understood");
    }
    places.push_back({*oid, *tablespace});
  }
  return places;
}

void LiveBackupSession::cancel() {
  // First the reason: who is woken by the cancelled query asks for it.
  record_failure({ErrorCode::interrupted, "backup session cancelled"});
  parts_.session->cancel();
}

void LiveBackupSession::record_failure(Error error) {
  const std::lock_guard lock(health_mutex_);
  if (!failure_) failure_ = std::move(error);
}

Status LiveBackupSession::ask_session() {
  // Busy with start() or stop(), which find out themselves.
  const std::unique_lock lock(session_mutex_, std::try_to_lock);
  if (!lock) return ok();
  parts_.session->set_query_timeout(parts_.ping_timeout);
  HAUL_TRY(parts_.session->query("SELECT 1"));
  return ok();
}

Status LiveBackupSession::ask_watcher() {
  const std::lock_guard lock(watcher_mutex_);
  const Row row = HAUL_TRY(parts_.watcher->query_row(
      ping_sql(), {format("{}", parts_.watched.backend_pid), parts_.watched.backend_start}));
  const PingAnswer answer = HAUL_TRY(parse_ping(row));
  if (!answer.session_alive) {
    return Error(ErrorCode::server_state,
                 format("the backup session (process {}) is gone", parts_.watched.backend_pid));
  }
  if (answer.in_recovery != facts().in_recovery) {
    return Error(ErrorCode::server_state, answer.in_recovery
                                              ? "the server went into recovery during the backup"
                                              : "the standby was promoted during the backup");
  }
  const std::lock_guard health_lock(health_mutex_);
  if (timeline_ && answer.timeline != *timeline_) {
    return Error(ErrorCode::server_state,
                 format("the server changed from timeline {} to {} during the backup",
                        timeline_->value, answer.timeline.value));
  }
  return ok();
}

void LiveBackupSession::ping() {
  for (Status status : {ask_watcher(), ask_session()}) {
    if (!status) record_failure(std::move(status).take_error().with_context("backup session lost"));
  }
}

void LiveBackupSession::keep_pinging(const std::stop_token& stop) {
  std::unique_lock lock(sleep_mutex_);
  while (true) {
    wake_.wait_for(lock, stop, parts_.ping_interval, [&] { return stop.stop_requested(); });
    if (stop.stop_requested()) return;
    ping();
  }
}

void LiveBackupSession::stop_pinging() {
  pinger_.request_stop();
  if (pinger_.joinable()) pinger_.join();
}

}  // namespace

Result<std::unique_ptr<BackupSession>> BackupSession::open(const SessionOptions& options) {
  LiveBackupSession::Parts parts;
  parts.ping_interval = std::clamp(options.ping_interval, milliseconds{1}, kPingIntervalMax);
  parts.ping_timeout = options.ping_timeout;
  parts.session = HAUL_TRY(PgConnection::open(options.connection));
  PgConnection& session = *parts.session;
  HAUL_TRY(check_version(session));
  parts.watched = HAUL_TRY(identify(session));

  const Row row = HAUL_TRY(session.query_row(server_facts_sql()));
  parts.facts = HAUL_TRY(parse_server_facts(row, session.server_version()));
  HAUL_TRY(check_visible_settings(session, parts.facts));
  HAUL_TRY(check_right(session, start_function_signature(parts.facts.major)));
  HAUL_TRY(check_right(session, stop_function_signature(parts.facts.major)));
  HAUL_TRY(check_state(parts.facts));

  ConnectionOptions watcher_options = options.connection;
  watcher_options.query_timeout = options.ping_timeout;
  parts.watcher = HAUL_TRY(PgConnection::open(watcher_options));
  // Several hosts in one connection string may lead to another server.
  const std::string other =
      HAUL_TRY(parts.watcher->query_value("SELECT system_identifier FROM pg_control_system()"));
  if (other != format("{}", static_cast<std::int64_t>(parts.facts.system_identifier))) {
    return Error(ErrorCode::server_state, "the second session reached another server");
  }
  return std::make_unique<LiveBackupSession>(std::move(parts));
}

Status check_label(const std::string& label) {
  const auto refuse = [](std::string_view what) {
    return Error(ErrorCode::usage, format("backup label {}", what));
  };
  if (label.size() > kLabelMaxBytes)
    return refuse(format("has more than {} bytes", kLabelMaxBytes));
  const bool control = std::ranges::any_of(
      label, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
  if (control) return refuse("contains a control character");
  return ok();
}

}  // namespace haul::postgres
