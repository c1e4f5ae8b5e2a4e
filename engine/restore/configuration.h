// Configuration files that lay outside of the data directory: where they go in the restored one,
// and what in them has to change so that a server starts there.
//
// A file beneath the directory of postgresql.conf keeps its relative place, one from elsewhere its
// name (and its directory's, where that ends in ".d"); what the data directory has itself is never
// replaced. In postgresql.conf and the files it includes, settings that name places of the original
// cluster are commented out and includes are pointed to where the files went; every other byte
// stays.
//
// Memory:   the files, at most kConfigurationBytesMax each.
// Threads:  functions over values.
// Errors:   io; a file that cannot be read or is larger is no error here but lost.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/repository/chunk_reader.h"
#include "engine/restore/plan.h"

namespace haul::restore {

inline constexpr std::uint64_t kConfigurationBytesMax = 16 << 20;

struct ConfigurationFile {
  std::string from;  // absolute, where it was; empty: in the data directory
  std::string to;    // beneath the data directory
  std::uint32_t mode = 0;
  std::string content;
};

struct ConfigurationPlan {
  std::vector<ConfigurationFile> files;
  std::vector<std::string> directories;  // to be made for them, parents first
  // Of the data directory itself, changed or made for a recovery; the plan does not place them.
  std::vector<ConfigurationFile> rewritten;
  std::string signal_file;              // beneath the data directory; empty: none
  std::vector<std::string> lost_files;  // absolute, where they were; unreadable
  std::vector<std::string> warnings;
};

// Tells whether this machine has something at an absolute path.
using PathProbe = std::function<bool(const std::string& path)>;

Result<ConfigurationPlan> plan_configuration(const RestorePlan& plan,
                                             repository::ChunkReader& chunks,
                                             const PathProbe& exists);

// One line of postgresql.conf, as the server reads it.
struct SettingLine {
  std::string name;   // in lower case; "include", "include_dir" and "include_if_exists" too
  std::string value;  // without quotes
};
// False when the line sets nothing or is not valid.
bool parse_setting_line(std::string_view line, SettingLine& setting);
// The value as a quoted string on one line, whatever is in it.
std::string quote_setting(std::string_view value);

}  // namespace haul::restore
