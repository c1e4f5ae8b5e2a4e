// Configuration files that lie outside the data directory (Debian keeps them under
// /etc/postgresql).
//
// Memory:   one file at a time, at most kConfigurationBytesMax.
// Threads:  one owner at a time.
// Errors:   none: a file that cannot be read becomes a warning, since the cluster's data do not
// depend on it.
#pragma once

#include <string>
#include <vector>

#include "engine/backup/file_store.h"
#include "engine/backup/source_tree.h"
#include "engine/postgres/backup_session.h"

namespace haul::backup {

inline constexpr std::uint64_t kConfigurationBytesMax = 16 << 20;

struct ConfigurationFile {
  postgres::ConfigurationFact fact;
  io::FileInfo info;
  std::vector<std::byte> bytes;
};

struct Configuration {
  std::vector<ConfigurationFile> files;
  std::vector<std::string> warnings;
};

// The files the server names, followed through a link in the data directory, as far as they lie
// outside it; with config_file also the conf.d directory beside it.
Configuration read_configuration(const postgres::ServerFacts& facts,
                                 const std::string& data_directory, const SourceTree& source,
                                 const DirectoryOpener& open);

}  // namespace haul::backup
