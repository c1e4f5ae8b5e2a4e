// One libpq connection.
//
// Memory:   a result is held whole, twice for a moment; one larger than kResultSizeMaxBytes is
//           refused.
// Threads:  one owner at a time; cancel() from any thread and from a signal handler.
// Errors:   server_state (unreachable, refused, or the server's own error, first line of its
//           message), interrupted (cancel() ended a query), permission (the role lacks a right),
//           usage (a connection string that cannot be parsed).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace haul::postgres {

inline constexpr std::size_t kResultSizeMaxBytes = std::size_t{64} << 20;

// Empty members are left to conninfo, then to libpq's defaults (PG* environment, service files,
// .pgpass). A password in conninfo is `usage`: command lines and logs are no place for it.
struct ConnectionOptions {
  std::string conninfo;  // "key=value ...", a postgresql:// URI, or a database's name alone
  std::string host;
  std::string port;
  std::string user;
  std::string dbname;  // "postgres" when neither this, conninfo nor the environment names one
  std::chrono::seconds connect_timeout{30};
  // A query that has no answer by then fails and the connection with it; 0: wait for ever.
  std::chrono::milliseconds query_timeout{0};
};

// A query's answer: text values, std::nullopt for NULL.
struct Rows {
  std::vector<std::string> columns;
  std::vector<std::vector<std::optional<std::string>>> values;

  std::size_t count() const { return values.size(); }
};

class PgConnection {
 public:
  // Connects and prepares the session: application_name pghaul, statement, lock, idle and
  // idle-in-transaction timeouts 0, search_path pg_catalog, client_encoding UTF8, ISO dates, TCP
  // keepalives. Blocks up to connect_timeout.
  static Result<std::unique_ptr<PgConnection>> open(const ConnectionOptions& options);
  ~PgConnection();
  PgConnection(const PgConnection&) = delete;
  PgConnection& operator=(const PgConnection&) = delete;

  // One statement with text parameters $1, $2, ...; std::nullopt is NULL. Blocks.
  Result<Rows> query(const std::string& sql,
                     const std::vector<std::optional<std::string>>& parameters = {});
  // The same where exactly one row is expected.
  Result<std::vector<std::optional<std::string>>> query_row(
      const std::string& sql, const std::vector<std::optional<std::string>>& parameters = {});
  // The same where exactly one value, not NULL, is expected.
  Result<std::string> query_value(const std::string& sql,
                                  const std::vector<std::optional<std::string>>& parameters = {});

  // Of the queries from now on; 0: wait for ever.
  void set_query_timeout(std::chrono::milliseconds timeout);

  // Asks the server to cancel what this connection runs; its query() then returns `interrupted`.
  // Queries after it are not run and return the same.
  void cancel();

  int server_version() const;  // 150004
  int server_major() const { return server_version() / 10000; }
  std::int64_t backend_pid() const;
  // SQLSTATE of the last failed query ("42501"); empty when it failed without one.
  const std::string& last_sqlstate() const;
  bool is_open() const;
  // "host:port" or the socket, for messages.
  const std::string& name() const;

 private:
  struct Impl;
  explicit PgConnection(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace haul::postgres
