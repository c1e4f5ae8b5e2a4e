// Lets a disk fail or the power go during init and a series of backups, and looks at what a
// restarted machine finds.
//
// Threads:  one owner at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/object_store.h"
#include "io/sim_directory.h"

namespace haul::fault {

struct PowerLossCase {
  io::SimFault fault;
  // Decides what of the unsynced survives the crash that follows.
  std::uint64_t seed = 0;
};

struct PowerLossCampaign {
  io::SimBreakage breakage;
  // Wraps the store that backups write through; a broken one must be found out.
  std::function<std::unique_ptr<io::ObjectStore>(std::unique_ptr<io::ObjectStore>)> wrap;
};

// How many operations the whole series takes when nothing fails.
std::uint64_t operations_of_series(const PowerLossCampaign& campaign);

// What is wrong after the crash, each line beginning with the case; empty when every promise was
// kept: acknowledged backups are there, listed ones read back whole, a full check finds nothing,
// and the next backup succeeds without help.
std::vector<std::string> run_power_loss(const PowerLossCampaign& campaign,
                                        const PowerLossCase& power_loss);

}  // namespace haul::fault
