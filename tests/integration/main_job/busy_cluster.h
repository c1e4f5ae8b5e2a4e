// A server with a bit of everything, and the load that runs while it is backed up.
//
// Threads:  one owner; a Load owns its threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/pg_server.h"

namespace haul::integration {

// Server 15 with checksums and tiny max_wal_size, loaded: pgbench, wide text and jsonb,
// incompressible bytea, two more databases, a tablespace, an unlogged table, large objects,
// partitions, a prepared transaction, and a table of more than one segment.
Result<std::unique_ptr<support::PgServer>> make_busy_cluster();

// One line that changes with any row of what the load does not touch.
Result<std::string> static_contents(const support::PgServer& server);
// pg_dumpall --schema-only without the database of the DDL storm.
Result<std::string> schema(const support::PgServer& server);

// What was committed to the ledger, and how far WAL had come when the commit was acknowledged.
struct LedgerEntry {
  std::int64_t number = 0;
  std::uint64_t insert_lsn = 0;
};

// pgbench, a storm of DDL in a database of its own, checkpoints, and a hash-chained ledger.
class Load {
 public:
  explicit Load(const support::PgServer& server);
  ~Load();  // stop()
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void stop();
  // After stop(): in commit order.
  const std::vector<LedgerEntry>& ledger() const { return ledger_; }
  std::uint64_t storm_rounds() const { return storm_rounds_; }

 private:
  void write_ledger(std::stop_token stop);
  void storm(std::stop_token stop);

  const support::PgServer& server_;
  std::vector<LedgerEntry> ledger_;
  std::atomic<std::uint64_t> storm_rounds_ = 0;
  std::vector<std::jthread> threads_;
};

// Every ledger row that was committed before `stop_lsn` is there, nothing else than what was
// written, and no link is broken. Empty when all is well.
std::string ledger_fault(const support::PgServer& restored, const std::vector<LedgerEntry>& written,
                         std::uint64_t stop_lsn);

}  // namespace haul::integration
