#include "engine/backup/configuration.h"

#include <algorithm>

#include "base/format.h"

namespace haul::backup {

namespace {

struct NamedFile {
  std::string path;
  std::string role;
};

std::string parent_of(const std::string& path) {
  return path.substr(0, std::max<std::size_t>(1, path.rfind('/')));
}
std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// A file inside the data directory is copied with it, unless it is a link: then its target is what
// counts. Empty: nothing to take along.
std::string outside_path(const std::string& path, const std::string& data_directory,
                         const SourceTree& source) {
  if (!path.starts_with('/')) return "";
  if (!path.starts_with(data_directory + "/")) return path;
  const std::string inner = path.substr(data_directory.size() + 1);
  const auto info = source.info(inner);
  if (!info || info->kind != io::FileKind::symlink) return "";
  const SourceTree::Place place = source.resolve(inner);
  const auto target = place.directory->read_link(place.path);
  if (!target) return "";
  return target->starts_with('/') ? *target : parent_of(path) + "/" + *target;
}

Result<ConfigurationFile> read_file(const NamedFile& named, const DirectoryOpener& open) {
  const auto directory = HAUL_TRY(open(parent_of(named.path)));
  const auto file = HAUL_TRY(directory->open_file(name_of(named.path), io::Caching::buffered));
  ConfigurationFile result;
  result.fact = {named.path, named.role};
  result.info = HAUL_TRY(file->info());
  if (result.info.size_bytes > kConfigurationBytesMax) {
    return Error(ErrorCode::usage,
                 format("{}: larger than a configuration file can be", named.path));
  }
  result.bytes.resize(result.info.size_bytes);
  result.bytes.resize(HAUL_TRY(file->read_at(0, result.bytes)));
  return result;
}

void add_included(const std::string& config_file, const DirectoryOpener& open,
                  std::vector<NamedFile>& files) {
  const std::string directory_path = parent_of(config_file) + "/conf.d";
  const auto directory = open(directory_path);
  if (!directory) return;
  const auto entries = (*directory)->list("");
  if (!entries) return;
  for (const io::DirectoryEntry& entry : *entries) {
    // The server's own rule for include_dir: names that end in .conf and do not begin with a dot.
    if (entry.kind != io::FileKind::regular || !entry.name.ends_with(".conf") ||
        entry.name.starts_with('.'))
      continue;
    files.push_back({directory_path + "/" + entry.name, "include"});
  }
}

}  // namespace

Configuration read_configuration(const postgres::ServerFacts& facts,
                                 const std::string& data_directory, const SourceTree& source,
                                 const DirectoryOpener& open) {
  Configuration configuration;
  std::vector<NamedFile> files;
  for (const auto& [path, role] :
       {std::pair(facts.config_file, "config_file"), std::pair(facts.hba_file, "hba_file"),
        std::pair(facts.ident_file, "ident_file")}) {
    if (path.empty()) {
      configuration.warnings.push_back(
          format("the server does not tell this role its {}; if it lies outside the data "
                 "directory it is not in the backup",
                 role));
      continue;
    }
    const std::string outside = outside_path(path, data_directory, source);
    if (outside.empty()) continue;
    files.push_back({outside, role});
    if (std::string_view(role) == "config_file") add_included(outside, open, files);
  }
  for (const NamedFile& named : files) {
    auto file = read_file(named, open);
    if (file) {
      configuration.files.push_back(std::move(file).take());
    } else {
      configuration.warnings.push_back(
          format("{} is not in the backup: {}", named.path, file.error().message()));
    }
  }
  return configuration;
}

}  // namespace haul::backup
