// What everything that reads or writes one cluster's objects needs to know.
//
// Memory:   borrows the store and the identity; a value otherwise.
// Threads:  immutable, shared by all.
#pragma once

#include "engine/repository/format.h"
#include "engine/repository/identity.h"
#include "engine/repository/layout.h"
#include "io/object_store.h"

namespace haul::repository {

struct RepositoryParameters {
  std::uint32_t chunk_pages = kChunkPagesDefault;
  std::uint64_t pack_size_bytes = kPackSizeDefault;

  bool operator==(const RepositoryParameters&) const = default;
};

struct Cluster {
  io::ObjectStore* store = nullptr;
  const Identity* identity = nullptr;
  RepositoryId repository;
  RepositoryParameters parameters;
  std::string name;
  ClusterLayout layout{""};
};

}  // namespace haul::repository
