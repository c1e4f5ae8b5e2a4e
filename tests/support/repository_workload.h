// A directory in, a directory out, at the layer of the repository: what backup and restore do to a
// store, without a server and without threads.
//
// Memory:   the whole tree.
// Threads:  one owner at a time.
// Errors:   those of the repository.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "compress/codec.h"
#include "engine/repository/file_map.h"
#include "engine/repository/lease.h"
#include "engine/repository/repository.h"
#include "engine/repository/snapshot.h"
#include "tests/support/manual_clock.h"

namespace haul::support {

// Path to content; directories exist by being on the way.
using FileTree = std::map<std::string, std::string>;

// Small everywhere: packs close after a few chunks and maps get nodes early.
inline constexpr std::uint32_t kWorkloadPageSize = 1024;
inline constexpr repository::RepositoryParameters kWorkloadParameters{8, 1U << 20};

// Files of every shape that the format knows: empty, short, inlined, with a map, with holes, with
// content that repeats.
FileTree shaped_files(std::uint64_t seed);
// The same tree with some files changed, one gone and one new.
FileTree changed_files(FileTree tree, std::uint64_t seed);

struct WorkloadOptions {
  // Overrides the repository's own, to have many packs of little.
  std::uint64_t pack_size_bytes = 16 * 1024;
  std::uint32_t page_size_bytes = kWorkloadPageSize;
  compress::CodecChoice codec{};
};

// Stores one file's content; what a backup does for each file.
Result<repository::TreeEntry> store_file(const std::string& path, std::string_view content,
                                         std::uint32_t page_size_bytes,
                                         repository::ChunkEncoder& encoder,
                                         repository::PackStream& data,
                                         repository::PackStream& metadata);
// The content of a file.
Result<std::string> read_stored_file(repository::ChunkReader& chunks,
                                     const repository::TreeEntry& entry);

class Workload {
 public:
  Workload(std::uint64_t seed, WorkloadOptions options) : random_(seed), options_(options) {}
  explicit Workload(std::uint64_t seed) : Workload(seed, WorkloadOptions{}) {}

  // Makes the store a repository with kWorkloadParameters.
  Status init(io::ObjectStore& store);
  // Lease, packs, index run, snapshot, end of the lease. The id of the snapshot, which is
  // committed.
  Result<std::string> back_up(const repository::Repository& repository, const FileTree& tree);
  // The same up to, not including, the index run of the last packs and the snapshot, as if killed:
  // what it has stored so far stays.
  Status back_up_partly(const repository::Repository& repository, const FileTree& tree);
  // Statistics of the latest back_up().
  const repository::ChunkWriterStatistics& statistics() const { return statistics_; }

  ManualClock& clock() { return clock_; }
  Random& random() { return random_; }

 private:
  Result<repository::TreeRootId> store(const FileTree& tree, repository::ChunkWriter& writer);

  SeededRandom random_;
  ManualClock clock_;
  WorkloadOptions options_;
  repository::ChunkWriterStatistics statistics_;
};

inline constexpr const char* kWorkloadCluster = "main";
// The cluster of a workload, with small packs.
repository::Cluster workload_cluster(const repository::Repository& repository,
                                     const WorkloadOptions& options = {});

// Every file of a snapshot. Damage that was worked around is added to `findings`.
Result<FileTree> read_back(const repository::Cluster& cluster, const std::string& id,
                           repository::Findings& findings);
Result<FileTree> read_back(const repository::Cluster& cluster, const std::string& id);

}  // namespace haul::support
