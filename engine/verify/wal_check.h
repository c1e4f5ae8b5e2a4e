// The archived WAL: every object whole, by its header alone or by every byte.
//
// Memory:   workers times one WAL file, stored and unpacked.
// Threads:  check_wal() blocks its caller and owns its workers.
// Errors:   io, permission, interrupted; damage becomes a finding.
#pragma once

#include <atomic>
#include <stop_token>

#include "engine/repository/findings.h"
#include "engine/verify/inventory.h"
#include "engine/verify/ledger.h"

namespace haul::verify {

struct WalCheckRun {
  enum class Depth { headers, every_byte } depth = Depth::headers;
  Shard shard;  // of which every byte is read
  std::size_t workers = 1;
  std::stop_token stop;
  std::atomic<std::uint64_t>* bytes_done = nullptr;
};

// What is damaged, in no order.
Result<std::vector<wal::WalKey>> check_wal(const repository::Cluster& cluster,
                                           const Inventory& inventory, const WalCheckRun& run,
                                           repository::Findings& findings);

}  // namespace haul::verify
