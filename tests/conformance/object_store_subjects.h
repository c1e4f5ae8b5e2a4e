// The kinds of ObjectStore that the conformance suite runs on.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "io/object_store.h"

namespace haul::conformance {

// One store of a kind, empty at first.
class StoreSubject {
 public:
  virtual ~StoreSubject() = default;
  virtual io::ObjectStore& store() = 0;
};

struct StoreKind {
  std::string name;
  std::unique_ptr<StoreSubject> (*make)();
};
inline void PrintTo(const StoreKind& kind, std::ostream* out) { *out << kind.name; }

// posix, posix on a simulated disk, posix behind fault injection without rules, the three again
// with rings, and in memory.
std::vector<StoreKind> store_kinds();

}  // namespace haul::conformance
