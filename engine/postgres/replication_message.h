// The messages of a server that streams its WAL, and of the receiver that answers.
//
// Units:    positions are bytes in the WAL stream.
// Memory:   a message borrows the bytes that it was read from.
// Threads:  functions over values.
// Errors:   corrupt (no message of the protocol).
// Format:   PostgreSQL's documentation, "Streaming Replication Protocol"; big endian.
#pragma once

#include <array>
#include <variant>

#include "base/clock.h"
#include "base/result.h"
#include "base/types.h"

namespace haul::postgres {

struct WalData {
  Lsn start;
  ByteSpan bytes;

  Lsn end() const { return {start.value + bytes.size()}; }
};

struct Keepalive {
  Lsn server_end;
  enum class Reply { whenever, at_once } reply = Reply::whenever;
};

using ReplicationMessage = std::variant<WalData, Keepalive>;

Result<ReplicationMessage> parse_replication_message(ByteSpan message);

inline constexpr std::size_t kStandbyStatusBytes = 34;

// Says that everything before `durable` is written and flushed. Nothing is ever said to be applied.
struct StandbyStatus {
  Lsn durable;
  UtcTime time;
  enum class Answer { none, wanted } answer = Answer::none;
};
std::array<std::byte, kStandbyStatusBytes> encode_standby_status(const StandbyStatus& status);

}  // namespace haul::postgres
