#include "engine/repository/snapshot.h"

#include <algorithm>

#include "base/format.h"
#include "engine/repository/framed_object.h"

namespace haul::repository {

namespace {

// 100 TB of packs at 64 MiB take 90 MB.
constexpr std::uint64_t kSnapshotBytesMax = 1ULL << 30;

Json statistics_to_json(const SnapshotStatistics& s) {
  Json json = Json::object();
  json.set("files", s.files);
  json.set("source_bytes", s.source_bytes);
  json.set("hole_bytes", s.hole_bytes);
  json.set("read_bytes", s.read_bytes);
  json.set("changed_bytes", s.changed_bytes);
  json.set("changed_leaves", s.changed_leaves);
  json.set("stored_bytes", s.stored_bytes);
  json.set("chunks_stored", s.chunks_stored);
  json.set("chunks_found", s.chunks_found);
  return json;
}

Result<SnapshotStatistics> statistics_from_json(const Json& json) {
  SnapshotStatistics s;
  s.files = HAUL_TRY(json.uint_at("files"));
  s.source_bytes = HAUL_TRY(json.uint_at("source_bytes"));
  s.hole_bytes = HAUL_TRY(json.uint_at("hole_bytes"));
  if (json.find("read_bytes") != nullptr) {
    s.read_bytes = HAUL_TRY(json.uint_at("read_bytes"));
    s.changed_bytes = HAUL_TRY(json.uint_at("changed_bytes"));
  }
  if (json.find("changed_leaves") != nullptr) {
    s.changed_leaves = HAUL_TRY(json.uint_at("changed_leaves"));
  }
  s.stored_bytes = HAUL_TRY(json.uint_at("stored_bytes"));
  s.chunks_stored = HAUL_TRY(json.uint_at("chunks_stored"));
  s.chunks_found = HAUL_TRY(json.uint_at("chunks_found"));
  return s;
}

Result<Snapshot> from_json(const Json& json) {
  Snapshot snapshot;
  snapshot.id = HAUL_TRY(json.string_at("backup"));
  snapshot.cluster = HAUL_TRY(json.string_at("cluster"));
  snapshot.parent = HAUL_TRY(json.string_at("parent"));
  if (json.find("changes") != nullptr) {
    snapshot.from_wal = HAUL_TRY(json.string_at("changes")) == "wal";
  }
  snapshot.program = HAUL_TRY(json.string_at("program"));
  snapshot.started.microseconds = HAUL_TRY(json.int_at("started_us"));
  snapshot.copy_started = snapshot.started;
  if (json.find("copy_started_us") != nullptr) {
    snapshot.copy_started.microseconds = HAUL_TRY(json.int_at("copy_started_us"));
  }
  snapshot.finished.microseconds = HAUL_TRY(json.int_at("finished_us"));
  const std::string root = HAUL_TRY(json.string_at("tree"));
  const std::string kind = HAUL_TRY(json.string_at("tree_kind"));
  if (!from_hex(root, snapshot.tree.id.bytes) || (kind != "leaf" && kind != "node")) {
    return Error(ErrorCode::corrupt, "the tree's root is not valid");
  }
  snapshot.tree.kind = kind == "leaf" ? ChunkKind::tree_leaf : ChunkKind::tree_node;
  snapshot.statistics = HAUL_TRY(statistics_from_json(*HAUL_TRY(json.object_at("statistics"))));
  snapshot.facts = *HAUL_TRY(json.object_at("facts"));
  return snapshot;
}

Json to_json(const Snapshot& snapshot) {
  Json json = Json::object();
  json.set("backup", snapshot.id);
  json.set("cluster", snapshot.cluster);
  json.set("parent", snapshot.parent);
  json.set("changes", snapshot.from_wal ? "wal" : "scan");
  json.set("program", snapshot.program);
  json.set("started_us", snapshot.started.microseconds);
  json.set("copy_started_us", snapshot.copy_started.microseconds);
  json.set("finished_us", snapshot.finished.microseconds);
  json.set("tree", to_hex(snapshot.tree.id.bytes));
  json.set("tree_kind", snapshot.tree.kind == ChunkKind::tree_leaf ? "leaf" : "node");
  json.set("statistics", statistics_to_json(snapshot.statistics));
  json.set("facts", snapshot.facts);
  return json;
}

Result<Snapshot> decode_body(ByteSpan body) {
  ByteReader in(body);
  const std::uint32_t json_bytes = in.u32();
  const ByteSpan text = in.bytes(json_bytes);
  if (!in.ok()) return Error(ErrorCode::corrupt, "the description is cut off");
  Snapshot snapshot = HAUL_TRY(from_json(HAUL_TRY(Json::parse(text_of(text)))));
  snapshot.packs = HAUL_TRY(read_pack_table(in));
  if (!in.finished()) return Error(ErrorCode::corrupt, "bytes follow the pack table");
  return snapshot;
}

}  // namespace

std::vector<std::byte> encode_snapshot(const Snapshot& snapshot, const Cluster& cluster) {
  const std::string text = to_json(snapshot).dump();
  ByteWriter body;
  body.u32(static_cast<std::uint32_t>(text.size()));
  body.bytes(bytes_of(text));
  write_pack_table(body, snapshot.packs);
  return frame_object(ObjectKind::snapshot, cluster.repository,
                      cluster.layout.snapshot(snapshot.id), body.view());
}

Result<Snapshot> decode_snapshot(ByteSpan object, const Cluster& cluster, const std::string& id) {
  const std::string key = cluster.layout.snapshot(id);
  const FramedObject frame = HAUL_TRY(unframe_object(ObjectKind::snapshot, key, object));
  if (frame.repository != cluster.repository) {
    return Error(ErrorCode::corrupt, format("{}: belongs to another repository", key));
  }
  auto snapshot = decode_body(frame.body);
  if (!snapshot) return std::move(snapshot).take_error().with_context(key);
  if (snapshot->id != id || snapshot->cluster != cluster.name) {
    return Error(ErrorCode::corrupt, format("{}: describes another backup", key));
  }
  return snapshot;
}

Result<std::vector<std::string>> list_snapshots(const Cluster& cluster) {
  std::vector<std::string> ids;
  for (const io::ObjectInfo& object : HAUL_TRY(cluster.store->list(cluster.layout.snapshots()))) {
    if (auto id = cluster.layout.parse_snapshot(object.key)) ids.push_back(*std::move(id));
  }
  std::ranges::sort(ids);
  return ids;
}

Result<Snapshot> read_snapshot(const Cluster& cluster, const std::string& id) {
  const std::vector<std::byte> object =
      HAUL_TRY(cluster.store->get(cluster.layout.snapshot(id), kSnapshotBytesMax));
  return decode_snapshot(object, cluster, id);
}

Result<std::vector<std::string>> missing_packs(const Cluster& cluster, const PackTable& packs) {
  std::vector<std::string> lines;
  for (const auto& [ref, use] : packs) {
    const std::string key = cluster.layout.pack(ref);
    auto info = cluster.store->head(key);
    if (!info) {
      if (info.error().code() != ErrorCode::not_found) return std::move(info).take_error();
      lines.push_back(format("{}: missing", key));
    } else if (info->size_bytes != use.size_bytes) {
      lines.push_back(format("{}: {} bytes instead of {}", key, info->size_bytes, use.size_bytes));
    }
  }
  return lines;
}

Status commit_snapshot(const Snapshot& snapshot, const Cluster& cluster) {
  const std::vector<std::string> missing = HAUL_TRY(missing_packs(cluster, snapshot.packs));
  if (!missing.empty()) {
    return Error(ErrorCode::corrupt, format("{} packs vanished before the commit, first {}",
                                            missing.size(), missing[0]));
  }
  const std::vector<std::byte> object = encode_snapshot(snapshot, cluster);
  if (object.size() > kSnapshotBytesMax) {
    return Error(ErrorCode::usage, format("the snapshot has {} bytes, {} can be read back",
                                          object.size(), kSnapshotBytesMax));
  }
  HAUL_TRY(decode_snapshot(object, cluster, snapshot.id));
  HAUL_TRY(cluster.store->put_if_absent(cluster.layout.snapshot(snapshot.id), object));
  return cluster.store->make_durable(cluster.layout.snapshots());
}

}  // namespace haul::repository
