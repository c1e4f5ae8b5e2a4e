// Choosing backup and timelines, and the proof that a target is reached, over an archive in memory.

#include "engine/restore/recovery_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/restore/replayed_tablespaces.h"
#include "tests/unit/restore/recovery_fixture.h"

namespace haul::restore {
namespace {

using testing::HasSubstr;
using Kind = RecoveryTarget::Kind;

constexpr std::string_view kFirst = "20261124T100000Z-F";
constexpr std::string_view kSecond = "20261124T110000Z-F";

// Timeline 1: segments 3 to 8. A backup in segment 3 and one in 6; transaction n at second n.
class RecoveryPlanTest : public testing::Test {
 protected:
  void SetUp() override {
    begin_backup(first_);
    commit(700, 0);
    end_backup(first_, 1);
    commit(702, 2);
    script_.restore_point("deed", at(3));
    script_.fill_segments(3);
    begin_backup(second_);
    commit(704, 4);
    end_backup(second_, 5);
    commit(706, 6);
    script_.fill_segments(2);
    commit(708, 8);
    script_.fill_segments(1);
    target_.kind = Kind::latest;
  }

  void begin_backup(BackupSpan& span) {
    script_.filler();
    span.start = script_.position();
    script_.filler();
  }
  void end_backup(BackupSpan& span, std::int64_t second) {
    script_.filler();
    span.stop = script_.position();
    span.stop_time = at(second);
  }
  Lsn commit(std::uint32_t xid, std::int64_t second) {
    return commits_[xid] = script_.commit(xid, at(second));
  }

  void store(std::string_view name, const BackupSpan& span) {
    BackupBuilder builder(repository_, name);
    builder.data_directory();
    online_between(builder, span).commit();
  }
  void store_both() {
    store(kFirst, first_);
    store(kSecond, second_);
  }

  Result<ChosenBackup> choose() {
    const auto cluster = repository_.cluster();
    repository::Findings findings;
    const auto index = repository::Index::open(cluster, findings).value();
    repository::ChunkReader chunks(cluster, *index, findings);
    RecoveryRequest request;
    request.cluster = &cluster;
    request.chunks = &chunks;
    request.backup = backup_;
    request.target = target_;
    request.access = {"/usr/bin/pghaul", "/repo", "00ff", "main"};
    request.workers = 2;
    return choose_backup(request);
  }
  // The backup and where replay ends: "first before 0/300208".
  std::string chosen() {
    const auto result = choose();
    if (!result) return result.error().message();
    if (!result->recovery) return result->plan.backup + " as it is";
    const Survey& survey = result->recovery->survey;
    const std::string_view name = result->plan.backup == kFirst ? "first" : "second";
    if (!survey.stop) return format("{} to {}", name, to_string(survey.end));
    return format("{} {}", name, describe(*survey.stop, target_));
  }
  // Code, message and hint of the refusal.
  std::string refused() {
    const auto result = choose();
    if (result) return "chosen: " + result->plan.backup;
    EXPECT_EQ(result.error().code(), ErrorCode::not_found);
    return result.error().message() + "|" + result.error().hint();
  }

  void to_time(std::int64_t second, std::int64_t microsecond = 0) {
    target_.kind = Kind::time;
    target_.time = at(second, microsecond);
  }
  void to_xid(std::uint32_t xid) {
    target_.kind = Kind::xid;
    target_.xid = xid;
  }
  void to_lsn(Lsn lsn) {
    target_.kind = Kind::lsn;
    target_.lsn = lsn;
  }
  void to_name(std::string_view name) {
    target_.kind = Kind::name;
    target_.name = name;
  }

