// An operation of a ring by the file's own functions, for rings that have no better way.
//
// Threads:  see io/file.h; blocks.
// Errors:   those of the file.
#pragma once

#include <cstddef>

#include "base/result.h"
#include "io/ring.h"

namespace haul::io::internal {

// The bytes transferred, as a completion has them.
Result<std::size_t> carry_out(const RingOperation& operation);

}  // namespace haul::io::internal
