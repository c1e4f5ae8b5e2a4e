// Copies the WAL that a backup needs while the backup runs.
//
// A temporary physical replication slot, made before the backup starts, keeps the server from
// recycling segments; it follows what was handed over, so that the server never keeps more than it
// must. A thread hands each finished segment to the sink, in order, once, page headers checked.
//
// Order of calls: open(), the session's start(), start(), the backup, prepare_stop(), the session's
// stop(), finish().
//
// Memory:   one buffer of 1 MiB.
// Threads:  one owner at a time; health() and cancel() from any thread. Owns one thread, which
// alone
//           calls the sink.
// Errors:   permission (no right to replicate), server_state (session or slot lost, no free slot,
// the
//           server is a standby), corrupt (a segment that is not what its name says), not_found (a
//           segment that was needed is gone), interrupted (cancel()), and the sink's own.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/types.h"
#include "engine/postgres/connection.h"
#include "engine/postgres/wal_segment.h"
#include "io/directory.h"

namespace haul::postgres {

// Takes what is copied. The calls for one segment come together: begin, append until its size is
// reached, finish. After an error nothing more is handed over.
class WalSink {
 public:
  virtual ~WalSink() = default;
  virtual Status begin_segment(const std::string& name, std::uint64_t size_bytes) = 0;
  // The bytes are valid during the call only.
  virtual Status append(ByteSpan bytes) = 0;
  virtual Status finish_segment() = 0;
  virtual Status take_history(const std::string& name, ByteSpan bytes) = 0;
};

struct WalCopierOptions {
  ConnectionOptions connection;
  std::chrono::milliseconds poll_interval{200};
  // How long finish() waits for the server to flush up to the stop.
  std::chrono::milliseconds flush_timeout{60000};
};

struct WalCopyResult {
  WalSegment first;
  WalSegment last;
  std::uint64_t segments = 0;
  std::uint64_t history_files = 0;
};

class WalCopier {
 public:
  // Connects and creates the slot. `wal_directory` is the resolved pg_wal; it and the sink must
  // outlive the copier. Blocks.
  static Result<std::unique_ptr<WalCopier>> open(const WalCopierOptions& options,
                                                 io::Directory& wal_directory, WalSink& sink);
  // Drops the slot with its session.
  virtual ~WalCopier() = default;

  virtual const std::string& slot_name() const = 0;
  // Begins copying with the segment that holds `start`.
  virtual Status start(Lsn start, TimelineId timeline) = 0;
  // The first failure stays.
  virtual Status health() = 0;
  // Call it before the session's stop(): segments that the server finishes from now on wait for
  // finish(), because one of them is the last and is treated differently.
  virtual void prepare_stop() = 0;
  // Copies the rest up to `stop`; in the last segment the bytes after the page that holds the last
  // byte before `stop` are zeros. Then the history files of the timeline and of earlier ones.
  // Blocks until all of it was handed over. `timeline` is the session's at stop; another than at
  // start fails.
  virtual Result<WalCopyResult> finish(Lsn stop, TimelineId timeline) = 0;
  // Makes a running finish() return `interrupted` and ends the thread.
  virtual void cancel() = 0;
};

}  // namespace haul::postgres
