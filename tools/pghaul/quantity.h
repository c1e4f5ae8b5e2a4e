// Sizes and durations as people type and read them.
//
// Units:    sizes are bytes; text is in binary units, as PostgreSQL's programs have it.
// Threads:  functions over values.
// Errors:   usage.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace haul::cli {

// A whole number and a unit: kB where there is none, k, M, G, T, also as kB, KiB, MB, MiB and so
// on; B for bytes.
Result<std::uint64_t> parse_size(std::string_view text);

// A whole number and a unit: s where there is none, ms, min, h, d, as in postgresql.conf.
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);

// "512 B", "27.9 GiB".
std::string print_size(std::uint64_t size_bytes);
// "412.6/676.1 GiB".
std::string print_sizes(std::uint64_t part_bytes, std::uint64_t whole_bytes);
// "7 s", "2 min 54 s", "1 h 2 min", "3 d 4 h".
std::string print_age(std::chrono::nanoseconds age);
// "0:07", "2:54", "1:02:54".
std::string print_duration(std::chrono::nanoseconds duration);

}  // namespace haul::cli
