// A cluster with a ledger, which lived on three timelines and archived them all.
//
// Threads:  one owner at a time.
// Errors:   what cannot fail in a test is asserted.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/integration/main_job/program.h"
#include "tests/support/pg_server.h"

namespace haul::integration {

// One committed row: its transaction, and where WAL was just before it.
struct LedgerRow {
  std::int64_t number = 0;
  std::uint32_t xid = 0;
  std::int64_t time_us = 0;  // of its commit, since 1970
  std::string lsn;
  std::string hash;
};

struct TimelineRows {
  std::vector<LedgerRow> rows;                        // in commit order, those of its ancestors too
  std::map<std::string, std::size_t> restore_points;  // by name: how many rows there were
};

class LedgerHistory {
 public:
  // Timeline 1 with a backup, rows; back to one of them; timeline 2 with a backup, rows; back to
  // one of them; timeline 3, rows. Nothing runs at the end.
  static std::unique_ptr<LedgerHistory> make();
  ~LedgerHistory();

  const Workshop& workshop() const { return workshop_; }
  std::string repository() const { return workshop_.path("repo"); }
  const std::map<std::uint32_t, TimelineRows>& timelines() const { return timelines_; }
  const std::vector<std::string>& backups() const { return backups_; }
  // How many rows there were when the first backup had ended: no target lies before.
  std::size_t first_rows() const { return first_rows_; }
  std::size_t second_rows() const { return second_rows_; }

  // A restore into a new directory of this name, as JSON; the server is reached by query().
  Outcome restore(const std::string& name, const std::string& options,
                  const std::string& repository) const;
  Outcome restore(const std::string& name, const std::string& options) const {
    return restore(name, options, repository());
  }
  std::string directory(const std::string& name) const { return workshop_.path(name); }
  // Of a restored server that runs.
  std::string query(const std::string& sql) const;
  // The server's log, from its start.
  std::string log(const std::string& name) const;
  // Stops the server, if it runs, and removes the directory.
  void discard(const std::string& name) const;
  void stop(const std::string& name) const;

 private:
  LedgerHistory() = default;
  void live_on_timeline_1();
  void live_on_timeline_2();
  void live_on_timeline_3();
  void extend(int count, const std::string& tag) const;
  TimelineRows read_rows(std::uint32_t parent) const;
  void point(TimelineRows& timeline, const std::string& name) const;
  std::string backup(const std::string& directory, const std::string& wal) const;

  Workshop workshop_;
  std::unique_ptr<support::PgServer> source_;
  bool source_runs_ = false;
  std::map<std::uint32_t, TimelineRows> timelines_;
  std::vector<std::string> backups_;
  std::size_t first_rows_ = 0;
  std::size_t second_rows_ = 0;
};

// For sh.
std::string shell_quoted(const std::string& text);
// For SQL.
std::string sql_quoted(const std::string& text);

}  // namespace haul::integration
