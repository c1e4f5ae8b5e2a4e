// SIGINT, SIGTERM and SIGHUP as a request to stop; the second one ends the process at once.
//
// Threads:  constructed by main() before any other thread, which all inherit its signal mask; owns
//           one thread.
#pragma once

#include <atomic>
#include <csignal>
#include <stop_token>
#include <thread>

namespace haul::cli {

class Interruption {
 public:
  Interruption();
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;

  std::stop_token stop_token() const { return source_.get_token(); }
  // The signal that asked first; 0 when none did.
  int signal_number() const { return signal_number_; }

 private:
  void wait_for_signals();

  std::stop_source source_;
  std::atomic<int> signal_number_ = 0;
  std::atomic<bool> finished_ = false;
  sigset_t awaited_{};
  std::thread thread_;
};

}  // namespace haul::cli
