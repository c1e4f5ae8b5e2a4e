#include "io/directory.h"

#include <algorithm>

namespace haul::io {

Result<std::vector<DirectoryEntry>> Directory::list(std::string_view path) {
  std::vector<DirectoryEntry> entries;
  HAUL_TRY(for_each_entry(path, [&entries](const DirectoryEntry& entry) {
    entries.push_back(entry);
    return ok();
  }));
  std::ranges::sort(entries, {}, &DirectoryEntry::name);
  return entries;
}

std::string full_name(const Directory& directory, std::string_view path) {
  std::string name = directory.name();
  if (path.empty()) return name;
  if (!name.ends_with('/')) name += '/';
  name += path;
  return name;
}

bool is_plain_path(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) return false;
  for (;;) {
    const std::size_t slash = path.find('/');
    const std::string_view component = path.substr(0, slash);
    if (component.empty() || component == "." || component == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace haul::io
