// A server, a repository, and pghaul wal receive between them as a process that can be killed.
//
// Threads:  one owner at a time.
// Errors:   what fails here is a failure of the test.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "engine/postgres/connection.h"
#include "engine/repository/repository.h"
#include "tests/integration/main_job/program.h"
#include "tests/support/pg_server.h"

namespace haul::integration {

bool full_receive_run();

class StreamedCluster {
 public:
  // A running server with segments of 1 MiB that keeps all of its WAL, and an empty repository.
  explicit StreamedCluster(const std::vector<std::string>& settings = {"wal_keep_size = '8GB'"});
  ~StreamedCluster();  // ends the receiver
  StreamedCluster(const StreamedCluster&) = delete;
  StreamedCluster& operator=(const StreamedCluster&) = delete;

  Workshop& workshop() { return workshop_; }
  support::PgServer& server() { return *server_; }
  std::string repository() const { return workshop_.path("repo"); }
  // "--repo ... --cluster main"
  std::string place() const;

  // From this server, or from another one.
  void start_receiver(const std::string& options = "");
  void start_receiver_from(const std::string& conninfo, const std::string& options = "");
  // Waits until a receiver streams from this server, or from another one.
  void wait_until_streaming(postgres::PgConnection& session);
  pid_t receiver() const { return receiver_; }
  void kill_receiver();
  // SIGTERM; how it ended.
  Outcome stop_receiver();
  // Waits for it to end by itself.
  Outcome wait_for_receiver();

  std::unique_ptr<postgres::PgConnection> session() const { return session(server_->conninfo()); }
  static std::unique_ptr<postgres::PgConnection> session(const std::string& conninfo);
  // What the server has been told is flushed; nothing while no receiver streams.
  static std::optional<Lsn> reported(postgres::PgConnection& session);
  static Lsn flushed(postgres::PgConnection& session);
  // Waits until everything that the server has flushed by now was reported; up to where that is.
  Lsn catch_up(postgres::PgConnection& session);
  void run_load(int seconds) const;

  // The stored bytes from `begin` to `end` are those in this pg_wal. Empty when all is well.
  std::string stored_fault(TimelineId timeline, Lsn begin, Lsn end,
                           const std::string& wal_directory) const;
  std::string stored_fault(Lsn begin, Lsn end) const {
    return stored_fault(TimelineId{1}, begin, end, server_->data_directory() + "/pg_wal");
  }
  // A segment whole, or its tail; empty when nothing of it is stored.
  std::string stored(const std::string& segment) const;
  std::uint64_t system_identifier() const;

 private:
  Workshop workshop_;
  std::unique_ptr<support::PgServer> server_;
  pid_t receiver_ = 0;
};

inline constexpr std::uint32_t kSegmentBytes = 1U << 20;

// Tries this ten times a second, for a minute.
template <typename Condition>
bool eventually(const Condition& condition);

void sleep_ms(int milliseconds);

template <typename Condition>
bool eventually(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes{1};
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    sleep_ms(50);
  }
  return true;
}

}  // namespace haul::integration
