// The kinds of Directory that the conformance suites run on.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "io/directory.h"

namespace haul::conformance {

// One file system of a kind, empty at first.
class DirectorySubject {
 public:
  virtual ~DirectorySubject() = default;
  // Its top; may be opened more than once.
  virtual std::unique_ptr<io::Directory> open() = 0;
};

struct DirectoryKind {
  std::string name;
  std::unique_ptr<DirectorySubject> (*make)();
};
inline void PrintTo(const DirectoryKind& kind, std::ostream* out) { *out << kind.name; }

// posix, posix without nameless files, posix without renameat2(RENAME_NOREPLACE) either, simulated,
// and posix behind fault injection without rules.
std::vector<DirectoryKind> directory_kinds();

}  // namespace haul::conformance
