// Reads every byte of one cluster and says what is wrong with it: the judge of damage tests.
//
// Threads:  one owner at a time.
#pragma once

#include <string>
#include <vector>

#include "engine/repository/cluster.h"

namespace haul::support {

// One line per thing that is not as it was written; empty when all is sound. What a killed backup
// may leave (a lease, packs without a run, runs without a snapshot) is sound.
std::vector<std::string> check_everything(const repository::Cluster& cluster);

}  // namespace haul::support
