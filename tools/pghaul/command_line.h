// What was typed: the command, its options and arguments, uninterpreted. CLI11 stays behind
// command_line.cc.
//
// Threads:  values.
// Errors:   usage (an unknown command or option, a missing or superfluous argument).
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tools/pghaul/option_table.h"

namespace haul::cli {

struct CommandLine {
  enum class Request { run, help, version } request = Request::run;
  std::optional<Command> command;  // always there for Request::run
  // By long name; flags have "true" or "false".
  std::map<std::string, std::vector<std::string>, std::less<>> options;
  std::vector<std::string> arguments;
};

// `words` without the program's own name.
Result<CommandLine> parse_command_line(std::span<const std::string> words);

}  // namespace haul::cli
