#include "engine/wal/get.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/wal/wal_fixture.h"

namespace haul::wal {
namespace {

using testing::ArchiveFixture;
using testing::code_of;
using testing::FakeSegment;
using ::testing::HasSubstr;
using testing::kSystem;

class Get : public ::testing::Test {
 protected:
  Get() { HAUL_ASSERT(archive.push(FakeSegment{}).has_value()); }

  std::string key() const {
    return WalLayout(archive.cluster().layout, kSystem)
        .key(parse_wal_name(FakeSegment().name()).value());
  }

  ArchiveFixture archive;
};

TEST_F(Get, FileIsDelivered) {
  EXPECT_EQ(archive.get(FakeSegment().name()).value(), Delivery::delivered);
  EXPECT_EQ(archive.delivered(), FakeSegment().content());
  EXPECT_EQ(archive.top()->info("data/pg_wal/RECOVERYXLOG")->mode, 0600U);
}

TEST_F(Get, WhatHadTheNameIsReplaced) {
  archive.write("data/pg_wal/RECOVERYXLOG", "what an earlier attempt left");
  ASSERT_TRUE(archive.get(FakeSegment().name()));
  EXPECT_EQ(archive.delivered(), FakeSegment().content());
}

TEST_F(Get, AbsentFileIsAbsent) {
  for (const std::string& name : {FakeSegment{.number = 6}.name(), std::string("00000002.history"),
                                  FakeSegment{.timeline = 2}.name()}) {
    EXPECT_EQ(archive.get(name).value(), Delivery::absent) << name;
    EXPECT_EQ(archive.delivered(), std::nullopt);
  }
}

// Asked for by a server that leaves timeline 1 when its recovery ends.
TEST_F(Get, HistoryOfTheFirstTimelineIsAbsent) {
  EXPECT_EQ(archive.get("00000001.history").value(), Delivery::absent);
  archive.remove("repo/config");
  EXPECT_TRUE(code_of(archive.get("00000001.history")));
}

TEST_F(Get, PartialSegmentDoesNotSatisfyAWholeOne) {
  const FakeSegment last{.number = 7};
  ASSERT_TRUE(archive.push(last.name() + ".partial", last.content()));
  EXPECT_EQ(archive.get(last.name()).value(), Delivery::absent);
  EXPECT_EQ(archive.get(last.name() + ".partial").value(), Delivery::delivered);
}

TEST_F(Get, OtherNamesAreUsage) {
  for (const char* name : {"", "RECOVERYXLOG", "../config", "000000010000000000000005.x"}) {
    EXPECT_EQ(code_of(archive.get(name)), ErrorCode::usage) << name;
  }
}

TEST_F(Get, DamagedFileIsAnErrorAndNothingIsLeft) {
  std::string object = archive.object(key());
  object.back() = static_cast<char>(object.back() ^ 1);
  archive.overwrite(key(), object);
  EXPECT_EQ(code_of(archive.get(FakeSegment().name())), ErrorCode::corrupt);
  archive.overwrite(key(), object.substr(0, 5000));
  EXPECT_EQ(code_of(archive.get(FakeSegment().name())), ErrorCode::corrupt);
  EXPECT_EQ(archive.delivered(), std::nullopt);
}

// Unmounted, with another repository or nothing in its place.
TEST_F(Get, MissInARepositoryThatIsGoneIsAnError) {
  ASSERT_TRUE(archive.top()->remove_file("repo/config"));
  const auto delivery = archive.get(FakeSegment{.number = 6}.name());
  ASSERT_EQ(code_of(delivery), ErrorCode::io);
  EXPECT_THAT(delivery.error().message(), HasSubstr("/repo is gone"));
}

TEST_F(Get, MissInAnotherRepositoryIsAnError) {
  ArchiveFixture other;
  std::string config = other.object("config");
  config[16] = static_cast<char>(config[16] ^ 1);
  archive.overwrite("config", config);
  EXPECT_EQ(code_of(archive.get(FakeSegment{.number = 6}.name())), ErrorCode::io);
}

TEST_F(Get, ClusterThatIsNotKnownIsAnErrorAndNotAbsence) {
  GetEnvironment environment;
  const repository::Cluster mistyped = archive.cluster("mian");
  environment.repository = &archive.repository();
  environment.cluster = &mistyped;
  environment.open_directory = archive.opener();
  environment.clock = &archive.clock;
  const auto delivery =
      get_wal({FakeSegment().name(), "/data/pg_wal/RECOVERYXLOG", ""}, environment);
  ASSERT_EQ(code_of(delivery), ErrorCode::server_state);
  EXPECT_THAT(delivery.error().message(), HasSubstr("cluster mian has neither WAL nor backups"));
}

TEST_F(Get, DataDirectoryOfAnotherSystemIsAnError) {
  archive.write("data/global/pg_control", support::fake_control_file(kSystem + 9));
  const auto delivery = archive.get(FakeSegment().name());
  ASSERT_EQ(code_of(delivery), ErrorCode::server_state);
  EXPECT_THAT(delivery.error().message(), HasSubstr("this data directory to"));
}

TEST_F(Get, WithoutAControlFileTheClustersSystemCounts) {
  archive.remove("data/global/pg_control");
  EXPECT_EQ(archive.get(FakeSegment().name()).value(), Delivery::delivered);
}

TEST_F(Get, RequestToStopDeliversNothing) {
  archive.stop.request_stop();
  EXPECT_EQ(code_of(archive.get(FakeSegment().name())), ErrorCode::interrupted);
  EXPECT_EQ(archive.delivered(), std::nullopt);
}

// Whatever fails, the target holds the whole file or nothing, and no failure passes for absence.
TEST_F(Get, FailureAtAnyOperationIsAnError) {
  const std::string absent = FakeSegment{.number = 6}.name();
  for (const std::string& name : {FakeSegment().name(), absent}) {
    std::uint64_t failures = 0;
    for (std::uint64_t step = 1;; ++step) {
      static_cast<void>(archive.top()->remove_file("data/pg_wal/RECOVERYXLOG"));
      archive.faults = io::parse_fault_plan("any:" + std::to_string(step) + ":eio").value();
      Result<Delivery> delivery = Error(ErrorCode::io, "not opened");
      if (archive.try_reopen()) delivery = archive.get(name);
      const bool met = archive.faults->calls("any") >= step;
      archive.faults.reset();
      if (met && delivery) {
        // Closing what was read matters to nobody.
        EXPECT_EQ(*delivery, name == absent ? Delivery::absent : Delivery::delivered) << step;
      }
      if (const auto content = archive.delivered()) {
        EXPECT_EQ(*content, FakeSegment().content()) << step;
      }
      if (!met) break;
      failures += delivery ? 0U : 1U;
    }
    EXPECT_GT(failures, 5U) << name;
  }
}

}  // namespace
}  // namespace haul::wal
