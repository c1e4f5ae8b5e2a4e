#include "engine/verify/wal_check.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "engine/flow/workers.h"
#include "engine/wal/segment_changes.h"
#include "engine/wal/wal_object.h"
#include "engine/wal/wal_piece.h"

namespace haul::verify {

namespace {

using repository::Cluster;

Status check_file(const Cluster& cluster, const wal::WalKey& key, WalCheckRun::Depth depth) {
  if (depth == WalCheckRun::Depth::headers) {
    HAUL_TRY(wal::read_wal_header(cluster, key));
  } else {
    HAUL_TRY(wal::read_wal_content(cluster, key));
  }
  return ok();
}

// They are few and small, and a receiver replaces them.
Status check_pieces(const Cluster& cluster, const Inventory& inventory, const WalCheckRun& run,
                    repository::Findings& findings) {
  for (const wal::PieceKey& piece : inventory.pieces) {
    if (run.stop.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
    const auto read = wal::read_piece(cluster, piece.system_identifier, piece.name);
    if (read || read.error().code() == ErrorCode::not_found) continue;
    if (!is_damage(read.error())) return read.error();
    findings.add(read.error().message());
  }
  return ok();
}

// Small as well. Those of other rules are not used by anyone, and no damage.
Status check_changes(const Cluster& cluster, const Inventory& inventory, const WalCheckRun& run,
                     repository::Findings& findings) {
  for (const wal::ChangesKey& key : inventory.changes) {
    if (run.stop.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
    const auto read = wal::read_changes(cluster, key);
    if (read || read.error().code() == ErrorCode::unsupported) continue;
    if (!is_damage(read.error())) return read.error();
    findings.add(read.error().message());
  }
  return ok();
}

}  // namespace

Result<std::vector<wal::WalKey>> check_wal(const Cluster& cluster, const Inventory& inventory,
                                           const WalCheckRun& run, repository::Findings& findings) {
  std::mutex mutex;
  std::vector<wal::WalKey> damaged;  // guarded by the mutex
  HAUL_TRY(check_pieces(cluster, inventory, run, findings));
  HAUL_TRY(check_changes(cluster, inventory, run, findings));
  flow::FirstError first_error(run.stop);
  std::atomic<std::size_t> next = 0;
  const std::vector<WalFile>& files = inventory.wal;
  HAUL_TRY(flow::run_workers(
      std::min(run.workers, files.size()), first_error, [&](std::size_t) -> Status {
        while (!first_error.stopped()) {
          const std::size_t mine = next++;
          if (mine >= files.size()) return ok();
          const bool mine_to_read = run.shard.takes(files[mine].key.name.text);
          const Status checked = check_file(cluster, files[mine].key,
                                            mine_to_read ? run.depth : WalCheckRun::Depth::headers);
          if (!checked) {
            if (!is_damage(checked.error())) return checked;
            findings.add(checked.error().message());
            const std::scoped_lock lock(mutex);
            damaged.push_back(files[mine].key);
          }
          if (mine_to_read) *run.bytes_done += files[mine].size_bytes;
        }
        return ok();
      }));
  return damaged;
}

}  // namespace haul::verify
