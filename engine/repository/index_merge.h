// Keeps runs few: a new run takes over what small ones hold.
//
// Runs fall into classes by their entries, each eight times as large as the one before. Once there
// would be eight runs that are no larger than the new one's class, it holds their content too; what
// comes of it may be of a class that is full in turn. So a chunk's entry is written once per class,
// and of n backups alike about 7 log8(n) runs are left.
//
// Memory:   of the merged run 40 bytes per entry, kMergedEntriesMax at most.
// Threads:  functions over values; runs may be read from any thread.
// Errors:   io of reading runs. A damaged run is left alone: its lookups tell.
#pragma once

#include <memory>
#include <set>
#include <vector>

#include "engine/repository/index_run.h"

namespace haul::repository {

inline constexpr std::uint64_t kMergedEntriesMax = 1 << 19;

// Adds to the content of a new run what it should hold of `runs` (null ones are no more), and which
// these are. `listed` are the runs that lie in the repository. A run that places one of the
// content's chunks elsewhere stays as it is: a second copy is not to be forgotten.
Status merge_runs(const std::vector<std::unique_ptr<IndexRun>>& runs,
                  const std::set<RunRef>& listed, IndexRunContent& content);

}  // namespace haul::repository
