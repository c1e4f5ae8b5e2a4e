#include "tools/pghaul/service_notifier.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace haul::cli {

namespace {

std::optional<std::uint64_t> parse_number(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  std::uint64_t number = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  if (error != std::errc{} || stop != end || number == 0) return std::nullopt;
  return number;
}

// What is meant for another process of the service is not ours to answer.
std::optional<std::chrono::nanoseconds> watchdog_of(Platform& platform) {
  const auto interval_us = parse_number(platform.variable("WATCHDOG_USEC"));
  const auto process = parse_number(platform.variable("WATCHDOG_PID"));
  const bool is_ours = !process || *process == static_cast<std::uint64_t>(::getpid());
  if (!interval_us || !is_ours) return std::nullopt;
  return std::chrono::microseconds{*interval_us / 2};
}

}  // namespace

ServiceNotifier::ServiceNotifier(Platform& platform)
    : clock_(platform.clock()),
      socket_(platform.variable("NOTIFY_SOCKET").value_or("")),
      watchdog_interval_(watchdog_of(platform)) {}

void ServiceNotifier::send(std::string_view state) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.empty() || socket_.size() >= sizeof address.sun_path) return;
  std::ranges::copy(socket_, address.sun_path);
  // An abstract socket's name begins with NUL, which an environment cannot hold.
  if (socket_.front() == '@') address.sun_path[0] = '\0';
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  static_cast<void>(::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&address), length));
  ::close(socket);
}

void ServiceNotifier::alive() {
  if (!watchdog_interval_) return;
  const auto now = clock_.now_monotonic();
  if (told_at_ && now - *told_at_ < *watchdog_interval_) return;
  told_at_ = now;
  send("WATCHDOG=1");
}

}  // namespace haul::cli
