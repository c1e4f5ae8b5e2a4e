// Drives one ring at a fixed queue depth: the loop that every measurement of a device shares.
//
// Memory:   nothing of its own; the caller brings a slot's memory.
// Threads:  the ring's owner.
// Errors:   those of the operations; the first one ends the pass.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/result.h"
#include "io/ring.h"

namespace haul::bench {

// The next operation, to be carried out in this slot (0 up to the depth, free again once its
// operation was collected), or nothing when there is none left. The tag is the pass's own.
using NextOperation = std::function<Result<std::optional<io::RingOperation>>(std::size_t slot)>;
// The operation in this slot is complete, so many bytes were transferred.
using OperationDone = std::function<Status(std::size_t slot, std::size_t bytes)>;

// Keeps ring.capacity() operations in flight until there are no more, then collects the rest.
// After a failure operations may still be in flight: their memory outlives the ring.
Status drive(io::Ring& ring, const NextOperation& next, const OperationDone& done);

}  // namespace haul::bench
