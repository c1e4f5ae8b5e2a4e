#include "engine/postgres/connection.h"

#include <poll.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

#include "base/format.h"
#include "engine/postgres/internal/connect.h"

namespace haul::postgres {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How often a waiting query looks whether it was cancelled.
constexpr milliseconds kPollSlice{250};
// A server that does not react to a cancel request by then is given up.
constexpr milliseconds kCancelPatience{10000};
// What a row costs beyond its values; without it rows without columns would be free.
constexpr std::size_t kRowOverheadBytes = 32;
constexpr std::string_view kQueryCanceled = "57014";
constexpr std::string_view kInsufficientPrivilege = "42501";

Result<UniqueConn> connect(const LibPq& pq, const ConnectionOptions& options) {
  const ConnectionParameters parameters =
      HAUL_TRY(connection_parameters(pq, options, SessionKind::sql));
  UniqueConn conn(pq.PQconnectdbParams(parameters.keywords().data(), parameters.values().data(),
                                       parameters.expands_dbname() ? 1 : 0),
                  {pq.PQfinish});
  if (!conn) return Error(ErrorCode::server_state, "out of memory for a connection");
  if (pq.PQstatus(conn.get()) != CONNECTION_OK) {
    return Error(ErrorCode::server_state, format("cannot connect to PostgreSQL: {}",
                                                 one_line(pq.PQerrorMessage(conn.get()))));
  }
  return conn;
}

// Sessions here outlive every timeout an administrator may have set as a default.
std::string session_settings_sql(int server_version) {
  std::string sql =
      "SELECT pg_catalog.set_config('search_path', 'pg_catalog', false),"
      " pg_catalog.set_config('statement_timeout', '0', false),"
      " pg_catalog.set_config('lock_timeout', '0', false),"
      " pg_catalog.set_config('idle_in_transaction_session_timeout', '0', false),"
      " pg_catalog.set_config('datestyle', 'ISO', false),"
      " pg_catalog.set_config('timezone', 'UTC', false)";
  if (server_version >= 140000) {
    sql += ", pg_catalog.set_config('idle_session_timeout', '0', false)";
  }
  if (server_version >= 170000) {
    sql += ", pg_catalog.set_config('transaction_timeout', '0', false)";
  }
  return sql;
}

void ignore_notice(void*, const PGresult*) {}

}  // namespace

struct PgConnection::Impl {
  LibPq pq;
  UniqueConn conn;  // null once the connection was given up
  UniqueCancel cancel_handle;
  std::string name;
  int server_version = 0;
  std::int64_t backend_pid = 0;
  milliseconds query_timeout{0};
  std::string last_sqlstate;
  std::atomic<bool> cancelled{false};
  static_assert(std::atomic<bool>::is_always_lock_free);  // a signal handler sets it

  Result<Rows> run(const std::string& sql, const std::vector<std::optional<std::string>>& values);
  Status send(const std::string& sql, const std::vector<std::optional<std::string>>& values);
  // Blocks until libpq has a result to give.
  Status wait(SteadyClock::time_point started);
  Status wait_for_socket();
  // Takes everything that is left over, so that the connection can be used again.
  void drain(SteadyClock::time_point started);
  void request_cancel() const;
  Error lost();
  Error server_error(const PGresult* result);
  Error give_up(Error error);
};

namespace {

Status append(const LibPq& pq, const PGresult* result, Rows& rows, std::size_t& size_bytes) {
  const int columns = pq.PQnfields(result);
  if (rows.columns.empty()) {
    for (int column = 0; column < columns; ++column) {
      rows.columns.emplace_back(pq.PQfname(result, column));
    }
  }
  for (int row = 0; row < pq.PQntuples(result); ++row) {
    auto& values = rows.values.emplace_back();
    for (int column = 0; column < columns; ++column) {
      if (pq.PQgetisnull(result, row, column) != 0) {
        values.emplace_back(std::nullopt);
        continue;
      }
      const auto length = static_cast<std::size_t>(pq.PQgetlength(result, row, column));
      size_bytes += length;
      values.emplace_back(std::string(pq.PQgetvalue(result, row, column), length));
    }
    size_bytes += kRowOverheadBytes + values.size() * sizeof(values.front());
    if (size_bytes > kResultSizeMaxBytes) {
      return Error(ErrorCode::server_state,
                   format("an answer of the server is larger than {} bytes", kResultSizeMaxBytes));
    }
  }
  return ok();
}

}  // namespace

