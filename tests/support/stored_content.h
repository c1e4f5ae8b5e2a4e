// The bytes of a file of a backup, read back chunk by chunk: slow, and by another way than a
// restore.
//
// Threads:  functions.
// Errors:   those of the chunk reader.
#pragma once

#include <string>

#include "engine/repository/chunk_reader.h"
#include "engine/repository/tree.h"

namespace haul::support {

Result<std::string> read_stored_file(repository::ChunkReader& chunks,
                                     const repository::TreeEntry& entry);

}  // namespace haul::support
