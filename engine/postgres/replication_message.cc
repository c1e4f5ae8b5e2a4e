#include "engine/postgres/replication_message.h"

#include "base/format.h"

namespace haul::postgres {
namespace {

constexpr std::byte kWalDataKind{'w'};
constexpr std::byte kKeepaliveKind{'k'};
constexpr std::byte kStandbyStatusKind{'r'};
// Kind, start and end of the server's WAL, its time.
constexpr std::size_t kWalDataHeaderBytes = 1 + 3 * 8;
// Kind, end of the server's WAL, its time, whether it wants a reply.
constexpr std::size_t kKeepaliveBytes = 1 + 2 * 8 + 1;
// From 1970 to 2000, where PostgreSQL's time begins.
constexpr std::int64_t kPostgresEpochUs = std::int64_t{946'684'800} * 1'000'000;

std::uint64_t load_big_endian(ByteSpan bytes, std::size_t offset) {
  std::uint64_t value = 0;
  for (const std::byte byte : bytes.subspan(offset, 8)) {
    value = value << 8 | std::to_integer<std::uint64_t>(byte);
  }
  return value;
}

void store_big_endian(std::uint64_t value, MutableByteSpan into) {
  for (std::size_t i = 8; i > 0; --i, value >>= 8) into[i - 1] = static_cast<std::byte>(value);
}

Error no_message(std::string_view what) {
  return {ErrorCode::corrupt, format("replication message: {}", what)};
}

Result<ReplicationMessage> parse_wal_data(ByteSpan message) {
  if (message.size() < kWalDataHeaderBytes) return no_message("WAL without a whole header");
  const WalData data{{load_big_endian(message, 1)}, message.subspan(kWalDataHeaderBytes)};
  if (!data.start.valid() || data.end() < data.start) return no_message("WAL of no position");
  return data;
}

Result<ReplicationMessage> parse_keepalive(ByteSpan message) {
  if (message.size() != kKeepaliveBytes) {
    return no_message(format("keepalive of {} bytes", message.size()));
  }
  const bool at_once = message.back() != std::byte{0};
  return Keepalive{{load_big_endian(message, 1)},
                   at_once ? Keepalive::Reply::at_once : Keepalive::Reply::whenever};
}

}  // namespace

Result<ReplicationMessage> parse_replication_message(ByteSpan message) {
  if (message.empty()) return no_message("empty");
  if (message[0] == kWalDataKind) return parse_wal_data(message);
  if (message[0] == kKeepaliveKind) return parse_keepalive(message);
  return no_message(format("unknown kind {}", std::to_integer<unsigned>(message[0])));
}

std::array<std::byte, kStandbyStatusBytes> encode_standby_status(const StandbyStatus& status) {
  std::array<std::byte, kStandbyStatusBytes> bytes{};
  bytes[0] = kStandbyStatusKind;
  const MutableByteSpan fields = MutableByteSpan(bytes).subspan(1);
  // Bytes that are in memory alone are not reported as written either: whoever waits for
  // remote_write must not be told of what a kill of this process loses.
  store_big_endian(status.durable.value, fields.subspan(0, 8));
  store_big_endian(status.durable.value, fields.subspan(8, 8));
  store_big_endian(0, fields.subspan(16, 8));
  store_big_endian(static_cast<std::uint64_t>(status.time.microseconds - kPostgresEpochUs),
                   fields.subspan(24, 8));
  bytes[33] = std::byte{status.answer == StandbyStatus::Answer::wanted};
  return bytes;
}

}  // namespace haul::postgres