void PgConnection::Impl::request_cancel() const {
  std::array<char, 256> message{};
  // A failure is not worth a word: the waiting query asks again.
  static_cast<void>(
      pq.PQcancel(cancel_handle.get(), message.data(), static_cast<int>(message.size())));
}

Error PgConnection::Impl::give_up(Error error) {
  conn.reset();
  return error;
}

Error PgConnection::Impl::lost() {
  return give_up({ErrorCode::server_state, format("connection to {} lost: {}", name,
                                                  one_line(pq.PQerrorMessage(conn.get())))});
}

Error PgConnection::Impl::server_error(const PGresult* result) {
  const char* sqlstate = pq.PQresultErrorField(result, PG_DIAG_SQLSTATE);
  last_sqlstate = sqlstate == nullptr ? "" : sqlstate;
  const char* primary = pq.PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  std::string message = one_line(primary != nullptr ? primary : pq.PQresultErrorMessage(result));
  const std::string hint = one_line(pq.PQresultErrorField(result, PG_DIAG_MESSAGE_HINT));
  if (last_sqlstate == kQueryCanceled && cancelled) {
    return {ErrorCode::interrupted, "query cancelled"};
  }
  const ErrorCode code =
      last_sqlstate == kInsufficientPrivilege ? ErrorCode::permission : ErrorCode::server_state;
  return {code, format("server {}: {}", name, message), hint};
}

Status PgConnection::Impl::wait_for_socket() {
  struct pollfd socket = {pq.PQsocket(conn.get()), POLLIN, 0};
  if (::poll(&socket, 1, static_cast<int>(kPollSlice.count())) < 0 && errno != EINTR) {
    return give_up(error_from_errno(errno, format("poll connection to {}", name)));
  }
  return ok();
}

Status PgConnection::Impl::wait(SteadyClock::time_point started) {
  std::optional<SteadyClock::time_point> cancel_noticed;
  while (pq.PQisBusy(conn.get()) != 0) {
    HAUL_TRY(wait_for_socket());
    if (pq.PQconsumeInput(conn.get()) == 0) return lost();
    const auto now = SteadyClock::now();
    if (query_timeout.count() > 0 && now - started > query_timeout) {
      return give_up({ErrorCode::server_state,
                      format("no answer from {} in {} ms", name, query_timeout.count())});
    }
    if (!cancelled || pq.PQisBusy(conn.get()) == 0) continue;
    // The first request may have come before the server began with the query.
    request_cancel();
    if (!cancel_noticed) cancel_noticed = now;
    if (now - *cancel_noticed > kCancelPatience) {
      return give_up({ErrorCode::interrupted, "query cancelled"});
    }
  }
  return ok();
}

Status PgConnection::Impl::send(const std::string& sql,
                                const std::vector<std::optional<std::string>>& values) {
  std::vector<const char*> pointers;
  pointers.reserve(values.size());
  for (const auto& value : values) pointers.push_back(value ? value->c_str() : nullptr);
  if (pq.PQsendQueryParams(conn.get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                           pointers.data(), nullptr, nullptr, 0) == 0 ||
      pq.PQsetSingleRowMode(conn.get()) == 0) {
    return lost();
  }
  return ok();
}

void PgConnection::Impl::drain(SteadyClock::time_point started) {
  while (conn && wait(started)) {
    if (!UniqueResult(pq.PQgetResult(conn.get()), {pq.PQclear})) return;
  }
}

