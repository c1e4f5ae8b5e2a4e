#include "tests/fuzz/target.h"

namespace haul::fuzz {

std::span<const Target> targets() {
  static const std::vector<Target> all = [] {
    std::vector<Target> both;
    for (const auto part : {repository_targets(), postgres_targets()}) {
      both.insert(both.end(), part.begin(), part.end());
    }
    return both;
  }();
  return all;
}

}  // namespace haul::fuzz
