#include "engine/wal/push.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/wal/wal_fixture.h"

namespace haul::wal {
namespace {

using testing::ArchiveFixture;
using testing::code_of;
using ::testing::ElementsAre;
using testing::FakeSegment;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kOtherSystem;

using Side = PushEnvironment::Side;

class Push : public ::testing::Test {
 protected:
  std::optional<std::string> archived(const std::string& name) {
    const auto content = archive.archive().get(parse_wal_name(name).value());
    if (!content) return std::nullopt;
    return std::string(text_of(*content));
  }
  void make_ready(const std::string& name, const std::string& content) {
    archive.write("data/pg_wal/" + name, content);
    archive.write("data/pg_wal/archive_status/" + name + ".ready", "");
  }
  void make_ready(const FakeSegment& segment) { make_ready(segment.name(), segment.content()); }

  ArchiveFixture archive;
};

TEST_F(Push, SegmentIsArchivedAndDurable) {
  const FakeSegment segment;
  const auto report = archive.push(segment);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_THAT(report->stored, ElementsAre(segment.name()));
  EXPECT_THAT(report->were_there, IsEmpty());
  archive.disk.crash(1);
  archive.reopen();
  EXPECT_EQ(archived(segment.name()), segment.content());
}

TEST_F(Push, EveryKindIsArchived) {
  const FakeSegment segment;
  ASSERT_TRUE(archive.push(segment.name() + ".partial", segment.content()));
  EXPECT_FALSE(archived(segment.name()));
  ASSERT_TRUE(archive.push("00000002.history", testing::history_of_2("0/500028")));
  const std::string backup = segment.name() + ".00000028.backup";
  ASSERT_TRUE(archive.push(backup, "START WAL LOCATION: 0/1 (file " + segment.name() + ")\n"));
  for (const std::string& name :
       {segment.name() + ".partial", std::string("00000002.history"), backup}) {
    EXPECT_TRUE(archived(name)) << name;
  }
}

TEST_F(Push, AgainIsASuccessAndSaysSo) {
  ASSERT_TRUE(archive.push(FakeSegment{}));
  archive.reopen();
  const auto report = archive.push(FakeSegment{});
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_THAT(report->stored, IsEmpty());
  EXPECT_THAT(report->were_there, ElementsAre(FakeSegment().name()));
}

TEST_F(Push, ConflictIsTheRepositorysSide) {
  ASSERT_TRUE(archive.push(FakeSegment{.seed = 1}));
  EXPECT_EQ(code_of(archive.push(FakeSegment{.seed = 2})), ErrorCode::already_exists);
  EXPECT_EQ(archive.side, Side::repository);
}

TEST_F(Push, NameThatNoServerGivesIsUsage) {
  const auto report = archive.push("000000010000000000000005.x", FakeSegment().content());
  ASSERT_EQ(code_of(report), ErrorCode::usage);
  EXPECT_THAT(report.error().message(), HasSubstr("no WAL file has such a name"));
}

TEST_F(Push, MissingFileOrDirectoryIsNotFoundOnTheServersSide) {
  EXPECT_EQ(code_of(archive.push_path("/data/pg_wal/000000010000000000000009")),
            ErrorCode::not_found);
  EXPECT_EQ(archive.side, Side::server);
  EXPECT_EQ(code_of(archive.push_path("/nowhere/000000010000000000000009")), ErrorCode::not_found);
  EXPECT_EQ(archive.side, Side::server);
}

TEST_F(Push, DamagedFileIsCorruptOnTheServersSideAndNotArchived) {
  const FakeSegment segment;
  EXPECT_EQ(code_of(archive.push(segment.name(), FakeSegment{.number = 6}.content())),
            ErrorCode::corrupt);
  EXPECT_EQ(archive.side, Side::server);
  EXPECT_EQ(code_of(archive.push(segment.name(), segment.content().substr(8192))),
            ErrorCode::corrupt);
  EXPECT_EQ(code_of(archive.push("00000002.history", "nonsense\n")), ErrorCode::corrupt);
  EXPECT_FALSE(archived(segment.name()));
  EXPECT_FALSE(archived("00000002.history"));
}

TEST_F(Push, FileLargerThanAnyOfItsKindIsNotRead) {
  const auto report = archive.push("00000002.history", std::string((1U << 20) + 1, '#'));
  ASSERT_EQ(code_of(report), ErrorCode::corrupt);
  EXPECT_THAT(report.error().message(), HasSubstr("1048577 bytes, more than"));
}

TEST_F(Push, SegmentOfAnotherSystemThanTheDataDirectoryIsRefused) {
  const auto report = archive.push(FakeSegment{.system = kOtherSystem});
  ASSERT_EQ(code_of(report), ErrorCode::server_state);
  EXPECT_THAT(report.error().message(), HasSubstr("the data directory to"));
  EXPECT_EQ(archive.side, Side::server);
}

TEST_F(Push, SegmentOfAnotherSystemThanTheClusterIsRefused) {
  ASSERT_TRUE(archive.push(FakeSegment{}));
  archive.remove("data/global/pg_control");
  EXPECT_EQ(code_of(archive.push(FakeSegment{.number = 6, .system = kOtherSystem})),
            ErrorCode::server_state);
  EXPECT_EQ(archive.side, Side::repository);
}

TEST_F(Push, FromADirectoryOfItsOwnNeedsNoControlFile) {
  ASSERT_TRUE(archive.top()->make_directory("elsewhere", 0700));
  archive.write("elsewhere/" + FakeSegment().name(), FakeSegment().content());
  const auto report = archive.push_path("/elsewhere/" + FakeSegment().name());
  EXPECT_TRUE(report) << report.error().message();
}

TEST_F(Push, DamagedControlFileIsAnError) {
  archive.write("data/global/pg_control", "short");
  EXPECT_EQ(code_of(archive.push(FakeSegment{})), ErrorCode::corrupt);
}

TEST_F(Push, HistoryTakesTheSystemOfTheControlFileElseOfTheCluster) {
  const std::string history = testing::history_of_2("0/500028");
  ASSERT_TRUE(archive.push("00000002.history", history));
  archive.remove("data/global/pg_control");
  const auto report = archive.push("00000003.history", history);
  EXPECT_TRUE(report) << report.error().message();
  EXPECT_TRUE(archived("00000003.history"));
}

TEST_F(Push, HistoryThatNothingTellsTheSystemOfIsRefused) {
  archive.remove("data/global/pg_control");
  const auto report = archive.push("00000002.history", testing::history_of_2("0/500028"));
  ASSERT_EQ(code_of(report), ErrorCode::server_state);
  EXPECT_THAT(report.error().message(), HasSubstr("does not tell which system"));
}

TEST_F(Push, RequestToStopEndsItWithoutAcknowledgement) {
  archive.stop.request_stop();
  EXPECT_EQ(code_of(archive.push(FakeSegment{})), ErrorCode::interrupted);
}

TEST_F(Push, BatchTakesReadyFilesAlongInOrder) {
  make_ready(FakeSegment{.number = 5});
  make_ready(FakeSegment{.number = 8});
  make_ready(FakeSegment{.number = 6});
  make_ready("00000002.history", testing::history_of_2("0/500028"));
  archive.write("data/pg_wal/" + FakeSegment{.number = 7}.name(),
                FakeSegment{.number = 7}.content());
  const auto report = archive.push(FakeSegment().name(), FakeSegment().content(), 2);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_THAT(report->stored, ElementsAre(FakeSegment().name(), "00000002.history",
                                          FakeSegment{.number = 6}.name()));
  EXPECT_THAT(report->warnings, IsEmpty());
  archive.disk.crash(1);
  archive.reopen();
  EXPECT_TRUE(archived("00000002.history"));
  EXPECT_TRUE(archived(FakeSegment{.number = 6}.name()));
}

TEST_F(Push, BatchLeavesTheMarksToTheServer) {
  make_ready(FakeSegment{.number = 6});
  ASSERT_TRUE(archive.push(FakeSegment().name(), FakeSegment().content(), 5));
  EXPECT_THAT(support::names_in(*archive.top(), "data/pg_wal/archive_status").value(),
              ElementsAre(FakeSegment{.number = 6}.name() + ".ready"));
}

TEST_F(Push, BatchIgnoresOtherMarks) {
  archive.write("data/pg_wal/archive_status/" + FakeSegment{.number = 6}.name() + ".done", "");
  archive.write("data/pg_wal/archive_status/nonsense.ready", "");
  const auto report = archive.push(FakeSegment().name(), FakeSegment().content(), 5);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_THAT(report->stored, ElementsAre(FakeSegment().name()));
  EXPECT_THAT(report->warnings, IsEmpty());
}

TEST_F(Push, FailureOfAFileTakenAlongIsAWarning) {
  make_ready(FakeSegment{.number = 6, .system = kOtherSystem});
  make_ready(FakeSegment{.number = 7});
  const auto report = archive.push(FakeSegment().name(), FakeSegment().content(), 5);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_THAT(report->stored, ElementsAre(FakeSegment().name()));
  EXPECT_THAT(report->warnings, ElementsAre(HasSubstr("belongs to another system")));
}

TEST_F(Push, MissingStatusDirectoryIsAWarning) {
  ASSERT_TRUE(archive.top()->make_directory("elsewhere", 0700));
  archive.write("elsewhere/" + FakeSegment().name(), FakeSegment().content());
  const auto report = archive.push_path("/elsewhere/" + FakeSegment().name(), 1);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_THAT(report->warnings, ElementsAre(HasSubstr("taking further WAL along: ")));
}

TEST_F(Push, WithoutABatchNothingElseIsTaken) {
  make_ready(FakeSegment{.number = 6});
  const auto report = archive.push(FakeSegment{});
  EXPECT_THAT(report.value().stored, ElementsAre(FakeSegment().name()));
}

// Whatever operation fails, there is no acknowledgement without the segment, and nothing under its
// name that is not whole.
TEST_F(Push, FailureAtAnyOperationIsNoAcknowledgement) {
  const FakeSegment segment;
  std::uint64_t failures = 0;
  for (std::uint64_t step = 1;; ++step) {
    ArchiveFixture fixture;
    fixture.faults = io::parse_fault_plan("any:" + std::to_string(step) + ":eio").value();
    Result<PushReport> report = Error(ErrorCode::io, "not opened");
    if (fixture.try_reopen()) report = fixture.push(segment);
    const bool met = fixture.faults->calls("any") >= step;
    fixture.faults.reset();
    fixture.reopen();
    const auto content = fixture.archive().get(parse_wal_name(segment.name()).value());
    if (report) {
      ASSERT_TRUE(content) << step;
    }
    if (content) {
      EXPECT_EQ(text_of(*content), segment.content()) << step;
    }
    if (!met) break;
    failures += report ? 0U : 1U;
  }
  EXPECT_GT(failures, 10U);
}

}  // namespace
}  // namespace haul::wal
