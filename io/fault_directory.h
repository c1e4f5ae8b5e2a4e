// A Directory that injects faults into another one: layer B of the fault plan, for real binaries on
// real file systems.
//
// A plan is a comma-separated list of rules "<operation>:<n>:<action>", e.g. "publish:3:kill_after"
// or "write:100:enospc"; the empty plan only counts.
//
//   <operation>  open, open_directory, create (temporaries too), publish, publish_over, info, list,
//                read_link, make_directory, make_link, set_mode, set_owner, remove_file,
//                remove_directory, sync_directory, sync_file_system, read, write, resize,
//                preallocate, sync, close;
//                "mutate": all that change something; "any": all
//   <n>          the number of the matching call, from 1; "n+": it and all after; "*": every
//   <action>     kill_before, kill_after (SIGKILL), stop_before (SIGSTOP), eio, enospc, eacces,
//                enoent, short (reads end half way, writes stop half way with an error), flip
//                (reads: one bit), sleep_MS
//
// Counters are shared by all directories made from one plan, across threads.
//
// Only test programs link a plan; the pghaul program does not.
//
// Threads:  see io/directory.h.
// Errors:   usage (a rule that cannot be parsed), and what the plan injects.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "io/directory.h"

namespace haul::io {

class FaultPlan {
 public:
  virtual ~FaultPlan() = default;
  // How often an operation of this name ("any", "mutate" too) was called; asserts that it is known.
  virtual std::uint64_t calls(std::string_view operation) const = 0;
};

Result<std::shared_ptr<FaultPlan>> parse_fault_plan(std::string_view text);
std::unique_ptr<Directory> make_fault_directory(std::unique_ptr<Directory> inner,
                                                std::shared_ptr<FaultPlan> plan);

}  // namespace haul::io
