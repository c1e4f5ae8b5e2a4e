#include "engine/postgres/internal/replication_answers.h"

#include <gtest/gtest.h>

#include "tests/support/file_content.h"

namespace haul::postgres {
namespace {

using support::code_of;

TEST(ReplicationAnswers, IdentityIsRead) {
  const ServerIdentity identity =
      parse_identity({"7434217340213459321", "3", "16/B374D848", std::nullopt}).value();
  EXPECT_EQ(identity.system_identifier, 7434217340213459321U);
  EXPECT_EQ(identity.timeline, TimelineId{3});
  EXPECT_EQ(to_string(identity.flushed), "16/B374D848");
}

TEST(ReplicationAnswers, AnIdentityThatMakesNoSenseIsRefused) {
  for (const ReplicationRow& row :
       {ReplicationRow{}, ReplicationRow{"7", "1"}, ReplicationRow{"0", "1", "0/8"},
        ReplicationRow{"7", "0", "0/8"}, ReplicationRow{"7", "-1", "0/8"},
        ReplicationRow{"7", "1", "8"}, ReplicationRow{std::nullopt, "1", "0/8"},
        ReplicationRow{"99999999999999999999", "1", "0/8"}}) {
    EXPECT_EQ(code_of(parse_identity(row)), ErrorCode::server_state);
  }
}

TEST(ReplicationAnswers, SegmentSizeIsRead) {
  EXPECT_EQ(parse_segment_size({"1MB"}).value(), 1U << 20);
  EXPECT_EQ(parse_segment_size({"16MB"}).value(), 16U << 20);
  EXPECT_EQ(parse_segment_size({"1GB"}).value(), 1U << 30);
}

TEST(ReplicationAnswers, ASegmentSizeThatCannotBeIsRefused) {
  for (const ReplicationRow& row :
       {ReplicationRow{}, ReplicationRow{std::nullopt}, ReplicationRow{""}, ReplicationRow{"16"},
        ReplicationRow{"MB"}, ReplicationRow{"0MB"}, ReplicationRow{"3MB"}, ReplicationRow{"2GB"},
        ReplicationRow{"65536GB"}, ReplicationRow{"16kB"}}) {
    EXPECT_EQ(code_of(parse_segment_size(row)), ErrorCode::server_state);
  }
}

TEST(ReplicationAnswers, SlotIsReadOrAbsent) {
  EXPECT_EQ(parse_slot({"physical", "0/5000028", "1"}).value()->restart, Lsn{0x5000028});
  EXPECT_EQ(parse_slot({"physical", std::nullopt, std::nullopt}).value()->restart, std::nullopt);
  EXPECT_FALSE(parse_slot({std::nullopt, std::nullopt, std::nullopt}).value());
}

TEST(ReplicationAnswers, ASlotThatIsNotPhysicalOrMakesNoSenseIsRefused) {
  for (const ReplicationRow& row :
       {ReplicationRow{}, ReplicationRow{"physical"}, ReplicationRow{"logical", "0/8", "1"},
        ReplicationRow{"other", "0/8", "1"}, ReplicationRow{"physical", "0/0", "1"},
        ReplicationRow{"physical", "x", "1"}}) {
    EXPECT_EQ(code_of(parse_slot(row)), ErrorCode::server_state);
  }
}

TEST(ReplicationAnswers, HistoryIsReadByItsName) {
  EXPECT_EQ(text_of(parse_history(TimelineId{2}, {"00000002.history", "1\t0/8\tx\n"}).value()),
            "1\t0/8\tx\n");
  for (const ReplicationRow& row :
       {ReplicationRow{}, ReplicationRow{"00000003.history", "x"},
        ReplicationRow{"00000002.history", ""}, ReplicationRow{"00000002.history", std::nullopt},
        ReplicationRow{"00000002.history", std::string((1U << 20) + 1, 'x')}}) {
    EXPECT_EQ(code_of(parse_history(TimelineId{2}, row)), ErrorCode::server_state);
  }
}

TEST(ReplicationAnswers, EndOfATimelineIsRead) {
  const TimelineEnd end = parse_timeline_end({"2", "0/5000028"}).value();
  EXPECT_EQ(end.next, TimelineId{2});
  EXPECT_EQ(end.switch_point, Lsn{0x5000028});
  for (const ReplicationRow& row :
       {ReplicationRow{}, ReplicationRow{"2"}, ReplicationRow{"0", "0/8"},
        ReplicationRow{"2", "0/0"}, ReplicationRow{std::nullopt, "0/8"}}) {
    EXPECT_EQ(code_of(parse_timeline_end(row)), ErrorCode::server_state);
  }
}

TEST(ReplicationAnswers, RefusalsAreToldApart) {
  EXPECT_EQ(code_of_refusal(""), ErrorCode::io);
  EXPECT_EQ(code_of_refusal("57P01"), ErrorCode::io);
  EXPECT_EQ(code_of_refusal("57P02"), ErrorCode::io);
  EXPECT_EQ(code_of_refusal("57P03"), ErrorCode::io);
  EXPECT_EQ(code_of_refusal("53300"), ErrorCode::io);
  EXPECT_EQ(code_of_refusal("55006"), ErrorCode::busy);
  EXPECT_EQ(code_of_refusal("58P01"), ErrorCode::not_found);
  EXPECT_EQ(code_of_refusal("42501"), ErrorCode::permission);
  EXPECT_EQ(code_of_refusal("42704"), ErrorCode::server_state);
}

TEST(SlotName, IsAsTheServerHasIt) {
  EXPECT_TRUE(check_slot_name("pghaul_2"));
  EXPECT_TRUE(check_slot_name(std::string(63, 'a')));
  for (const std::string& name : {std::string(), std::string(64, 'a'), std::string("A"),
                                  std::string("a-b"), std::string("a\""), std::string("a b")}) {
    EXPECT_EQ(code_of(check_slot_name(name)), ErrorCode::usage) << name;
  }
}

TEST(ReplicationStream, AServerThatIsNotThereIsWorthAnotherTry) {
  ConnectionOptions options;
  options.host = "/nonexistent/directory";
  EXPECT_EQ(code_of(open_replication_stream(options, {})), ErrorCode::io);
}

TEST(ReplicationStream, APasswordInTheConnectionStringIsUsage) {
  ConnectionOptions options;
  options.conninfo = "host=/x password=hunter2";
  EXPECT_EQ(code_of(open_replication_stream(options, {})), ErrorCode::usage);
}

}  // namespace
}  // namespace haul::postgres
