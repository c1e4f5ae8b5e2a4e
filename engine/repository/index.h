// Finds the packs that hold a chunk: all runs of a cluster, and the packs that no sound run lists.
//
// Opening lists the packs first and the runs second, so that every pack a run names was either
// listed with its size or is no dedup target. Packs without a run (a killed backup left them, or
// their run is damaged) are found through their footers: the index can always be rebuilt from the
// packs.
//
// Units:    sizes are bytes.
// Memory:   the runs' directories, their blocks that were used last, plus 48 bytes per chunk of
//           packs without a run.
// Threads:  find(), may_hold() and add_run() from any thread.
// Errors:   io, permission; damage is no error here but a finding.
// Format:   docs/format.md, "Index runs".
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "engine/repository/block_cache.h"
#include "engine/repository/cluster.h"
#include "engine/repository/findings.h"
#include "engine/repository/index_run.h"

namespace haul::repository {

struct ChunkLocation {
  PackRef pack;
  std::uint32_t ordinal = 0;

  bool operator==(const ChunkLocation&) const = default;
};

class Index {
 public:
  // Whoever stores chunks has to know which packs are there. For who reads, listing them all would
  // cost the more the more backups there are: find() does so when no run knows a chunk.
  enum class Packs : std::uint8_t { listed, listed_when_needed };

  // Damaged runs become findings; `findings` outlives the index.
  static Result<std::unique_ptr<Index>> open(const Cluster& cluster, Findings& findings,
                                             Packs packs = Packs::listed);

  // Every place that is known to hold the chunk, the newest run's first; empty when there is none.
  // Packs without a run are consulted when no run answers, or once they are loaded.
  Result<std::vector<ChunkLocation>> find(const ChunkId& id);
  // A place that a backup may rely on: its pack was listed with the size its run or footer states.
  // Only meaningful when the caller held its lease before open(). This and what is said of listed
  // packs needs them listed at once.
  Result<std::optional<ChunkLocation>> find_dedup_target(const ChunkId& id);

  // False: find_dedup_target() would find nothing. Answered from memory, never blocking on I/O.
  bool may_hold(const ChunkId& id) const;

  // The size a pack was listed with; nothing when it was not there.
  std::optional<std::uint64_t> listed_size(const PackRef& pack) const;
  // What find_dedup_target() says of every chunk in the pack: it was listed with the size its run
  // or its sound footer states.
  bool is_reliable(const PackRef& pack) const;
  // Reads the footers of packs that no sound run lists; find() does so by itself when it must.
  Status load_packs_without_run();
  // True for a pack that load_packs_without_run() found.
  bool is_without_run(const PackRef& pack) const;

  // Adds to a new run's content that of small runs, see index_merge.h.
  Status merge_into(IndexRunContent& content) const;
  // Makes a run that this process wrote, with packs it wrote, part of the index.
  Status add_run(const RunRef& run);

  // Not to be called while another thread uses the index. Those that another one holds are not
  // among them; runs that were given up are null.
  const std::vector<std::unique_ptr<IndexRun>>& runs() const { return runs_; }

 private:
  struct LoosePack {
    PackRef ref;
    bool sound = false;  // its footer is
  };
  struct LooseEntry {
    std::uint32_t pack = 0;
    std::uint32_t ordinal = 0;
  };

  Index(const Cluster& cluster, Findings& findings) : cluster_(cluster), findings_(&findings) {}
  // The caller holds loading_, or nobody else has the index yet.
  Status list_packs();
  Status open_runs();
  // The caller holds loading_.
  Status load_loose_packs(std::vector<PackRef> packs);
  Status load_loose_pack(const PackRef& pack);
  // Gives up on a run with a damaged block: its packs count as without a run from now on.
  Status abandon_run(std::size_t run);
  // The caller holds mutex_ of these two.
  void note_reliable(const IndexRun& run);
  Result<std::optional<RunEntry>> find_in_run(const IndexRun& run, const ChunkId& id);
  std::optional<std::uint64_t> listed_size_locked(const PackRef& pack) const;
  Result<std::vector<ChunkLocation>> find_in_runs(const ChunkId& id,
                                                  std::vector<std::size_t>& damaged_runs);
  // The same, until no run is damaged.
  Result<std::vector<ChunkLocation>> find_in_sound_runs(const ChunkId& id);

  Cluster cluster_;
  Findings* findings_;
  BlockCache blocks_;

  // Held while packs without a run are loaded, so that whoever comes second waits for the outcome
  // rather than taking the chunk for lost. Locked before mutex_.
  std::mutex loading_;  // guards both flags
  bool packs_listed_ = false;
  bool loose_loaded_ = false;

  mutable std::shared_mutex mutex_;  // guards everything below
  std::unordered_map<PackName, std::pair<std::string, std::uint64_t>> listed_;  // lease, size
  std::set<RunRef> listed_runs_;
  std::vector<std::unique_ptr<IndexRun>> runs_;  // the newest last; an abandoned one is null
  std::vector<LoosePack> loose_packs_;
  std::set<PackRef> loose_refs_;  // of these
  std::set<PackRef> reliable_;
  std::unordered_multimap<ChunkId, LooseEntry> loose_entries_;
};

}  // namespace haul::repository
