#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace haul {

namespace {

spdlog::level::level_enum to_library(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

class StderrLog final : public Log {
 public:
  explicit StderrLog(LogLevel least)
      : logger_("pghaul", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_pattern("pghaul: %l: %v");
    logger_.set_level(to_library(least));
  }

  void write(LogLevel level, std::string_view line) override {
    logger_.log(to_library(level), spdlog::string_view_t(line.data(), line.size()));
  }

 private:
  spdlog::logger logger_;
};

}  // namespace

std::unique_ptr<Log> make_stderr_log(LogLevel least) { return std::make_unique<StderrLog>(least); }

}  // namespace haul
