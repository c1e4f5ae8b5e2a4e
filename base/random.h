// Randomness behind an interface: names and keys come from the kernel, tests bring their seed.
//
// Threads:  SystemRandom from any thread; SeededRandom one owner at a time.
// Errors:   io (the kernel refused; nothing falls back to a weaker source).
#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/types.h"

namespace haul {

class Random {
 public:
  virtual ~Random() = default;
  virtual Status fill(MutableByteSpan into) = 0;
};

// getrandom(2).
class SystemRandom final : public Random {
 public:
  Status fill(MutableByteSpan into) override;
};

// A repeatable sequence (SplitMix64). For tests only: its output can be predicted.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : state_(seed) {}
  Status fill(MutableByteSpan into) override;
  std::uint64_t next();

 private:
  std::uint64_t state_;
};

}  // namespace haul
