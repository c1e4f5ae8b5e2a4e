// Looking ahead of a server in recovery: wal get hands out what lies ready in the spool, and one
// process keeps the next segments ready there.
//
// That process is found by its lock. It ends by itself: when nothing was asked for during
// kPrefetchIdleMax, when the server is gone (its postmaster.pid) or has ended its recovery (its
// signal files), and when it is told to.
//
// Memory:   one segment, stored and unpacked.
// Threads:  each function blocks its caller.
// Errors:   of the spool, host and repository; none keeps a server from getting its segment.
#pragma once

#include <chrono>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/repository/cluster.h"
#include "engine/repository/local_repository.h"
#include "engine/wal/host.h"
#include "engine/wal/spool.h"

namespace haul::wal {

inline constexpr std::chrono::seconds kPrefetchIdleMax{60};
inline constexpr std::chrono::milliseconds kPrefetchPoll{20};

struct LookAhead {
  Spool::Place place;
  Host* host = nullptr;
  // The words that start the process which looks ahead.
  std::vector<std::string> prefetcher;
};

// Moves a segment from the spool to `target`; false when it does not lie there.
Result<bool> take_from_spool(Spool& spool, const LookAhead& look_ahead, const WalName& name,
                             const std::string& target);
// Tells the process that looks ahead what was delivered, and starts it where there is none.
Status note_delivery(Spool& spool, const LookAhead& look_ahead, const WalName& name);

struct PrefetchOptions {
  Spool::Place place;
  std::string data_directory;  // absolute, of the server
  std::uint64_t system_identifier = 0;
  std::size_t segments = 8;  // how many are kept ready
};

struct PrefetchEnvironment {
  const repository::Cluster* cluster = nullptr;
  repository::LocalDirectoryOpener open_directory;
  Host* host = nullptr;
  Clock* clock = nullptr;
  std::stop_token stop;
};

// Returns when its work is done, or at once when another process does it.
Status run_prefetcher(const PrefetchOptions& options, const PrefetchEnvironment& environment);

}  // namespace haul::wal
