// The configuration: TOML tables [repo] and [cluster.NAME], keys are the long names of options.
// toml++ stays behind config_file.cc.
//
// Threads:  values.
// Errors:   usage (not TOML, an unknown table or key, a value of another type).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace haul::cli {

// By long name; flags have "true" or "false".
using ConfigTable = std::map<std::string, std::vector<std::string>, std::less<>>;

struct ConfigFile {
  ConfigTable repo;
  std::map<std::string, ConfigTable, std::less<>> clusters;
};

// `name` is the file's, for messages.
Result<ConfigFile> parse_config(std::string_view text, const std::string& name);

}  // namespace haul::cli
