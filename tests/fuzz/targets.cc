#include "tests/fuzz/target.h"

namespace haul::fuzz {

std::span<const Target> targets() {
  static const std::vector<Target> all = [] {
    std::vector<Target> together;
    for (const auto part : {repository_targets(), postgres_targets(), wal_targets()}) {
      together.insert(together.end(), part.begin(), part.end());
    }
    return together;
  }();
  return all;
}

}  // namespace haul::fuzz
