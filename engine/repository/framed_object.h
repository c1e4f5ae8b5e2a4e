// Small objects read and written whole: config, leases, snapshots.
//
// Object header, body length, checksum over key, header and body: an object that was damaged, cut,
// or moved to another name is not accepted.
//
// Errors:   corrupt, unsupported; of reading one those of the store.
// Format:   docs/format.md, "Framed objects".
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "engine/repository/cluster.h"
#include "engine/repository/format.h"

namespace haul::repository {

inline constexpr std::size_t kFrameHeaderBytes = 64;

struct FramedObject {
  RepositoryId repository;
  std::vector<std::byte> body;
};

std::vector<std::byte> frame_object(ObjectKind kind, const RepositoryId& repository,
                                    const std::string& key, ByteSpan body);
Result<FramedObject> unframe_object(ObjectKind kind, const std::string& key, ByteSpan object);
// Of this cluster's repository, with a body that is JSON.
Result<Json> read_framed_json(const Cluster& cluster, ObjectKind kind, const std::string& key,
                              std::uint64_t size_max_bytes);

}  // namespace haul::repository
