#include "tools/pghaul/interruption.h"

#include <pthread.h>

namespace haul::cli {

namespace {

// Nobody else sends it; it wakes the thread when the program is done.
int wake_signal() { return SIGRTMIN; }

}  // namespace

Interruption::Interruption() {
  sigemptyset(&awaited_);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, wake_signal()}) sigaddset(&awaited_, number);
  pthread_sigmask(SIG_BLOCK, &awaited_, nullptr);
  thread_ = std::thread([this] { wait_for_signals(); });
}

Interruption::~Interruption() {
  finished_ = true;
  pthread_kill(thread_.native_handle(), wake_signal());
  thread_.join();
}

void Interruption::wait_for_signals() {
  for (;;) {
    int number = 0;
    if (sigwait(&awaited_, &number) != 0) continue;
    if (finished_) return;
    if (number == wake_signal()) continue;
    if (signal_number_ != 0) {
      // Whoever asks twice does not want to wait for the orderly end.
      std::signal(number, SIG_DFL);
      sigset_t only;
      sigemptyset(&only);
      sigaddset(&only, number);
      pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
      pthread_kill(pthread_self(), number);
      continue;
    }
    signal_number_ = number;
    source_.request_stop();
  }
}

}  // namespace haul::cli
