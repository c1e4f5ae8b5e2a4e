// Starts a server on a restored cluster, and waits until it is where the recovery was to bring it.
//
// A server accepts connections, and calls itself ready, long before that, wherever replay happens
// to be: its word that it is in recovery no more is waited for, or, where it is to pause, that it
// has paused no earlier than planned. Nothing in between is ever reported.
//
// Threads:  functions that block their caller.
// Errors:   usage (no programs of this release), server_state (it did not get there; the message
//           has the end of its log), interrupted (the server is stopped again).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/types.h"
#include "engine/postgres/postmaster_pid.h"
#include "engine/restore/program.h"
#include "engine/restore/recovery_target.h"
#include "io/directory.h"

namespace haul::restore {

// Replay may take long, but not for ever.
inline constexpr std::chrono::hours kReplayTimeMax{24 * 7};

// The directory of the programs of this release: `given`, else Debian's place for it, else "" where
// PATH leads to them.
Result<std::string> find_server_programs(ProgramRunner& runner, const std::string& given,
                                         int server_major);

struct ServerStart {
  std::string programs;  // as found
  std::string data_directory;
  int server_major = 0;
  RecoveryTarget target;
  Lsn replayed;  // at least so far, where it pauses
};

enum class ServerOutcome : std::uint8_t {
  ready,     // recovery has ended; it takes everything
  paused,    // at the target; read only
  standby,   // read only, goes on
  shut_down  // at the target
};
std::string_view to_string(ServerOutcome outcome);

struct ServerReport {
  ServerOutcome outcome = ServerOutcome::ready;
  std::chrono::nanoseconds replay_time{};       // from the start
  std::chrono::nanoseconds first_query_time{};  // 0 where nobody can ask
};

struct ServerEnvironment {
  ProgramRunner* runner = nullptr;
  io::Directory* directory = nullptr;  // of the data
  postgres::ProcessProbe* processes = nullptr;
  Clock* clock = nullptr;
  std::stop_token stop;
};

Result<ServerReport> start_server(const ServerStart& start, const ServerEnvironment& environment);

}  // namespace haul::restore
