// A small file, whole.
//
// Memory:   the file, bounded by the caller.
// Errors:   corrupt (larger than the bound), and what the directory gives.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/directory.h"

namespace haul::postgres {

Result<std::vector<std::byte>> read_small_file(io::Directory& directory, std::string_view path,
                                               std::size_t size_max_bytes);

}  // namespace haul::postgres
