// A deliberately broken store: packs reach the disk only after a snapshot that names them was made
// durable. The test suite must notice.
//
// Threads:  one owner at a time.
#pragma once

#include <memory>

#include "io/object_store.h"

namespace haul::support {

std::unique_ptr<io::ObjectStore> make_snapshot_first_store(std::unique_ptr<io::ObjectStore> inner);

}  // namespace haul::support
