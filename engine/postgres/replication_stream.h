// A session of the replication protocol: asks a server about itself, and lets it stream its WAL.
//
// Memory:   one message of the server at a time.
// Threads:  one owner at a time.
// Errors:   what a caller does next goes by the code. io: the server cannot be reached, or the
//           connection is lost, also because the server ends: try again. busy: another session uses
//           the slot: try again. not_found: the server has that WAL no more. permission: the role
//           may not. interrupted: the stop token. unsupported: a release that is not known.
//           server_state: everything else that a server refuses, or says and should not.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "engine/postgres/connection.h"
#include "engine/postgres/replication_message.h"

namespace haul::postgres {

struct ServerIdentity {
  std::uint64_t system_identifier = 0;
  TimelineId timeline;
  Lsn flushed;
  std::uint32_t wal_segment_size_bytes = 0;
  int major = 0;
};

struct SlotState {
  // What the server keeps its WAL from; nothing when the slot keeps none, or no more.
  std::optional<Lsn> restart;
};

struct StreamStart {
  std::string slot;
  TimelineId timeline;
  Lsn position;
};

// Nothing came in the time given.
struct Quiet {};
// The timeline that was streamed ends; the server went on with another one.
struct TimelineEnd {
  TimelineId next;
  Lsn switch_point;
};

using StreamEvent = std::variant<Quiet, WalData, Keepalive, TimelineEnd>;

class ReplicationStream {
 public:
  virtual ~ReplicationStream() = default;

  virtual Result<ServerIdentity> identify() = 0;
  // Nothing when there is no such slot.
  virtual Result<std::optional<SlotState>> find_slot(const std::string& name) = 0;
  // A physical slot that keeps WAL from now on.
  virtual Status create_slot(const std::string& name) = 0;
  // The history file of a timeline, as the server has it.
  virtual Result<std::vector<std::byte>> timeline_history(TimelineId timeline) = 0;

  virtual Status start(const StreamStart& from) = 0;
  // The next thing that happens within `patience`. The bytes are valid until the next call. After a
  // TimelineEnd the session takes questions, and another start().
  virtual Result<StreamEvent> next(std::chrono::milliseconds patience) = 0;
  virtual Status report(const StandbyStatus& status) = 0;
  // Ends the stream in order, so that what was reported arrives. Takes a second or two at most.
  virtual Status finish() = 0;
};

// The name of a slot as the server allows it; `usage` when it does not.
Status check_slot_name(const std::string& name);

// Blocks up to the connect timeout, or until a stop is requested.
Result<std::unique_ptr<ReplicationStream>> open_replication_stream(const ConnectionOptions& options,
                                                                   std::stop_token stop);

}  // namespace haul::postgres
