// The options in force: command line, then environment, then configuration, then default.
//
// Threads:  a value.
// Errors:   usage (names where the wrong value came from), and those of reading the configuration.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tools/pghaul/command_line.h"
#include "tools/pghaul/config_file.h"
#include "tools/pghaul/platform.h"

namespace haul::cli {

inline constexpr std::string_view kDefaultConfig = "/etc/pghaul/pghaul.toml";

class Settings {
 public:
  // Reads environment and configuration. Without --config a missing default file is no error; an
  // unreadable one is.
  static Result<Settings> load(CommandLine line, Platform& platform);

  Command command() const { return command_; }
  const std::vector<std::string>& arguments() const { return arguments_; }

  // The cluster that was named: by --cluster, or because the configuration has a table for one
  // only.
  std::optional<std::string> named_cluster() const;
  // From now on [cluster.NAME] counts, before [repo].
  void select_cluster(const std::string& name);

  std::optional<std::string> value(std::string_view option) const;
  std::string value_or(std::string_view option, std::string_view otherwise) const;
  // Of the options that may be repeated.
  std::vector<std::string> values(std::string_view option) const;
  Result<bool> flag(std::string_view option) const;
  // A number from `least` to `most`; nothing when the option was not given.
  struct Range {
    std::uint64_t least = 0;
    std::uint64_t most = 0;
  };
  Result<std::optional<std::uint64_t>> number(std::string_view option, Range range) const;
  // The value, made absolute from the working directory, without "." and "..".
  std::optional<std::string> path(std::string_view option) const;
  // `usage` when it was not given.
  Result<std::string> required_path(std::string_view option) const;
  // "--jobs", "PGHAUL_JOBS" or "jobs in FILE": where the value in force came from.
  std::string origin(std::string_view option) const;

 private:
  struct Found {
    const std::vector<std::string>* values = nullptr;
    std::string origin;
  };

  Settings() = default;
  std::optional<Found> find(std::string_view option) const;
  const ConfigTable* selected_table() const;

  Command command_ = Command::info;
  std::vector<std::string> arguments_;
  std::string working_directory_;
  std::map<std::string, std::vector<std::string>, std::less<>> command_line_;
  std::map<std::string, std::vector<std::string>, std::less<>> environment_;
  std::string config_name_;
  ConfigFile config_;
  std::string cluster_;  // empty: none selected
};

// Absolute and without "." and ".." and trailing slash, from an absolute working directory.
std::string absolute_path(const std::string& working_directory, const std::string& path);

}  // namespace haul::cli
