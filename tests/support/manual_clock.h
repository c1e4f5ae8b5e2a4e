// A clock that stands still until it is told otherwise, or until somebody sleeps.
//
// Threads:  one owner at a time.
#pragma once

#include "base/clock.h"

namespace haul::support {

class ManualClock final : public Clock {
 public:
  // 2026-11-23 02:02:22 UTC.
  static constexpr UtcTime kStart{1'795'399'342'000'000};

  explicit ManualClock(UtcTime start = kStart) : now_(start) {}

  UtcTime now_utc() override { return now_; }
  std::chrono::nanoseconds now_monotonic() override {
    return std::chrono::microseconds(now_.microseconds);
  }
  void sleep_for(std::chrono::nanoseconds duration) override { advance(duration); }

  void advance(std::chrono::nanoseconds by) {
    now_.microseconds += std::chrono::duration_cast<std::chrono::microseconds>(by).count();
  }
  void set(UtcTime now) { now_ = now; }

 private:
  UtcTime now_;
};

}  // namespace haul::support
