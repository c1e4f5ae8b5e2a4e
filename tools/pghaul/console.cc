#include "tools/pghaul/console.h"

#include <algorithm>

#include "base/format.h"

namespace haul::cli {

namespace {

constexpr std::string_view kClearLine = "\r\x1b[K";

const char* name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warning: return "warning";
    case LogLevel::error: return "error";
  }
  return "error";
}

// Names of files and texts of servers may hold anything; they must neither forge lines nor steer a
// terminal.
std::string as_one_line(std::string_view text) {
  std::string line(text);
  std::ranges::replace_if(
      line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return line;
}

}  // namespace

void Console::set_level(LogLevel least) {
  const std::scoped_lock lock(mutex_);
  least_ = least;
}

void Console::print_locked(std::string_view line) {
  if (!redrawn_.empty()) *err_ << kClearLine;
  *err_ << line << '\n' << redrawn_ << std::flush;
}

void Console::write(LogLevel level, std::string_view line) {
  const std::scoped_lock lock(mutex_);
  if (level < least_) return;
  print_locked(format("pghaul: {}: {}", name_of(level), as_one_line(line)));
}

void Console::fail(const Error& error) {
  const std::scoped_lock lock(mutex_);
  print_locked(format("pghaul: error: {}", as_one_line(error.message())));
  if (!error.hint().empty()) print_locked(format("HINT:  {}", as_one_line(error.hint())));
}

void Console::print(std::string_view line) {
  const std::scoped_lock lock(mutex_);
  print_locked(line);
}

void Console::redraw(std::string_view line) {
  const std::scoped_lock lock(mutex_);
  if (!redrawn_.empty()) *err_ << kClearLine;
  redrawn_ = line;
  *err_ << redrawn_ << std::flush;
}

}  // namespace haul::cli
