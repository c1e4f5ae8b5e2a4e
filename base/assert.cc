#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace haul {

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "pghaul: bug: assertion failed: %s (%s:%d)\n", expression, file, line);
  std::abort();
}

}  // namespace haul
