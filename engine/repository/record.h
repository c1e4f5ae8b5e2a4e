// What became known about a cluster after its backups were committed: verifications, and that
// changes from WAL were found wanting. Records are added and never changed.
//
// A record's name begins with the time or the backup it is of, so that names of one kind ascend.
//
// Memory:   a record is held whole, at most kRecordBytesMax.
// Threads:  functions from any thread.
// Errors:   io, permission, no_space; already_exists; corrupt.
// Format:   docs/format.md, "Records".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "engine/repository/cluster.h"

namespace haul::repository {

inline constexpr std::uint64_t kRecordBytesMax = 64ULL << 20;

enum class RecordKind : std::uint8_t {
  changes_distrusted,  // its id is the backup whose audit found it
  verification,        // its id is a time and 8 random digits
};

std::string_view to_string(RecordKind kind);

struct RecordRef {
  RecordKind kind = RecordKind::verification;
  std::string id;

  auto operator<=>(const RecordRef&) const = default;
};

std::string record_key(const ClusterLayout& layout, const RecordRef& record);
// Nothing when no record bears such a key.
std::optional<RecordRef> parse_record_key(const ClusterLayout& layout, std::string_view key);

// "20261123T020222Z-0f3a9c51"
Result<std::string> new_record_id(Clock& clock, Random& random);

// Durable when it returns.
Status add_record(const Cluster& cluster, const RecordRef& record, const Json& content);
// The ids of one kind, oldest first.
Result<std::vector<std::string>> list_records(const Cluster& cluster, RecordKind kind);
Result<Json> read_record(const Cluster& cluster, const RecordRef& record);

}  // namespace haul::repository
