// Standard error: the log, and one progress line that gives way to it.
//
// Threads:  every function from any thread.
#pragma once

#include <mutex>
#include <ostream>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/result.h"

namespace haul::cli {

class Console final : public Log {
 public:
  explicit Console(std::ostream& err) : err_(&err) {}

  // Lines below this level are dropped.
  void set_level(LogLevel least);

  // "pghaul: warning: line".
  void write(LogLevel level, std::string_view line) override;
  // "pghaul: error: message" and, where there is one, "HINT:  hint"; one line each.
  void fail(const Error& error);
  // A line as it is.
  void print(std::string_view line);

  // Replaces the line that is redrawn; the empty text takes it away.
  void redraw(std::string_view line);

 private:
  void print_locked(std::string_view line);

  std::mutex mutex_;  // guards everything below
  std::ostream* err_;
  LogLevel least_ = LogLevel::warning;
  std::string redrawn_;
};

}  // namespace haul::cli
