#include "base/clock.h"

#include <ctime>
#include <thread>

#include "base/format.h"

namespace haul {

namespace {

std::tm broken_down(UtcTime time) {
  std::int64_t seconds = time.microseconds / 1'000'000;
  if (time.microseconds % 1'000'000 < 0) --seconds;
  const std::time_t value = seconds;
  std::tm parts{};
  gmtime_r(&value, &parts);
  return parts;
}

}  // namespace

std::string to_iso8601(UtcTime time) {
  const std::tm t = broken_down(time);
  return format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
                t.tm_hour, t.tm_min, t.tm_sec);
}

std::string to_compact_iso8601(UtcTime time) {
  const std::tm t = broken_down(time);
  return format("{:04}{:02}{:02}T{:02}{:02}{:02}Z", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
                t.tm_hour, t.tm_min, t.tm_sec);
}

UtcTime SystemClock::now_utc() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return UtcTime{std::chrono::duration_cast<std::chrono::microseconds>(now).count()};
}

std::chrono::nanoseconds SystemClock::now_monotonic() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

void SystemClock::sleep_for(std::chrono::nanoseconds duration) {
  std::this_thread::sleep_for(duration);
}

}  // namespace haul
