// A Ring that injects the faults of a plan into another one: what FaultDirectory is to files.
//
// Each operation counts as the plan's read, write or sync, once: the rings of a plan know the files
// of a directory of the same plan and pass their own counting by. A rule acts as it does there:
// errors, sleeps, stops and kill_before when an operation is submitted; short, flip and kill_after
// when it is complete, before its owner learns of it.
//
// Only test programs link a plan; the pghaul program does not.
//
// Threads:  see io/ring.h.
// Errors:   those of the inner ring, and what the plan injects.
#pragma once

#include <memory>

#include "io/fault_directory.h"
#include "io/ring.h"

namespace haul::io {

std::unique_ptr<Ring> make_fault_ring(std::unique_ptr<Ring> inner, std::shared_ptr<FaultPlan> plan);

// The rings of `inner`, each with the faults of the plan.
RingFactory make_fault_rings(RingFactory inner, std::shared_ptr<FaultPlan> plan);

}  // namespace haul::io
