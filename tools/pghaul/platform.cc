#include "tools/pghaul/platform.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "engine/repository/lease.h"

namespace haul::cli {

namespace {

constexpr int kLowestPriority = 19;

}  // namespace

Result<std::unique_ptr<io::Directory>> PosixPlatform::open_directory(const std::string& path) {
  return repository::open_local_directory(path);
}

Result<std::string> PosixPlatform::read_text(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return error_from_errno(errno, path);
  std::string text;
  std::array<char, 4096> buffer{};
  // Only read() turns what the buffer throws, for a directory, into a failed stream.
  while (file.read(buffer.data(), buffer.size()) || file.gcount() > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (file.bad()) return error_from_errno(errno, path);
  return text;
}

std::optional<std::string> PosixPlatform::variable(const std::string& name) {
  // Nothing in this process changes its environment, so that reading it needs no lock.
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

std::string PosixPlatform::working_directory() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::current_path(error);
  return error ? "/" : path.string();
}

repository::LocalOwner PosixPlatform::repository_owner() {
  return geteuid() == 0 ? repository::LocalOwner::top_directory : repository::LocalOwner::process;
}

void PosixPlatform::give_way() {
  // Of this thread and those it will start. Nobody is refused less of a priority.
  static_cast<void>(setpriority(PRIO_PROCESS, 0, kLowestPriority));
}

io::RingFactory PosixPlatform::rings() { return io::open_ring; }

std::string PosixPlatform::boot_id() { return repository::this_process("").boot_id; }

}  // namespace haul::cli
