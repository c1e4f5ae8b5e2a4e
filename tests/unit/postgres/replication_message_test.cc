#include "engine/postgres/replication_message.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/support/file_content.h"

namespace haul::postgres {
namespace {

std::string big_endian(std::uint64_t value) {
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

std::string wal_data(std::uint64_t start, const std::string& bytes) {
  return "w" + big_endian(start) + big_endian(start + 1000) + big_endian(7) + bytes;
}

std::string keepalive(std::uint64_t end, char reply) {
  return "k" + big_endian(end) + big_endian(7) + reply;
}

TEST(ReplicationMessage, WalDataHasItsPlaceAndItsBytes) {
  const std::string message = wal_data(0x16B374D848, "bytes");
  const auto parsed = parse_replication_message(bytes_of(message)).value();
  const auto& data = std::get<WalData>(parsed);
  EXPECT_EQ(to_string(data.start), "16/B374D848");
  EXPECT_EQ(data.end().value, 0x16B374D848 + 5);
  EXPECT_EQ(text_of(data.bytes), "bytes");
}

TEST(ReplicationMessage, WalDataMayBeEmpty) {
  const std::string message = wal_data(8, "");
  EXPECT_TRUE(
      std::get<WalData>(parse_replication_message(bytes_of(message)).value()).bytes.empty());
}

TEST(ReplicationMessage, KeepaliveSaysWhetherItWantsAReply) {
  for (const char reply : {'\0', '\1'}) {
    const std::string message = keepalive(0x5000028, reply);
    const auto parsed = parse_replication_message(bytes_of(message)).value();
    const auto& known = std::get<Keepalive>(parsed);
    EXPECT_EQ(known.server_end, Lsn{0x5000028});
    EXPECT_EQ(known.reply == Keepalive::Reply::at_once, reply == '\1');
  }
}

TEST(ReplicationMessage, AnyOtherLengthIsCorrupt) {
  const std::string data = wal_data(8, "");
  for (std::size_t size = 0; size < data.size(); ++size) {
    EXPECT_EQ(support::code_of(parse_replication_message(bytes_of(data).first(size))),
              ErrorCode::corrupt)
        << size;
  }
  const std::string alive = keepalive(8, '\0') + "x";
  for (std::size_t size = 0; size <= alive.size(); ++size) {
    if (size + 1 == alive.size()) continue;
    EXPECT_EQ(support::code_of(parse_replication_message(bytes_of(alive).first(size))),
              ErrorCode::corrupt)
        << size;
  }
}

TEST(ReplicationMessage, AnUnknownKindIsCorrupt) {
  for (const char kind : {'W', 'r', 's', '\0'}) {
    std::string message = wal_data(8, "bytes");
    message[0] = kind;
    EXPECT_EQ(support::code_of(parse_replication_message(bytes_of(message))), ErrorCode::corrupt);
  }
}

TEST(ReplicationMessage, WalAtNoPositionOrPastTheLastIsCorrupt) {
  EXPECT_EQ(support::code_of(parse_replication_message(bytes_of(wal_data(0, "bytes")))),
            ErrorCode::corrupt);
  EXPECT_EQ(
      support::code_of(parse_replication_message(bytes_of(wal_data(UINT64_MAX - 3, "bytes")))),
      ErrorCode::corrupt);
}

TEST(StandbyStatus, IsEncodedAsTheProtocolHasIt) {
  // A second after PostgreSQL's time begins.
  const StandbyStatus status{Lsn{0x16B374D848}, UtcTime{946'684'801'000'000},
                             StandbyStatus::Answer::wanted};
  const std::string expected = "r" + big_endian(0x16B374D848) + big_endian(0x16B374D848) +
                               big_endian(0) + big_endian(1'000'000) + "\1";
  EXPECT_EQ(text_of(encode_standby_status(status)), expected);
  EXPECT_EQ(encode_standby_status({Lsn{8}, {}, StandbyStatus::Answer::none}).back(), std::byte{0});
}

}  // namespace
}  // namespace haul::postgres
