// String formatting in fmt's syntax: format("{} of {}", done, total).
//
// Errors:   a format string that does not fit its arguments does not compile.
#pragma once

#include <fmt/core.h>

namespace haul {

using fmt::format;

}  // namespace haul
