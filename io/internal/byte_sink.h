// Where the bytes of a growing object go, from the first to the last.
//
// Threads:  one owner at a time.
// Errors:   of writing; the owner gives up after the first.
#pragma once

#include "base/result.h"
#include "base/types.h"
#include "io/file.h"

namespace haul::io::internal {

class ByteSink {
 public:
  // Nothing of it uses the file any more afterwards.
  virtual ~ByteSink() = default;

  // Takes a copy. May report the failure of an earlier call.
  virtual Status append(ByteSpan bytes) = 0;
  // All bytes are in the file, and nothing else is; they are not synced.
  virtual Status finish() = 0;
};

}  // namespace haul::io::internal
