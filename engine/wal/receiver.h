// pghaul wal receive: streams a server's WAL into the archive as it is written.
//
// A session begins from what is stored, whatever went before it: the server's lineage, what is
// archived of it and the slot tell where to go on. What was received is reported to the server as
// flushed once it is durable, never before. A session that is lost is followed by another one.
//
// Durability: see engine/wal/tail_writer.h; a server that waits for us as its synchronous standby
//           loses no commit that it confirmed.
// Memory:   one segment, and what storing it takes.
// Threads:  blocks its caller; a stop request ends it in order.
// Errors:   server_state (the server cannot be reached at first; another system's; has no more of
//           the WAL that comes next), already_exists (another server with the same history),
//           permission, unsupported, usage (a slot's name), and those of the repository. A stop
//           request is none.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "base/clock.h"
#include "base/random.h"
#include "engine/postgres/replication_stream.h"
#include "engine/repository/cluster.h"

namespace haul::wal {

struct ReceiverOptions {
  std::string slot = "pghaul";
  // Bytes are durable so long after they came, the disk permitting; 0: as soon as can be.
  std::chrono::milliseconds flush_interval{200};
  std::size_t workers = 1;
};

struct ReceiverReport {
  std::uint64_t system_identifier = 0;
  TimelineId timeline;
  Lsn start;    // where the first session began
  Lsn durable;  // what was reported as flushed
  std::uint64_t segments_stored = 0;
  std::uint64_t segments_present = 0;  // that someone else had archived by then
  std::uint64_t sessions = 0;
};

// Told what goes on, between the steps of the work; what it does takes no time.
class ReceiverObserver {
 public:
  virtual ~ReceiverObserver() = default;
  // A stream has begun.
  virtual void streaming(const ReceiverReport& report) = 0;
  // All is well; called ten times a second, except while server or disk are waited for.
  virtual void alive(const ReceiverReport& report) = 0;
  // A session was lost; another one is tried after this time.
  virtual void lost(const Error& why, std::chrono::nanoseconds pause) = 0;
};

struct ReceiverEnvironment {
  const repository::Cluster* cluster = nullptr;
  std::function<Result<std::unique_ptr<postgres::ReplicationStream>>()> connect;
  Clock* clock = nullptr;
  Random* random = nullptr;
  ReceiverObserver* observer = nullptr;
  std::stop_token stop;
  // What it was about when it failed.
  enum class Side { server, repository } side = Side::server;
};

// Returns when a stop is requested, with everything that had come durable and reported; or with
// what cannot be helped by trying again.
Result<ReceiverReport> receive_wal(const ReceiverOptions& options,
                                   ReceiverEnvironment& environment);

}  // namespace haul::wal