  TestRepository repository_;
  WalScript script_;
  BackupSpan first_;
  BackupSpan second_;
  std::map<std::uint32_t, Lsn> commits_;
  std::string backup_ = "latest";
  RecoveryTarget target_;
};

TEST_F(RecoveryPlanTest, EndOfTheArchiveIsReachedFromTheNewestBackup) {
  store_both();
  archive(repository_, script_);
  EXPECT_EQ(chosen(), format("second to {}", to_string(script_.position())));
  target_.kind = Kind::unspecified;
  EXPECT_EQ(chosen(), format("second to {}", to_string(script_.position())));
  const auto plan = choose()->recovery;
  EXPECT_EQ(plan->first_segment, "000000010000000000000006");
  EXPECT_EQ(plan->last_segment, "000000010000000000000009");
  EXPECT_EQ(plan->signal_file, "recovery.signal");
  EXPECT_THAT(plan->settings, testing::Contains(Setting{"recovery_target_timeline", "1"}));
}

TEST_F(RecoveryPlanTest, NewestBackupBeforeTheTimeIsTaken) {
  store_both();
  archive(repository_, script_);
  to_time(7);
  EXPECT_EQ(chosen(), format("second before commit of transaction 708 at {} ({})",
                             to_target_time(at(8)), to_string(commits_[708])));
  to_time(5, -1);
  EXPECT_EQ(chosen(), format("first before commit of transaction 706 at {} ({})",
                             to_target_time(at(6)), to_string(commits_[706])));
  to_time(5);
  EXPECT_THAT(chosen(), HasSubstr("second before commit of transaction 706"));
  to_time(2);
  EXPECT_THAT(chosen(), HasSubstr("first before commit of transaction 704"));
}

TEST_F(RecoveryPlanTest, TimeOutsideIsRefusedWithTheFarthestPoint) {
  store_both();
  archive(repository_, script_);
  to_time(8);
  EXPECT_EQ(refused(),
            format("time {} cannot be reached: the WAL ends at {} on timeline 1, the last "
                   "transaction in it at {}|the first segment that is missing is "
                   "00000001000000000000000A",
                   to_target_time(at(8)), to_string(script_.position()), to_target_time(at(8))));
  to_time(0);
  EXPECT_THAT(refused(), HasSubstr(format("lies before the end of backup {}, at {}", kFirst,
                                          to_string(first_.stop))));
}

TEST_F(RecoveryPlanTest, ClockThatWentBackMakesAnOlderBackupTheChoice) {
  // By its own clock the second backup ends before the target, but a transaction within it was
  // dated later.
  second_.stop_time = at(3);
  store_both();
  archive(repository_, script_);
  to_time(3);
  EXPECT_THAT(chosen(), HasSubstr("first before commit of transaction 704"));
  backup_ = kSecond;
  EXPECT_THAT(refused(), HasSubstr(format("lies before the end of backup {}", kSecond)));
}

TEST_F(RecoveryPlanTest, PositionChoosesTheBackupThatEndsBeforeIt) {
  store_both();
  archive(repository_, script_);
  to_lsn(second_.stop);
  EXPECT_EQ(chosen(), format("second after {}", to_string(commits_[706])));
  to_lsn(Lsn{second_.stop.value - 8});
  EXPECT_THAT(chosen(), HasSubstr("first after "));
  to_lsn(Lsn{first_.stop.value - 8});
  EXPECT_THAT(refused(), HasSubstr("lies before the end of backup"));
  to_lsn(script_.position());
  EXPECT_THAT(refused(), HasSubstr("cannot be reached: the WAL ends at"));
}

TEST_F(RecoveryPlanTest, TransactionsAndNamesAreLookedForFromBackupToBackup) {
  store_both();
  archive(repository_, script_);
  to_xid(708);
  EXPECT_THAT(chosen(), HasSubstr("second after commit of transaction 708"));
  to_xid(702);
  EXPECT_THAT(chosen(), HasSubstr("first after commit of transaction 702"));
  // It ended while the second backup was taken.
  to_xid(704);
  EXPECT_THAT(chosen(), HasSubstr("first after commit of transaction 704"));
  to_name("deed");
  EXPECT_EQ(chosen(), format("first at restore point \"deed\", {} ({})", to_target_time(at(3)),
                             to_string(choose()->recovery->survey.stop->lsn)));
  to_xid(700);
  EXPECT_THAT(refused(), HasSubstr(format("lies before the end of backup {}", kFirst)));
  to_xid(999);
  EXPECT_THAT(refused(), HasSubstr("transaction 999 cannot be reached: the WAL ends at"));
  to_name("other");
  EXPECT_THAT(refused(), HasSubstr("restore point \"other\" cannot be reached"));
}

TEST_F(RecoveryPlanTest, ImmediateIsTheEndOfTheBackup) {
  store_both();
  archive(repository_, script_);
  target_.kind = Kind::immediate;
  const auto plan = choose()->recovery;
  ASSERT_TRUE(plan->survey.stop);
  EXPECT_EQ(plan->survey.end, second_.stop);
  EXPECT_EQ(plan->survey.last_transaction->xid, 704U);
}

TEST_F(RecoveryPlanTest, NamedBackupIsTheOnlyOne) {
  store_both();
  archive(repository_, script_);
  backup_ = kFirst;
  EXPECT_EQ(chosen(), format("first to {}", to_string(script_.position())));
  backup_ = kSecond;
  to_xid(702);
  EXPECT_THAT(refused(), HasSubstr("transaction 702 cannot be reached"));
  backup_ = "20261124T120000Z-F";
  EXPECT_THAT(refused(), HasSubstr("no backup 20261124T120000Z-F"));
}

TEST_F(RecoveryPlanTest, MissingSegmentBeforeTheTargetIsNamed) {
  store_both();
  archive(repository_, script_, {8});
  to_xid(708);
  EXPECT_THAT(refused(),
              HasSubstr("|the first segment that is missing is 000000010000000000000008; "
                        "000000010000000000000009 is archived again"));
  to_xid(706);
  EXPECT_THAT(chosen(), HasSubstr("second after commit of transaction 706"));
}

TEST_F(RecoveryPlanTest, EndOfAnArchiveWithAGapIsRefused) {
  store_both();
  archive(repository_, script_, {8});
  EXPECT_THAT(refused(),
              HasSubstr("the end of the archive on timeline 1 cannot be reached: the WAL "
                        "ends at"));
  target_.role = RecoveryTarget::Role::standby;
  EXPECT_THAT(chosen(), HasSubstr("second to "));
}

TEST_F(RecoveryPlanTest, BackupWithoutItsOwnWalIsRefused) {
  store_both();
  archive(repository_, script_, {6, 7, 8, 9});
  EXPECT_THAT(refused(),
              HasSubstr(format("backup {} cannot be recovered: its WAL from {} on is not "
                               "there|the first segment that is missing is "
                               "000000010000000000000006",
                               kSecond, to_string(second_.start))));
  // A target between the two is reached from the older one.
  to_xid(702);
  EXPECT_THAT(chosen(), HasSubstr("first after commit of transaction 702"));
}

TEST_F(RecoveryPlanTest, WalOfTheBackupServesUpToItsEnd) {
  archive(repository_, script_, {3, 4, 5, 6, 7, 8, 9});
  BackupBuilder builder(repository_, kFirst);
  builder.data_directory();
  online_between(builder, first_);
  builder.facts.wal_included = true;
  std::string content = script_.segments().at(3);
  const std::size_t end = first_.stop.value % kSegmentBytes;
  content.replace(end, content.size() - end, std::string(content.size() - end, '\0'));
  builder.file("pg_wal/000000010000000000000003", content).commit();
  target_.kind = Kind::unspecified;
  EXPECT_EQ(chosen(), format("{} as it is", kFirst));
  target_.kind = Kind::immediate;
  EXPECT_THAT(chosen(), HasSubstr("first after "));
  to_xid(702);
  EXPECT_THAT(refused(), HasSubstr("has no WAL in"));
  archive(repository_, script_, {3});
  EXPECT_THAT(refused(), HasSubstr("the first segment that is missing is "
                                   "000000010000000000000003; 000000010000000000000004"));
  // The archived one comes first.
  archive(repository_, script_);
  EXPECT_THAT(chosen(), HasSubstr("first after commit of transaction 702"));
}

TEST_F(RecoveryPlanTest, WithoutAnArchiveABackupIsRestoredAsItIs) {
  store_both();
  target_.kind = Kind::unspecified;
  EXPECT_EQ(chosen(), format("{} as it is", kSecond));
  target_.archiving = RecoveryTarget::Archiving::take_over;
  EXPECT_EQ(chosen(), format("{} as it is", kSecond));
  for (const Kind kind : {Kind::latest, Kind::time, Kind::lsn, Kind::xid, Kind::name}) {
    target_.kind = kind;
    EXPECT_THAT(refused(), HasSubstr("cluster main has no WAL in")) << static_cast<int>(kind);
  }
}

TEST_F(RecoveryPlanTest, ThereHasToBeABackup) {
  EXPECT_THAT(refused(), HasSubstr("no backup of cluster main"));
}

// Timeline 2 leaves 1 in segment 9, where transaction 708 was the last one.
class TimelinesTest : public RecoveryPlanTest {
 protected:
  void SetUp() override {
    RecoveryPlanTest::SetUp();
    fork_ = script_.position();
    script_at_fork_ = script_;
    second_timeline_ = script_.branch(TimelineId{2});
    second_timeline_.end_of_recovery(TimelineId{2}, TimelineId{1});
    second_timeline_.commit(709, at(20));
    second_timeline_.fill_segments(1);
    // The first one goes on as well.
    script_.commit(709, at(10));
    script_.fill_segments(2);
    store_both();
    archive(repository_, script_);
  }
  void archive_second(const std::vector<std::uint64_t>& without = {}) {
    std::vector<std::uint64_t> left_out = {3, 4, 5, 6, 7, 8};
    left_out.insert(left_out.end(), without.begin(), without.end());
    archive(repository_, second_timeline_, left_out);
    archive_history(repository_, TimelineId{2},
                    format("1\t{}\tbefore the deed\n", to_string(fork_)));
  }
  void on_timeline(std::uint32_t number) {
    target_.timeline = RecoveryTarget::Timeline::number;
    target_.timeline_number = TimelineId{number};
  }

