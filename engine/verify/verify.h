// Is what was stored still there and whole?
//
// Structure: config, snapshots, the packs of their tables by existence and size, index runs,
// leases, every map and tree, and the headers of archived WAL. Data: every byte of every object,
// each chunk decoded and its id computed anew; or a share of the packs and segments, by a shard.
// Whoever asks for all backups leaves a record of it (engine/verify/ledger.h).
//
// Units:    sizes are bytes.
// Memory:   workers times one pack's footer and chunk; one bit per pack and backup.
// Threads:  run_verify() blocks its caller and owns its workers.
// Errors:   io, no_repository, interrupted; damage is no error but the report.
#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "engine/repository/repository.h"
#include "engine/verify/ledger.h"
#include "engine/verify/remedy.h"

namespace haul::verify {

struct VerifyOptions {
  std::string cluster = "main";
  std::vector<std::string> backups;  // empty: all
  enum class Depth { structure, data } depth = Depth::structure;
  Shard shard;              // of the data
  std::size_t workers = 0;  // 0: one per processor
};

struct VerifyProgress {
  std::atomic<std::uint64_t> bytes_total = 0;
  std::atomic<std::uint64_t> bytes_done = 0;
};

struct VerifyEnvironment {
  const repository::Repository* repository = nullptr;
  Clock* clock = nullptr;
  Log* log = nullptr;
  std::stop_token stop;
  VerifyProgress* progress = nullptr;
  // For the name of the record that is left where all backups were asked for; null: none is left.
  Random* random = nullptr;
  std::string program;  // version, for the record
};

// One backup that damage touches.
struct AffectedBackup {
  std::string backup;
  // Everything: its snapshot cannot be read, so that nothing of it can be found. WAL: what it needs
  // from its start to its stop.
  enum class Loss { files, everything, wal } loss = Loss::files;
  std::vector<std::string> lost_files;  // cannot be restored whole; bounded, the count is not
  std::uint64_t lost_file_count = 0;
  // Of those that are named: the newest other backup that has a whole file of that name, as it was
  // at another time.
  std::map<std::string, std::string> whole_in;
};

struct VerifyReport {
  std::uint64_t backups = 0;
  std::uint64_t packs = 0;
  std::uint64_t wal_files = 0;
  std::uint64_t chunks = 0;  // decoded (data only)
  std::uint64_t bytes_read = 0;
  std::vector<std::string> damage;  // what is wrong, one line per finding
  std::vector<AffectedBackup> affected;
  // What cannot be recovered any more from any backup; where backups were named it is not asked.
  std::vector<LostMoments> lost_moments;
  // What a killed run left: harmless, listed for information.
  std::uint64_t unreferenced_packs = 0;
  bool recorded = false;
  std::optional<Error> not_recorded;  // why, where a record was to be left

  bool sound() const { return damage.empty(); }
};

Result<VerifyReport> run_verify(const VerifyOptions& options, VerifyEnvironment& environment);

}  // namespace haul::verify
