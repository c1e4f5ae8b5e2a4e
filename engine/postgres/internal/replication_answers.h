// What a server answers in the replication protocol, and how it is read: strictly, as data from
// outside.
//
// Threads:  functions over values.
// Errors:   see engine/postgres/replication_stream.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/postgres/replication_stream.h"

namespace haul::postgres {

using ReplicationRow = std::vector<std::optional<std::string>>;

// Of IDENTIFY_SYSTEM and of SHOW wal_segment_size.
Result<ServerIdentity> parse_identity(const ReplicationRow& row);
Result<std::uint32_t> parse_segment_size(const ReplicationRow& row);
// Of READ_REPLICATION_SLOT: type, position, timeline; all NULL when there is no such slot.
Result<std::optional<SlotState>> parse_slot(const ReplicationRow& row);
// Of TIMELINE_HISTORY: name and content.
Result<std::vector<std::byte>> parse_history(TimelineId timeline, const ReplicationRow& row);
// At the end of a timeline: the next one, and where it begins.
Result<TimelineEnd> parse_timeline_end(const ReplicationRow& row);

// What a refusal means to the caller, by its SQLSTATE; an empty one is a lost connection.
ErrorCode code_of_refusal(std::string_view sqlstate);

}  // namespace haul::postgres
