// The end of a restore: what PostgreSQL's backup protocol adds, everything durable, and only then
// global/pg_control, without which no server starts.
//
// Order: backup_label, tablespace_map, configuration and signal files, tablespace links; all that
// was placed made durable; backup_manifest; the marker durably removed; global/pg_control
// published. Whoever finds pg_control after a crash finds everything.
//
// Threads:  functions that block their caller.
// Errors:   those of writing.
#pragma once

#include <cstdint>
#include <span>

#include "base/clock.h"
#include "engine/restore/configuration.h"
#include "engine/restore/plan.h"
#include "engine/restore/target.h"

namespace haul::restore {

struct SealInput {
  repository::ChunkReader* chunks = nullptr;
  const RestorePlan* plan = nullptr;
  const ConfigurationPlan* configuration = nullptr;
  std::span<const std::uint32_t> crcs;  // of the plan's files
  UtcTime now;
};

Status seal(const SealInput& input, Target& target);

}  // namespace haul::restore
