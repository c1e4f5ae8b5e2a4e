// Checks for bugs, on in every build.
//
// Never for data that comes from disk, network or a user: those are operating failures and return a
// Status.
#pragma once

namespace haul {

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace haul

#define HAUL_ASSERT(expression)                                  \
  do {                                                           \
    if (!(expression)) [[unlikely]]                              \
      ::haul::assertion_failed(#expression, __FILE__, __LINE__); \
  } while (false)