  Lsn fork_;
  WalScript script_at_fork_;
  WalScript second_timeline_;
};

TEST_F(TimelinesTest, LatestIsTheNewestTheBackupLiesOn) {
  archive_second();
  EXPECT_EQ(chosen(), format("second to {}", to_string(second_timeline_.position())));
  const auto plan = choose()->recovery;
  EXPECT_THAT(plan->settings, testing::Contains(Setting{"recovery_target_timeline", "2"}));
  EXPECT_EQ(plan->last_segment, "00000002000000000000000A");
  EXPECT_EQ(plan->survey.timeline, TimelineId{2});
  to_time(9);
  EXPECT_THAT(chosen(), HasSubstr(to_target_time(at(20))));
}

TEST_F(TimelinesTest, CurrentAndNumberStayOnTheOldOne) {
  archive_second();
  target_.timeline = RecoveryTarget::Timeline::current;
  EXPECT_EQ(chosen(), format("second to {}", to_string(script_.position())));
  on_timeline(1);
  to_time(9);
  EXPECT_THAT(chosen(), HasSubstr(to_target_time(at(10))));
  on_timeline(2);
  EXPECT_THAT(chosen(), HasSubstr(to_target_time(at(20))));
}

TEST_F(TimelinesTest, UnknownTimelineIsRefused) {
  archive_second();
  on_timeline(3);
  EXPECT_THAT(refused(), HasSubstr("timeline 3 cannot be reached from backup"));
}

TEST_F(TimelinesTest, TimelineThatLeftBeforeTheBackupEndedIsNotItsOwn) {
  archive_second();
  archive_history(repository_, TimelineId{3},
                  format("1\t{}\tbefore\n", to_string(Lsn{second_.stop.value - 8})));
  target_.kind = Kind::immediate;
  EXPECT_THAT(chosen(), HasSubstr("first after "));
  on_timeline(2);
  EXPECT_THAT(chosen(), HasSubstr("second after "));
  on_timeline(3);
  backup_ = kSecond;
  EXPECT_THAT(refused(), HasSubstr("timeline 3 cannot be reached from backup"));
  target_.timeline = RecoveryTarget::Timeline::latest;
  EXPECT_THAT(chosen(), HasSubstr("second after "));
}

TEST_F(TimelinesTest, FirstSegmentOfATimelineIsNeededToGoOnAlongIt) {
  archive_second({9});
  EXPECT_THAT(refused(),
              HasSubstr("the first segment that is missing is 000000020000000000000009"));
  to_time(9);
  EXPECT_THAT(refused(),
              HasSubstr("the first segment that is missing is 000000020000000000000009"));
  // What lies before the new timeline begins is also in the old one's segment.
  to_xid(708);
  EXPECT_THAT(chosen(), HasSubstr("second after commit of transaction 708"));
}

TEST_F(TimelinesTest, BackupOfTheNewTimelineIsPreferred) {
  BackupSpan third;
  third.timeline = TimelineId{2};
  second_timeline_.filler();
  third.start = second_timeline_.position();
  second_timeline_.filler();
  second_timeline_.filler();
  third.stop = second_timeline_.position();
  third.stop_time = at(21);
  second_timeline_.fill_segments(1);
  archive_second();
  store("20261124T120000Z-F", third);
  target_.kind = Kind::immediate;
  EXPECT_EQ(choose()->plan.backup, "20261124T120000Z-F");
}

// Segment 9 is not archived whole; transaction 708 ended in segment 8.
class UnfinishedSegmentTest : public RecoveryPlanTest {
 protected:
  void SetUp() override {
    RecoveryPlanTest::SetUp();
    commit(710, 9);
    store_both();
    archive(repository_, script_, {9});
  }
  // Within segment 9.
  static std::uint32_t offset_of(Lsn lsn) {
    return static_cast<std::uint32_t>(lsn.value % kSegmentBytes);
  }
  void include_segment_nine(const WalScript& script) {
    BackupBuilder builder(repository_, kThird);
    builder.data_directory();
    online_between(builder, third_);
    builder.facts.wal_included = true;
    for (const auto& [number, content] : script.segments()) {
      if (number == 9) builder.file("pg_wal/000000010000000000000009", content);
    }
    builder.commit();
  }

