// Time behind an interface, so that tests decide what it is.
//
// Units:    wall time in microseconds since the Unix epoch (UTC); monotonic time in nanoseconds
//           since an arbitrary start.
// Threads:  every function may be called from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace haul {

struct UtcTime {
  std::int64_t microseconds = 0;

  auto operator<=>(const UtcTime&) const = default;
};

// "2026-11-23T02:02:22Z" (fractions of a second are dropped).
std::string to_iso8601(UtcTime time);
// "20261123T020222Z", the first part of a backup's name.
std::string to_compact_iso8601(UtcTime time);

class Clock {
 public:
  virtual ~Clock() = default;
  virtual UtcTime now_utc() = 0;
  virtual std::chrono::nanoseconds now_monotonic() = 0;
  // Blocks the calling thread; never called on a oneTBB worker.
  virtual void sleep_for(std::chrono::nanoseconds duration) = 0;
};

// The machine's clocks.
class SystemClock final : public Clock {
 public:
  UtcTime now_utc() override;
  std::chrono::nanoseconds now_monotonic() override;
  void sleep_for(std::chrono::nanoseconds duration) override;
};

}  // namespace haul
