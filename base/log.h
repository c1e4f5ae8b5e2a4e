// The program's log: lines on stderr, levels, nothing secret by construction (callers format, types
// guard).
//
// Threads:  every function may be called from any thread.
#pragma once

#include <memory>
#include <string_view>

namespace haul {

enum class LogLevel { debug, info, warning, error };

class Log {
 public:
  virtual ~Log() = default;
  virtual void write(LogLevel level, std::string_view line) = 0;

  void debug(std::string_view line) { write(LogLevel::debug, line); }
  void info(std::string_view line) { write(LogLevel::info, line); }
  void warning(std::string_view line) { write(LogLevel::warning, line); }
  void error(std::string_view line) { write(LogLevel::error, line); }
};

// Lines "pghaul: warning: ..." on stderr from `least` on. Never null.
std::unique_ptr<Log> make_stderr_log(LogLevel least);

// Swallows everything; for callers that report through results alone.
class SilentLog final : public Log {
 public:
  void write(LogLevel, std::string_view) override {}
};

}  // namespace haul
