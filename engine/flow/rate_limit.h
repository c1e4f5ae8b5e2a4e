// Spreads a number of bytes per second evenly over time.
//
// Units:    bytes, bytes per second.
// Threads:  one owner at a time.
// Errors:   none.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/clock.h"

namespace haul::flow {

class RateLimit {
 public:
  // 0: no limit.
  RateLimit(std::uint64_t bytes_per_second, Clock& clock);

  // How long to wait before more may be spent; zero when it may be now. What was not spent in the
  // past is not saved up.
  std::chrono::nanoseconds delay();
  // Asked after delay() was zero; may exceed what is left, and later delays make up for it.
  void spend(std::uint64_t size_bytes);

 private:
  const std::uint64_t bytes_per_second_;
  Clock* const clock_;
  std::chrono::nanoseconds next_{};  // monotonic
};

}  // namespace haul::flow
