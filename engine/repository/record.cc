#include "engine/repository/record.h"

#include <algorithm>
#include <array>

#include "base/format.h"
#include "engine/repository/framed_object.h"

namespace haul::repository {

namespace {

constexpr std::array kKinds = {RecordKind::changes_distrusted, RecordKind::verification};
constexpr std::size_t kTimeBytes = 16;  // "20261123T020222Z"

bool is_record_id(RecordKind kind, std::string_view id) {
  if (kind == RecordKind::changes_distrusted) return is_backup_name(id);
  std::array<std::byte, 4> tail{};
  return id.size() == kTimeBytes + 1 + 2 * tail.size() && id[kTimeBytes] == '-' &&
         is_backup_name(std::string(id.substr(0, kTimeBytes + 1)) + "F") &&
         from_hex(id.substr(kTimeBytes + 1), tail);
}

}  // namespace

std::string_view to_string(RecordKind kind) {
  return kind == RecordKind::verification ? "verification" : "changes-distrusted";
}

std::string record_key(const ClusterLayout& layout, const RecordRef& record) {
  return format("{}/{}-{}", layout.records(), to_string(record.kind), record.id);
}

std::optional<RecordRef> parse_record_key(const ClusterLayout& layout, std::string_view key) {
  for (const RecordKind kind : kKinds) {
    const std::string prefix = record_key(layout, {kind, ""});
    if (!key.starts_with(prefix)) continue;
    const std::string_view id = key.substr(prefix.size());
    if (is_record_id(kind, id)) return RecordRef{kind, std::string(id)};
  }
  return std::nullopt;
}

Result<std::string> new_record_id(Clock& clock, Random& random) {
  std::array<std::byte, 4> tail{};
  HAUL_TRY(random.fill(tail));
  return format("{}-{}", to_compact_iso8601(clock.now_utc()), to_hex(tail));
}

Status add_record(const Cluster& cluster, const RecordRef& record, const Json& content) {
  const std::string key = record_key(cluster.layout, record);
  HAUL_TRY(cluster.store->put_if_absent(
      key, frame_object(ObjectKind::record, cluster.repository, key, bytes_of(content.dump()))));
  return cluster.store->make_durable(cluster.layout.records());
}

Result<std::vector<std::string>> list_records(const Cluster& cluster, RecordKind kind) {
  std::vector<std::string> ids;
  for (const io::ObjectInfo& object : HAUL_TRY(cluster.store->list(cluster.layout.records()))) {
    auto record = parse_record_key(cluster.layout, object.key);
    if (record && record->kind == kind) ids.push_back(std::move(record->id));
  }
  std::ranges::sort(ids);
  return ids;
}

Result<Json> read_record(const Cluster& cluster, const RecordRef& record) {
  return read_framed_json(cluster, ObjectKind::record, record_key(cluster.layout, record),
                          kRecordBytesMax);
}

}  // namespace haul::repository
