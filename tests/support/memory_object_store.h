// An ObjectStore in memory, for tests of what stands on one. It does not model durability: use the
// posix store on a simulated disk (io/sim_directory.h) where a crash matters.
//
// Threads:  see io/object_store.h.
// Errors:   not_found, already_exists, usage (a key that is not plain), corrupt (a read past the
// end).
#pragma once

#include <memory>

#include "io/object_store.h"

namespace haul::support {

std::unique_ptr<io::ObjectStore> make_memory_object_store();

}  // namespace haul::support