  static constexpr const char* kThird = "20261124T130000Z-F";
  BackupSpan third_;
};

TEST_F(UnfinishedSegmentTest, TailIsReplayedToItsEnd) {
  archive_tail(repository_, script_);
  EXPECT_EQ(chosen(), format("second to {}", to_string(script_.position())));
  const ChosenBackup chosen = choose().value();
  EXPECT_EQ(chosen.recovery->last_segment, "000000010000000000000009");
  EXPECT_TRUE(chosen.recovery->last_is_unfinished);
  ASSERT_TRUE(chosen.unfinished);
  EXPECT_EQ(chosen.unfinished->path, "pg_wal/000000010000000000000009");
  EXPECT_EQ(chosen.unfinished->content, script_.segments().at(9));
}

TEST_F(UnfinishedSegmentTest, TailThatEndsWithinARecordEndsBeforeIt) {
  archive_tail(repository_, script_, offset_of(commits_[710]) + 20);
  EXPECT_EQ(chosen(), format("second to {}", to_string(commits_[710])));
  to_xid(710);
  EXPECT_THAT(refused(),
              HasSubstr("the first segment that is missing is 000000010000000000000009"));
}

TEST_F(UnfinishedSegmentTest, TargetInATailIsReached) {
  archive_tail(repository_, script_);
  to_xid(710);
  EXPECT_THAT(chosen(), HasSubstr("second after commit of transaction 710"));
  EXPECT_TRUE(choose()->unfinished);
}

TEST_F(UnfinishedSegmentTest, TargetBeforeATailLeavesItOut) {
  archive_tail(repository_, script_);
  to_xid(708);
  EXPECT_THAT(chosen(), HasSubstr("second after commit of transaction 708"));
  const ChosenBackup chosen = choose().value();
  EXPECT_FALSE(chosen.unfinished);
  EXPECT_FALSE(chosen.recovery->last_is_unfinished);
}

TEST_F(UnfinishedSegmentTest, PartialSegmentIsReplayedAlongItsOwnTimeline) {
  archive_partial(repository_, script_);
  archive_history(repository_, TimelineId{2}, format("1\t{}\tx\n", to_string(script_.position())));
  target_.timeline = RecoveryTarget::Timeline::current;
  EXPECT_EQ(chosen(), format("second to {}", to_string(script_.position())));
  EXPECT_EQ(choose()->unfinished->path, "pg_wal/000000010000000000000009");
}

TEST_F(UnfinishedSegmentTest, OfTailAndPartialTheLongerOneIsTaken) {
  archive_partial(repository_, script_);
  const Lsn fork = script_.position();
  archive_history(repository_, TimelineId{2}, format("1\t{}\tx\n", to_string(fork)));
  target_.timeline = RecoveryTarget::Timeline::current;
  archive_tail(repository_, script_, offset_of(fork) - 8);
  EXPECT_EQ(chosen(), format("second to {}", to_string(fork)));
  // What the primary went on with after the standby had been promoted.
  commit(712, 10);
  archive_tail(repository_, script_);
  EXPECT_EQ(chosen(), format("second to {}", to_string(script_.position())));
}

TEST_F(UnfinishedSegmentTest, BackupsOwnCopyIsReplacedByALongerTail) {
  begin_backup(third_);
  end_backup(third_, 10);
  const WalScript copied = script_;
  const Lsn end = commit(712, 11);
  include_segment_nine(copied);
  backup_ = kThird;
  EXPECT_THAT(choose()->recovery->survey.end, third_.stop);
  archive_tail(repository_, script_);
  EXPECT_GT(choose()->recovery->survey.end, end);
  EXPECT_TRUE(choose()->unfinished);
}

TEST_F(UnfinishedSegmentTest, BackupsOwnCopyIsPreferredToAShorterTail) {
  begin_backup(third_);
  const auto so_far = offset_of(script_.position());
  end_backup(third_, 10);
  include_segment_nine(script_);
  archive_tail(repository_, script_, so_far);
  backup_ = kThird;
  EXPECT_EQ(choose()->recovery->survey.end, third_.stop);
  EXPECT_FALSE(choose()->unfinished);
}

TEST_F(UnfinishedSegmentTest, DamagedTailIsReported) {
  const std::string key = archive_tail(repository_, script_);
  ASSERT_TRUE(repository_.store().remove(key));
  ASSERT_TRUE(repository_.store().put_if_absent(key, bytes_of("nonsense")));
  const auto result = choose();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::corrupt);
}

// With nothing but a stream, there is no whole segment of the newest timeline.
TEST_F(TimelinesTest, TailOfANewTimelineIsEnoughToFollowIt) {
  archive_history(repository_, TimelineId{2}, format("1\t{}\tx\n", to_string(fork_)));
  WalScript streamed = script_at_fork_.branch(TimelineId{2});
  streamed.end_of_recovery(TimelineId{2}, TimelineId{1});
  streamed.commit(709, at(20));
  archive_tail(repository_, streamed);
  EXPECT_EQ(chosen(), format("second to {}", to_string(streamed.position())));
  EXPECT_EQ(choose()->unfinished->path, "pg_wal/000000020000000000000009");
}

class ReplayedTablespacesTest : public testing::Test {
 protected:
  std::string refusal() {
    const Status checked = check_replayed_tablespaces({{Lsn{0x300100}, 16'500, "/data/fast"}},
                                                      layout_, target_.opener());
    if (checked) return "";
    EXPECT_EQ(checked.error().code(), ErrorCode::usage);
    return checked.error().message() + "|" + checked.error().hint();
  }

  SimTarget target_;
  TargetLayout layout_{"/data/pg", {}};
};

TEST_F(ReplayedTablespacesTest, EmptyDirectoryIsWhatAServerNeeds) {
  ASSERT_TRUE(target_.top()->make_directory("data/fast", 0700));
  EXPECT_EQ(refusal(), "");
}

TEST_F(ReplayedTablespacesTest, PlaceThatIsInUseIsRefused) {
  ASSERT_TRUE(target_.top()->make_directory("data/fast", 0700));
  ASSERT_TRUE(target_.top()->make_directory("data/fast/PG_15_202209061", 0700));
  EXPECT_THAT(refusal(),
              HasSubstr("replay makes tablespace 16500 at /data/fast, which is not empty"));
  EXPECT_THAT(refusal(), HasSubstr("--target-lsn 0/300100 --target-exclusive; no -T reaches"));
}

TEST_F(ReplayedTablespacesTest, PlaceThatIsMissingIsRefused) {
  EXPECT_THAT(refusal(), HasSubstr("/data/fast, which does not exist here|make that directory"));
}

TEST_F(ReplayedTablespacesTest, PlaceThatTheRestoreMakesForItIsFine) {
  layout_.tablespaces.push_back({16'500, "/data/fast", "/data/fast"});
  EXPECT_EQ(refusal(), "");
}

TEST_F(ReplayedTablespacesTest, MappingDoesNotReachIntoWal) {
  layout_.tablespaces.push_back({16'500, "/data/fast", "/data/elsewhere"});
  EXPECT_THAT(refusal(), HasSubstr("which does not exist here"));
  layout_.tablespaces.back() = {16'400, "/data/slow", "/data/fast"};
  EXPECT_THAT(refusal(), HasSubstr("where another one is restored"));
}

}  // namespace
}  // namespace haul::restore
