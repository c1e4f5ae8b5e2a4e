// What looking ahead asks of the machine beyond its directories: another process, and how to see
// whether it lives.
//
// Threads:  one owner at a time.
// Errors:   io, permission, not_found.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace haul::wal {

class Host {
 public:
  virtual ~Host() = default;

  // Gives a file another name on the same file system, in one step. Absolute paths.
  virtual Status move_file(const std::string& from, const std::string& to) = 0;
  // Locks a file, which is made if need be, until this process ends; false: another one holds it.
  virtual Result<bool> lock(const std::string& path) = 0;
  virtual Result<bool> is_locked(const std::string& path) = 0;
  // Starts this program with these words. It outlives its starter and has nothing of it: a session
  // of its own, no descriptor, no signal blocked, "/" as its directory.
  virtual Status start_detached(const std::vector<std::string>& words) = 0;
};

// This machine.
std::unique_ptr<Host> make_local_host();

}  // namespace haul::wal
