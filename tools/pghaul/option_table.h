// The commands and their options, in one table: parsing, help, environment and configuration all go
// by it.
//
// Threads:  constants.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace haul::cli {

enum class Command : std::uint8_t {
  init,
  backup,
  info,
  ls,
  cat,
  restore,
  verify,
  wal_push,
  wal_get,
  wal_list,
  wal_prefetch,
  wal_receive,
  check,
  status
};

struct CommandSpec {
  Command command;
  std::string_view name;       // one word, or two with a space between
  std::string_view arguments;  // as in the synopsis; empty: none
  std::size_t arguments_min = 0;
  std::size_t arguments_max = 0;
  std::string_view summary;
};

enum class OptionKind : std::uint8_t {
  flag,      // yes or no
  value,     // one value; the last one counts
  repeated,  // any number of values
};

// Where an option may come from besides the command line.
enum class OptionSource : std::uint8_t {
  everywhere,    // environment and configuration
  environment,   // the environment alone
  command_line,  // nothing else
};

struct OptionSpec {
  std::string_view name;  // the long name, also the key in the configuration
  char letter = '\0';     // the short name, if any
  OptionKind kind = OptionKind::value;
  std::string_view argument;  // in the help; empty for a flag
  std::string_view help;
  std::uint32_t commands = 0;  // bits of 1 << Command
  OptionSource source = OptionSource::everywhere;
};

std::span<const CommandSpec> all_commands();
std::span<const OptionSpec> all_options();

const CommandSpec& spec_of(Command command);
// The command that these words begin with; null when they begin with none.
const CommandSpec* find_command(std::span<const std::string> words);
// How many words its name has.
std::size_t word_count(const CommandSpec& command);
const OptionSpec* find_option(std::string_view name);
bool takes(Command command, const OptionSpec& option);

// "PGHAUL_CHUNK_PAGES" for "chunk-pages".
std::string variable_name(std::string_view option);

// What --help prints: of the program, or of one command.
std::string program_help();
std::string command_help(Command command);

}  // namespace haul::cli
