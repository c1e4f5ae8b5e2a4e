// Holds a process to an amount of memory, and tells how much it took.
//
// A memory cgroup (version 2, else 1) kills a process that needs more than its limit; the page
// cache within it is given back first. Where no cgroup can be had only the measurement is left.
//
// Units:    bytes.
// Threads:  one owner at a time; owns one thread.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

namespace haul::integration {

class MemoryBound {
 public:
  MemoryBound(pid_t process, std::uint64_t limit_bytes);
  // After the process has ended.
  ~MemoryBound();
  MemoryBound(const MemoryBound&) = delete;
  MemoryBound& operator=(const MemoryBound&) = delete;

  // False: only measured.
  bool enforced() const { return !cgroup_.empty(); }
  // Memory of the process's own (anonymous and shared), looked at every 20 ms.
  std::uint64_t peak_bytes() const { return peak_bytes_; }

 private:
  void watch(pid_t process, const std::stop_token& stop);

  std::string cgroup_;  // its directory; empty when there is none
  std::atomic<std::uint64_t> peak_bytes_ = 0;
  std::jthread watcher_;
};

}  // namespace haul::integration
