// Tells systemd how the service does, by the protocol of sd_notify(3): a datagram to the socket
// that it names.
//
// Threads:  send() from any thread; alive() one owner.
// Errors:   none: without a service manager, or when it does not listen, nothing is said.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "tools/pghaul/platform.h"

namespace haul::cli {

class ServiceNotifier {
 public:
  explicit ServiceNotifier(Platform& platform);

  // "READY=1", "STATUS=...", one assignment per line.
  void send(std::string_view state) const;
  // Says that all is well, no more often than the watchdog needs to hear it.
  void alive();

 private:
  Clock& clock_;
  std::string socket_;  // empty: there is no service manager
  std::optional<std::chrono::nanoseconds> watchdog_interval_;
  std::optional<std::chrono::nanoseconds> told_at_;
};

}  // namespace haul::cli
