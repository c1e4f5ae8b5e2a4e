#include "tests/integration/bounds/memory_bound.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <utility>

#include "base/format.h"

namespace haul::integration {

namespace {

bool write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text << std::flush;
  return file.good();
}

// Makes a group with this limit and moves the process into it; empty when that is not possible.
std::string join_cgroup(pid_t process, std::uint64_t limit_bytes) {
  static constexpr std::array<std::pair<const char*, const char*>, 3> kHierarchies = {{
      {"/sys/fs/cgroup", "memory.max"},
      {"/sys/fs/cgroup/unified", "memory.max"},
      {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
  }};
  for (const auto& [mount, limit] : kHierarchies) {
    const std::string group = format("{}/pghaul-bounds-{}", mount, process);
    if (::mkdir(group.c_str(), 0755) != 0) continue;
    if (::access(format("{}/{}", group, limit).c_str(), W_OK) == 0 &&
        write_text(format("{}/{}", group, limit), std::to_string(limit_bytes)) &&
        write_text(group + "/cgroup.procs", std::to_string(process))) {
      return group;
    }
    ::rmdir(group.c_str());
  }
  return "";
}

// RssAnon and RssShmem of a process; 0 when it has ended.
std::uint64_t own_memory_bytes(pid_t process) {
  std::ifstream status(format("/proc/{}/status", process));
  std::uint64_t bytes = 0;
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with("RssAnon:") && !line.starts_with("RssShmem:")) continue;
    bytes += std::strtoull(line.c_str() + line.find(':') + 1, nullptr, 10) * 1024;
  }
  return bytes;
}

}  // namespace

MemoryBound::MemoryBound(pid_t process, std::uint64_t limit_bytes)
    : cgroup_(join_cgroup(process, limit_bytes)),
      watcher_([this, process](const std::stop_token& stop) { watch(process, stop); }) {}

MemoryBound::~MemoryBound() {
  watcher_.request_stop();
  watcher_.join();
  if (!cgroup_.empty()) ::rmdir(cgroup_.c_str());
}

void MemoryBound::watch(pid_t process, const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    peak_bytes_ = std::max<std::uint64_t>(peak_bytes_, own_memory_bytes(process));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace haul::integration
