// A byte string for a path, such that comparing the bytes compares the paths as trees order them.
//
// Threads:  functions over values.
// Format:   none: keys live no longer than a sort.
#pragma once

#include <string_view>

#include "engine/repository/byte_io.h"

namespace haul::backup {

// Appends a key that ends itself: memcmp() over keys with anything behind them orders by
// repository::compare_paths(), and equal keys are equal paths. A path without NUL, of at most 64
// KiB; asserted.
void append_path_key(repository::ByteWriter& out, std::string_view path);
// The path that a key was made of; borrows from it.
std::string_view path_of_key(ByteSpan key);

}  // namespace haul::backup
