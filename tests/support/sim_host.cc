#include "tests/support/sim_host.h"

#include "tests/support/file_content.h"

namespace haul::support {

Status SimHost::failure_of(const std::string& function) const {
  const auto found = failures.find(function);
  if (found == failures.end()) return ok();
  return found->second;
}

Status SimHost::move_file(const std::string& from, const std::string& to) {
  HAUL_TRY(failure_of("move_file"));
  const auto top = HAUL_TRY(disk_.open(""));
  const std::string content = HAUL_TRY(read_file(*top, from.substr(1)));
  static_cast<void>(top->remove_file(to.substr(1)));
  HAUL_TRY(write_file(*top, to.substr(1), content));
  return top->remove_file(from.substr(1));
}

Result<bool> SimHost::lock(const std::string& path) {
  HAUL_TRY(failure_of("lock"));
  const auto top = HAUL_TRY(disk_.open(""));
  static_cast<void>(write_file(*top, path.substr(1), ""));
  return locked.insert(path).second;
}

Result<bool> SimHost::is_locked(const std::string& path) {
  HAUL_TRY(failure_of("is_locked"));
  return locked.contains(path);
}

Status SimHost::start_detached(const std::vector<std::string>& words) {
  HAUL_TRY(failure_of("start_detached"));
  started.push_back(words);
  return ok();
}

}  // namespace haul::support
