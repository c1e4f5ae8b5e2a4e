// What is fuzzed: parsers of stored or foreign bytes, each as a function of one input.
//
// A target asserts what must hold for any input (no crash, no memory beyond what the input pays
// for, what was decoded encodes to the same bytes) and returns nothing. Where a checksum would turn
// nearly every mutation away, the target makes the checksums good again first, so that the parser
// behind them is reached.
//
// Threads:  one at a time.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace haul::fuzz {

using Input = std::vector<std::byte>;

struct Target {
  std::string_view name;
  void (*run)(ByteSpan input);
  // Valid inputs to begin from.
  std::vector<Input> (*seeds)();
};

// The repository's own objects; what PostgreSQL writes; archived WAL.
std::span<const Target> repository_targets();
std::span<const Target> postgres_targets();
std::span<const Target> wal_targets();
// All of them.
std::span<const Target> targets();

}  // namespace haul::fuzz
