// A scratch PostgreSQL for tests: its own temporary directory, its own socket, nobody else's
// business.
//
// Run as root, the server and its programs run as the user "postgres"; run as anyone else, as that
// user. Programs are those of PGHAUL_PG_BIN, else of the newest /usr/lib/postgresql/*/bin.
//
// Threads:  one owner at a time.
// Errors:   server_state (a program failed; the message holds the end of its output), io.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace haul::support {

// The directory of the server programs; empty when none are installed.
std::string pg_bin_directory();
// Of these programs: 15.
int pg_major();

struct PgServerOptions {
  enum class Checksums : std::uint8_t { off, on } checksums = Checksums::on;
  std::uint32_t wal_segment_size_mb = 16;
  // Lines for postgresql.conf; fsync is off unless they say otherwise.
  std::vector<std::string> settings;
};

class PgServer {
 public:
  // initdb, not started.
  static Result<std::unique_ptr<PgServer>> create(const PgServerOptions& options = {});
  // A server on a directory that someone made, e.g. a restore; it stays when this ends.
  static Result<std::unique_ptr<PgServer>> adopt(const std::string& data_directory);
  // Stops what was started, removes what was created.
  ~PgServer();
  PgServer(const PgServer&) = delete;
  PgServer& operator=(const PgServer&) = delete;

  enum class StopMode : std::uint8_t { smart, fast, immediate };

  Status start();
  Status stop(StopMode mode = StopMode::fast);
  Status restart();
  bool is_running() const;
  std::int64_t postmaster_pid() const;

  const std::string& data_directory() const { return data_directory_; }
  const std::string& socket_directory() const { return socket_directory_; }
  // A directory of this server's, for tablespaces and the like; owned by its user.
  Result<std::string> make_directory(const std::string& name);
  std::string log_file() const { return work_directory_ + "/server.log"; }
  // "host=... port=... user=postgres dbname=postgres"
  std::string conninfo(const std::string& user = "postgres") const;

  // psql -At: rows as lines, columns divided by "|"; without the last line feed. Fails on the first
  // error.
  Result<std::string> query(const std::string& sql, const std::string& dbname = "postgres") const;
  // pg_amcheck of everything with --heapallindexed; before 14, which has none, all B-trees of all
  // databases by its extension. The first thing that is wrong fails it.
  Status check_relations() const;
  // Adds lines to postgresql.conf.
  Status configure(const std::vector<std::string>& settings) const;

  Status pgbench_initialize(int scale) const;
  Status run_pgbench(int clients, int seconds) const;

  // Runs a program of pg_bin_directory(), or any by its path, as the server's user; stdout and
  // stderr.
  Result<std::string> run(const std::vector<std::string>& command) const;

 private:
  PgServer() = default;
  Status initialize(const PgServerOptions& options);

  std::string work_directory_;  // removed at the end
  std::string data_directory_;
  std::string socket_directory_;
  bool started_ = false;
};

// What a Directory or a parser under test is given to read.
Result<std::string> read_whole_file(const std::string& path);

}  // namespace haul::support
