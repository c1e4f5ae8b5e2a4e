// Objects as files beneath one directory; the exact fsync points of the durability protocol.
//
// An object is written to a temporary file in "tmp/", synced, and published without replacing;
// directories on the way are made 0700 as needed. make_durable() syncs the directory and, once per
// process and directory, its ancestors up to the root.
//
// Durability: docs/architecture.md, "Durability".
// Threads:  see io/object_store.h.
#pragma once

#include <memory>
#include <optional>

#include "io/directory.h"
#include "io/object_store.h"
#include "io/ring.h"

namespace haul::io {

struct FileOwner {
  std::uint32_t user = 0;
  std::uint32_t group = 0;
};

struct PosixObjectStoreOptions {
  // What is created gets this owner (a repository used by root belongs to the owner of its top
  // directory).
  std::optional<FileOwner> owner = {};
  // Where given, the objects of create() are written behind their writers, direct, by a thread that
  // the first of them starts. Empty: within the calls, buffered.
  RingFactory rings = {};
};

// Takes the root over. Nothing is created until something is put. The store outlives its writers.
std::unique_ptr<ObjectStore> make_posix_object_store(std::unique_ptr<Directory> root,
                                                     PosixObjectStoreOptions options);

}  // namespace haul::io
