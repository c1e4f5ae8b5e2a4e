// The file that stands in a data directory from the first moment of a restore to the last: whose
// cluster it is to be, and where its tablespaces go, for a later restore that keeps what is right.
//
// Threads:  functions over values.
// Errors:   corrupt (text that is no marker).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace haul::restore {

struct Marker {
  std::uint64_t system_identifier = 0;
  std::vector<std::string> tablespaces;  // absolute: where they are, or are to be

  bool operator==(const Marker&) const = default;
};

std::string to_text(const Marker& marker);
Result<Marker> parse_marker(std::string_view text);

}  // namespace haul::restore
