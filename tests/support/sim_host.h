// The host of a simulated disk: locks are a set of names, processes that are started a list.
//
// Threads:  one owner at a time.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/wal/host.h"
#include "io/sim_directory.h"

namespace haul::support {

class SimHost final : public wal::Host {
 public:
  // Borrows; paths are those of the disk with a slash before.
  explicit SimHost(io::SimDisk& disk) : disk_(disk) {}

  Status move_file(const std::string& from, const std::string& to) override;
  Result<bool> lock(const std::string& path) override;
  Result<bool> is_locked(const std::string& path) override;
  Status start_detached(const std::vector<std::string>& words) override;

  std::set<std::string> locked;
  std::vector<std::vector<std::string>> started;
  // What a function fails with, by its name.
  std::map<std::string, Error> failures;

 private:
  Status failure_of(const std::string& function) const;

  io::SimDisk& disk_;
};

}  // namespace haul::support
