// Damage that was met and worked around, or that makes something unreadable: collected for the
// report.
//
// Memory:   at most kFindingsMax lines are kept; the rest is counted.
// Threads:  every function from any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"

namespace haul::repository {

// Something of the repository is gone or broken; other errors say that it could not be looked at.
bool is_damage(const Error& error);

class Findings {
 public:
  static constexpr std::size_t kFindingsMax = 10'000;

  // The same line is kept once.
  void add(std::string line);
  std::vector<std::string> lines() const;
  // How many different lines were added; beyond the limit a repeated line counts again.
  std::uint64_t count() const;

 private:
  mutable std::mutex mutex_;  // guards lines_, count_
  std::set<std::string> lines_;
  std::uint64_t count_ = 0;
};

}  // namespace haul::repository
