#include "engine/flow/rate_limit.h"

#include <algorithm>

namespace haul::flow {

RateLimit::RateLimit(std::uint64_t bytes_per_second, Clock& clock)
    : bytes_per_second_(bytes_per_second), clock_(&clock), next_(clock.now_monotonic()) {}

std::chrono::nanoseconds RateLimit::delay() {
  if (bytes_per_second_ == 0) return {};
  return std::max(std::chrono::nanoseconds::zero(), next_ - clock_->now_monotonic());
}

void RateLimit::spend(std::uint64_t size_bytes) {
  if (bytes_per_second_ == 0) return;
  const double seconds = static_cast<double>(size_bytes) / static_cast<double>(bytes_per_second_);
  next_ =
      std::max(next_, clock_->now_monotonic()) +
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

}  // namespace haul::flow
