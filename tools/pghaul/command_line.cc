#include "tools/pghaul/command_line.h"

#include <algorithm>
#include <cctype>

#include <CLI/CLI.hpp>

#include "base/format.h"

namespace haul::cli {

namespace {

// CLI11's messages as ours: one lowercase line without a full stop.
Error usage_error(std::string message, const std::string& hint) {
  std::ranges::replace(message, '\n', ' ');
  while (!message.empty() && (message.back() == '.' || message.back() == ' ')) message.pop_back();
  // An option's name keeps its case.
  if (!message.empty() && message[0] != '-') {
    message[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(message[0])));
  }
  return Error(ErrorCode::usage, std::move(message), hint);
}

std::string names_for_library(const OptionSpec& option) {
  std::string names;
  if (option.letter != '\0') names = format("-{},", option.letter);
  return names + format("--{}", option.name);
}

// What the library fills while it parses one command.
struct Slots {
  std::map<std::string, std::vector<std::string>, std::less<>> values;
  std::map<std::string, bool, std::less<>> flags;
  std::vector<std::string> arguments;
};

void declare(CLI::App& app, Command command, Slots& slots) {
  const CommandSpec& spec = spec_of(command);
  app.set_help_flag();
  for (const OptionSpec& option : all_options()) {
    if (!takes(command, option)) continue;
    const std::string name(option.name);
    if (option.kind == OptionKind::flag) {
      app.add_flag(names_for_library(option), slots.flags[name]);
      continue;
    }
    CLI::Option* added = app.add_option(names_for_library(option), slots.values[name]);
    // One value each time, so that what follows it is an argument of the command.
    added->expected(1)->allow_extra_args(false);
    added->multi_option_policy(option.kind == OptionKind::repeated
                                   ? CLI::MultiOptionPolicy::TakeAll
                                   : CLI::MultiOptionPolicy::TakeLast);
  }
  if (spec.arguments_max > 0) {
    app.add_option("ARGUMENT", slots.arguments)
        ->expected(0, static_cast<int>(std::max<std::size_t>(spec.arguments_max, 1)));
  }
}

bool asks_for_help(std::span<const std::string> words) {
  return std::ranges::any_of(
      words, [](const std::string& word) { return word == "-?" || word == "--help"; });
}

// What was meant to be one: of a command of two words both.
std::string typed_command(std::span<const std::string> words) {
  const bool begins_one = std::ranges::any_of(all_commands(), [&](const CommandSpec& command) {
    return command.name.starts_with(words[0] + " ");
  });
  return begins_one && words.size() > 1 ? words[0] + " " + words[1] : words[0];
}

Result<CommandLine> parse_options(Command command, std::span<const std::string> words) {
  const CommandSpec& spec = spec_of(command);
  const std::string hint = format("pghaul {} --help lists the options", spec.name);
  CLI::App app;
  Slots slots;
  declare(app, command, slots);
  try {
    // The library takes its words from the back.
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& error) {
    return usage_error(error.what(), hint);
  }
  if (slots.arguments.size() < spec.arguments_min || slots.arguments.size() > spec.arguments_max) {
    return Error(
        ErrorCode::usage,
        format("{} takes {}, not {} arguments", spec.name,
               spec.arguments.empty() ? "no arguments" : spec.arguments, slots.arguments.size()),
        hint);
  }
  CommandLine line;
  line.command = command;
  line.arguments = std::move(slots.arguments);
  for (auto& [name, values] : slots.values) {
    if (!values.empty()) line.options[name] = std::move(values);
  }
  for (const auto& [name, set] : slots.flags) {
    if (app.count("--" + name) > 0) line.options[name] = {set ? "true" : "false"};
  }
  return line;
}

}  // namespace

Result<CommandLine> parse_command_line(std::span<const std::string> words) {
  const std::string hint = "pghaul --help lists the commands";
  if (words.empty()) return Error(ErrorCode::usage, "no command was given", hint);
  CommandLine line;
  if (words[0] == "-V" || words[0] == "--version") {
    line.request = CommandLine::Request::version;
    return line;
  }
  line.request = CommandLine::Request::help;
  if (asks_for_help(words.first(1)) || words[0] == "help") return line;
  const CommandSpec* spec = find_command(words);
  if (spec == nullptr) {
    const bool option = words[0].starts_with("-");
    return Error(ErrorCode::usage,
                 option ? format("{} comes before a command", words[0])
                        : format("there is no command \"{}\"", typed_command(words)),
                 hint);
  }
  line.command = spec->command;
  // Help is given whatever else is said, and is wrong.
  const std::span<const std::string> rest = words.subspan(word_count(*spec));
  if (asks_for_help(rest)) return line;
  return parse_options(spec->command, rest);
}

}  // namespace haul::cli
