// Shows how far a command is: one redrawn line on a terminal, a line every 30 s elsewhere, or one
// JSON object per second.
//
// Units:    sizes are bytes.
// Threads:  a reporter owns one thread, which calls `look`; the caller keeps what it reads alive.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/json.h"
#include "tools/pghaul/console.h"

namespace haul::cli {

struct ProgressView {
  std::string what;   // "backup main  full"
  std::string phase;  // "copying"
  // A phase whose bytes are counted; others show their name alone.
  enum class Kind { waiting, counting } kind = Kind::counting;
  std::uint64_t done_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::optional<std::uint64_t> stored_bytes;
  std::string io_backend;  // empty: not known yet, or of no concern
};

// `elapsed` is the time since counting began.
std::string progress_line(const ProgressView& view, std::chrono::nanoseconds elapsed);
Json progress_json(const ProgressView& view, std::chrono::nanoseconds elapsed);

enum class ProgressMode { none, redrawn, lines, json };

class ProgressReporter {
 public:
  // `console` and `clock` outlive the reporter.
  ProgressReporter(ProgressMode mode, Console& console, Clock& clock,
                   std::function<ProgressView()> look);
  // Takes the redrawn line away.
  ~ProgressReporter();
  ProgressReporter(const ProgressReporter&) = delete;
  ProgressReporter& operator=(const ProgressReporter&) = delete;

 private:
  void run(std::stop_token stop);
  void show();

  const ProgressMode mode_;
  Console* const console_;
  Clock* const clock_;
  const std::function<ProgressView()> look_;
  std::optional<std::chrono::nanoseconds> counting_since_;  // the thread's own
  std::mutex mutex_;                                        // for wake_ alone
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace haul::cli
