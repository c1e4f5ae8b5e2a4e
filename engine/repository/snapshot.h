// The commit point of a backup: once a snapshot is visible and durable, everything it names is.
//
// What PostgreSQL knows about the backup travels in `facts`, which this layer does not read.
//
// Units:    times are UTC.
// Memory:   the pack table dominates: about 100 bytes per pack of 64 MiB.
// Threads:  values.
// Errors:   corrupt, unsupported, not_found.
// Format:   docs/format.md, "Snapshots".
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "engine/repository/pack_table.h"
#include "engine/repository/tree_store.h"

namespace haul::repository {

struct SnapshotStatistics {
  std::uint64_t files = 0;
  std::uint64_t source_bytes = 0;    // sizes of all files
  std::uint64_t hole_bytes = 0;      // of these, in holes
  std::uint64_t read_bytes = 0;      // of the data directory, without WAL
  std::uint64_t changed_bytes = 0;   // of what was read, pages that the parent does not have
  std::uint64_t changed_leaves = 0;  // of files, with such pages
  std::uint64_t stored_bytes = 0;    // added to the repository by this backup
  std::uint64_t chunks_stored = 0;
  std::uint64_t chunks_found = 0;

  bool operator==(const SnapshotStatistics&) const = default;
};

struct Snapshot {
  std::string id;
  std::string cluster;
  std::string parent;     // empty: none was consulted
  bool from_wal = false;  // what has changed since the parent was taken from WAL
  std::string program;    // version that wrote it
  UtcTime started;
  UtcTime copy_started;  // of files; `started` where it was not recorded
  UtcTime finished;
  TreeRootId tree;
  SnapshotStatistics statistics;
  Json facts;
  PackTable packs;

  bool operator==(const Snapshot&) const = default;
};

std::vector<std::byte> encode_snapshot(const Snapshot& snapshot, const Cluster& cluster);
Result<Snapshot> decode_snapshot(ByteSpan object, const Cluster& cluster, const std::string& id);

// The ids of all committed snapshots, oldest name first.
Result<std::vector<std::string>> list_snapshots(const Cluster& cluster);
Result<Snapshot> read_snapshot(const Cluster& cluster, const std::string& id);

// The pre-commit check: every pack of the table exists with its size. Every missing or short one
// becomes a line.
Result<std::vector<std::string>> missing_packs(const Cluster& cluster, const PackTable& packs);

// Publishes the snapshot and makes it durable; fails with already_exists when the name was taken,
// e.g. by gc's fence. The caller has finished its ChunkWriter.
Status commit_snapshot(const Snapshot& snapshot, const Cluster& cluster);

}  // namespace haul::repository