Result<Rows> PgConnection::Impl::run(const std::string& sql,
                                     const std::vector<std::optional<std::string>>& values) {
  last_sqlstate.clear();
  if (cancelled) return Error(ErrorCode::interrupted, "query cancelled");
  if (!conn) return Error(ErrorCode::server_state, format("connection to {} is closed", name));
  const auto started = SteadyClock::now();
  HAUL_TRY(send(sql, values));
  Rows rows;
  std::size_t size_bytes = 0;
  while (true) {
    HAUL_TRY(wait(started));
    const UniqueResult result(pq.PQgetResult(conn.get()), {pq.PQclear});
    if (!result) return rows;
    const ExecStatusType status = pq.PQresultStatus(result.get());
    if (status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK) {
      Status appended = append(pq, result.get(), rows, size_bytes);
      if (!appended) return give_up(std::move(appended).take_error());
    } else if (status != PGRES_COMMAND_OK) {
      Error error = server_error(result.get());
      drain(started);
      if (conn && pq.PQstatus(conn.get()) != CONNECTION_OK) conn.reset();
      return error;
    }
  }
}

Result<std::unique_ptr<PgConnection>> PgConnection::open(const ConnectionOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->pq = HAUL_TRY(load_libpq());
  const LibPq& pq = impl->pq;
  impl->conn = HAUL_TRY(connect(pq, options));
  PGconn* conn = impl->conn.get();
  pq.PQsetNoticeReceiver(conn, ignore_notice, nullptr);
  impl->name = format("{}:{}", one_line(pq.PQhost(conn)), one_line(pq.PQport(conn)));
  impl->server_version = pq.PQserverVersion(conn);
  impl->backend_pid = pq.PQbackendPID(conn);
  impl->query_timeout = options.query_timeout;
  impl->cancel_handle = UniqueCancel(pq.PQgetCancel(conn), {pq.PQfreeCancel});
  if (!impl->cancel_handle) return Error(ErrorCode::server_state, "out of memory for a connection");
  std::unique_ptr<PgConnection> connection(new PgConnection(std::move(impl)));
  HAUL_TRY(connection->query(session_settings_sql(connection->server_version())));
  return connection;
}

PgConnection::PgConnection(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PgConnection::~PgConnection() = default;

Result<Rows> PgConnection::query(const std::string& sql,
                                 const std::vector<std::optional<std::string>>& parameters) {
  return impl_->run(sql, parameters);
}

Result<std::vector<std::optional<std::string>>> PgConnection::query_row(
    const std::string& sql, const std::vector<std::optional<std::string>>& parameters) {
  Rows rows = HAUL_TRY(query(sql, parameters));
  if (rows.count() != 1) {
    return Error(ErrorCode::server_state,
                 format("server {}: {} rows where one was expected", name(), rows.count()));
  }
  return std::move(rows.values.front());
}

Result<std::string> PgConnection::query_value(
    const std::string& sql, const std::vector<std::optional<std::string>>& parameters) {
  auto row = HAUL_TRY(query_row(sql, parameters));
  if (row.size() != 1 || !row.front()) {
    return Error(ErrorCode::server_state,
                 format("server {}: no single value where one was expected", name()));
  }
  return std::move(*row.front());
}

void PgConnection::set_query_timeout(milliseconds timeout) { impl_->query_timeout = timeout; }

void PgConnection::cancel() {
  impl_->cancelled = true;
  impl_->request_cancel();
}

int PgConnection::server_version() const { return impl_->server_version; }
std::int64_t PgConnection::backend_pid() const { return impl_->backend_pid; }
const std::string& PgConnection::last_sqlstate() const { return impl_->last_sqlstate; }
bool PgConnection::is_open() const { return impl_->conn != nullptr; }
const std::string& PgConnection::name() const { return impl_->name; }

}  // namespace haul::postgres
