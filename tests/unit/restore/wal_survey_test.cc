#include "engine/restore/wal_survey.h"

#include <algorithm>
#include <atomic>

#include <gtest/gtest.h>

#include "tests/unit/restore/recovery_fixture.h"

namespace haul::restore {
namespace {

using Kind = RecoveryTarget::Kind;
using Side = StopPoint::Side;

RecoveryTarget exclusive(RecoveryTarget target) {
  target.bound = RecoveryTarget::Bound::exclusive;
  return target;
}

RecoveryTarget to_time(UtcTime time) {
  RecoveryTarget target;
  target.kind = Kind::time;
  target.time = time;
  return target;
}

RecoveryTarget to_lsn(Lsn lsn) {
  RecoveryTarget target;
  target.kind = Kind::lsn;
  target.lsn = lsn;
  return target;
}

RecoveryTarget to_xid(std::uint32_t xid) {
  RecoveryTarget target;
  target.kind = Kind::xid;
  target.xid = xid;
  return target;
}

RecoveryTarget to_name(std::string_view name) {
  RecoveryTarget target;
  target.kind = Kind::name;
  target.name = name;
  return target;
}

RecoveryTarget immediate() {
  RecoveryTarget target;
  target.kind = Kind::immediate;
  return target;
}

class WalSurveyTest : public testing::Test {
 protected:
  // A survey of the whole script, from its first record.
  SurveyRequest request(const WalScript& script, const RecoveryTarget& target) {
    segments_ = script.segments();
    SurveyRequest request;
    request.geometry = test_geometry();
    request.target = target;
    request.timeline = script.timeline();
    request.start_timeline = TimelineId{1};
    request.start = start_;
    request.consistent = consistent_;
    request.workers = 3;
    for (const auto& [number, content] : segments_) {
      request.pieces.push_back({{script.timeline(), number}});
    }
    request.load = [this](const WalPiece& piece) -> Result<std::vector<std::byte>> {
      ++loaded_;
      const auto found = segments_.find(piece.segment.number);
      if (found == segments_.end()) return Error(ErrorCode::corrupt, "damaged object");
      const ByteSpan bytes = bytes_of(found->second);
      return std::vector<std::byte>(bytes.begin(), bytes.end());
    };
    return request;
  }
  Survey survey(const WalScript& script, const RecoveryTarget& target) {
    return survey_wal(request(script, target)).value();
  }

  Lsn start_{0x300028};
  Lsn consistent_{0x300030};
  std::map<std::uint64_t, std::string> segments_;
  std::atomic<int> loaded_ = 0;
};

TEST_F(WalSurveyTest, TimeIsBeforeTheFirstLaterEndOfATransaction) {
  WalScript script;
  script.filler();
  const Lsn first = script.commit(700, at(0));
  const Lsn same = script.commit(701, at(0));
  const Lsn later = script.abort(702, at(0, 1));
  script.commit(703, at(5));

  const Survey inclusive = survey(script, to_time(at(0)));
  ASSERT_TRUE(inclusive.stop);
  EXPECT_EQ(inclusive.stop->side, Side::before);
  EXPECT_EQ(inclusive.stop->lsn, later);
  EXPECT_EQ(inclusive.end, later);
  EXPECT_TRUE(inclusive.stop->is_consistent);
  EXPECT_EQ(inclusive.stop->transaction->xid, 702U);
  EXPECT_EQ(inclusive.stop->transaction->outcome, postgres::TransactionEnd::Outcome::aborted);
  EXPECT_EQ(inclusive.last_transaction->lsn, same);
  EXPECT_EQ(inclusive.last_transaction->xid, 701U);

  const Survey without = survey(script, exclusive(to_time(at(0))));
  ASSERT_TRUE(without.stop);
  EXPECT_EQ(without.stop->lsn, first);
  EXPECT_FALSE(without.last_transaction);
}

TEST_F(WalSurveyTest, TimeOfTheLastTransactionIsNotReachedInclusive) {
  WalScript script;
  script.filler();
  script.commit(700, at(0));
  script.filler();
  const Survey inclusive = survey(script, to_time(at(0)));
  EXPECT_FALSE(inclusive.stop);
  EXPECT_EQ(inclusive.end, script.position());
  EXPECT_EQ(inclusive.last_transaction->time, at(0));
  EXPECT_TRUE(survey(script, exclusive(to_time(at(0)))).stop);
  EXPECT_TRUE(survey(script, to_time(at(-1, 999'999))).stop);
}

TEST_F(WalSurveyTest, FirstFitCountsWhereClocksWentBack) {
  WalScript script;
  script.filler();
  const Lsn early = script.commit(700, at(10));
  script.commit(701, at(3));
  script.commit(702, at(11));
  const Survey found = survey(script, to_time(at(5)));
  ASSERT_TRUE(found.stop);
  EXPECT_EQ(found.stop->lsn, early);
}

TEST_F(WalSurveyTest, PositionIsTheFirstRecordThatBeginsThereOrLater) {
  WalScript script;
  script.filler();
  const Lsn one = script.filler();
  const Lsn two = script.filler();
  script.filler();
  for (const Lsn target : {Lsn{one.value + 8}, two}) {
    const Survey after = survey(script, to_lsn(target));
    ASSERT_TRUE(after.stop);
    EXPECT_EQ(after.stop->side, Side::after);
    EXPECT_EQ(after.stop->lsn, two);
    EXPECT_GT(after.end, two);
    const Survey before = survey(script, exclusive(to_lsn(target)));
    ASSERT_TRUE(before.stop);
    EXPECT_EQ(before.stop->side, Side::before);
    EXPECT_EQ(before.stop->lsn, two);
    EXPECT_EQ(before.end, two);
  }
  EXPECT_FALSE(survey(script, to_lsn(script.position())).stop);
}

TEST_F(WalSurveyTest, TransactionIsFoundByItsEndWhateverThatIs) {
  WalScript script;
  script.filler();
  const Lsn committed = script.commit(702, at(0));
  const Lsn aborted = script.abort(700, at(1));
  const Lsn prepared = script.commit_prepared(701, at(2));
  for (const auto& [xid, lsn] :
       {std::pair(702U, committed), std::pair(700U, aborted), std::pair(701U, prepared)}) {
    const Survey after = survey(script, to_xid(xid));
    ASSERT_TRUE(after.stop) << xid;
    EXPECT_EQ(after.stop->side, Side::after);
    EXPECT_EQ(after.stop->lsn, lsn);
    EXPECT_EQ(after.last_transaction->xid, xid);
    const Survey before = survey(script, exclusive(to_xid(xid)));
    ASSERT_TRUE(before.stop) << xid;
    EXPECT_EQ(before.stop->side, Side::before);
    EXPECT_EQ(before.stop->lsn, lsn);
    EXPECT_EQ(before.stop->transaction->xid, xid);
  }
  EXPECT_FALSE(survey(script, to_xid(703)).stop);
}

TEST_F(WalSurveyTest, RestorePointIsTheFirstOfItsName) {
  WalScript script;
  script.filler();
  script.restore_point("other", at(0));
  const Lsn first = script.restore_point("deed", at(1));
  script.restore_point("deed", at(2));
  const Survey found = survey(script, to_name("deed"));
  ASSERT_TRUE(found.stop);
  EXPECT_EQ(found.stop->side, Side::after);
  EXPECT_EQ(found.stop->lsn, first);
  EXPECT_EQ(found.stop->restore_point_time, at(1));
  EXPECT_FALSE(survey(script, to_name("dee")).stop);
}

TEST_F(WalSurveyTest, ImmediateIsWhereTheBackupBecomesConsistent) {
  WalScript script;
  script.filler();
  const Lsn last = script.filler();
  consistent_ = script.position();
  script.filler();
  const Survey found = survey(script, immediate());
  ASSERT_TRUE(found.stop);
  EXPECT_EQ(found.stop->side, Side::after);
  EXPECT_EQ(found.stop->lsn, last);
  EXPECT_EQ(found.end, consistent_);
  EXPECT_TRUE(found.stop->is_consistent);
}

TEST_F(WalSurveyTest, ImmediateOfAClusterThatWasShutDownIsBehindItsCheckpoint) {
  WalScript script;
  start_ = script.shutdown_checkpoint();
  consistent_ = {};
  EXPECT_FALSE(survey(script, immediate()).stop);
  const Lsn next = script.filler();
  const Survey found = survey(script, immediate());
  ASSERT_TRUE(found.stop);
  EXPECT_EQ(found.stop->side, Side::before);
  EXPECT_EQ(found.stop->lsn, next);
  EXPECT_TRUE(found.stop->is_consistent);
}

TEST_F(WalSurveyTest, StopBeforeTheBackupsEndIsNotConsistent) {
  WalScript script;
  script.filler();
  const Lsn commit = script.commit(700, at(0));
  consistent_ = script.position();
  const Survey before = survey(script, exclusive(to_xid(700)));
  ASSERT_TRUE(before.stop);
  EXPECT_FALSE(before.stop->is_consistent);
  // Behind it replay has reached the end of the backup.
  const Survey after = survey(script, to_xid(700));
  EXPECT_EQ(after.stop->lsn, commit);
  EXPECT_TRUE(after.stop->is_consistent);
}

TEST_F(WalSurveyTest, EndOfWalIsReportedWhenNothingStops) {
  WalScript script;
  script.filler();
  script.commit(700, at(0));
  script.fill_segments(2);
  script.commit(701, at(1));
  const Survey found = survey(script, {});
  EXPECT_FALSE(found.stop);
  EXPECT_EQ(found.end, script.position());
  EXPECT_TRUE(found.is_consistent);
  EXPECT_EQ(found.segments, 3U);
  EXPECT_EQ(found.last_transaction->xid, 701U);
  EXPECT_NE(found.end_reason, "");
}

TEST_F(WalSurveyTest, RecordsGoOnOverSegments) {
  WalScript script;
  script.filler();
  // Over three segments, and the stop right behind it.
  script.filler(2'500'000);
  const Lsn commit = script.commit(700, at(0));
  script.fill_segments(1);
  const Survey found = survey(script, exclusive(to_xid(700)));
  ASSERT_TRUE(found.stop);
  EXPECT_EQ(found.stop->lsn, commit);
  EXPECT_EQ(found.records, 2U);
}

TEST_F(WalSurveyTest, EveryStopIsFoundWithAnyNumberOfWorkers) {
  WalScript script;
  std::vector<Lsn> commits;
  for (std::uint32_t xid = 700; xid < 712; ++xid) {
    commits.push_back(script.commit(xid, at(xid)));
    script.fill_segments(1);
  }
  for (std::size_t workers = 1; workers <= 4; ++workers) {
    for (std::uint32_t xid = 700; xid < 712; ++xid) {
      SurveyRequest asked = request(script, to_xid(xid));
      asked.workers = workers;
      asked.consistent = {};
      const Survey found = survey_wal(asked).value();
      ASSERT_TRUE(found.stop) << xid;
      EXPECT_EQ(found.stop->lsn, commits[xid - 700]);
      EXPECT_EQ(found.segments, xid - 699U);
    }
  }
}

TEST_F(WalSurveyTest, DamageBehindTheStopDoesNotCount) {
  WalScript script;
  script.filler();
  script.commit(700, at(0));
  script.fill_segments(2);
  script.commit(701, at(1));
  SurveyRequest asked = request(script, to_xid(700));
  segments_.erase(4);
  EXPECT_TRUE(survey_wal(asked).value().stop);
  const auto refused = survey_wal(request(script, to_xid(701)));
  EXPECT_TRUE(refused.has_value());
  asked = request(script, to_xid(701));
  segments_.erase(4);
  const auto damaged = survey_wal(asked);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().message(), "damaged object");
}

TEST_F(WalSurveyTest, WalThatIsCutOffWhereMoreFollowsIsCorrupt) {
  WalScript script;
  script.filler();
  script.fill_segments(2);
  script.commit(701, at(1));
  const SurveyRequest asked = request(script, to_xid(701));
  std::string& content = segments_.at(4);
  content.replace(400'000, content.size() - 400'000, std::string(content.size() - 400'000, '\0'));
  const auto damaged = survey_wal(asked);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code(), ErrorCode::corrupt);
}

TEST_F(WalSurveyTest, SegmentOfAnotherHistoryIsCorrupt) {
  WalScript script;
  script.filler();
  WalScript other = script;
  script.fill_segments(1);
  script.commit(700, at(0));
  // As long, but its last record begins elsewhere.
  other.filler(7);
  other.fill_segments(1);
  other.commit(700, at(0));
  const SurveyRequest asked = request(script, to_xid(700));
  segments_[3] = other.segments().at(3);
  const auto damaged = survey_wal(asked);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code(), ErrorCode::corrupt);
}

TEST_F(WalSurveyTest, SegmentOfAnotherSizeIsCorrupt) {
  WalScript script;
  script.filler();
  const SurveyRequest asked = request(script, {});
  segments_.at(3).pop_back();
  const auto damaged = survey_wal(asked);
  ASSERT_FALSE(damaged);
  EXPECT_NE(damaged.error().message().find("1048575 bytes"), std::string::npos);
}

TEST_F(WalSurveyTest, SwitchedSegmentsAreFollowed) {
  WalScript script;
  script.filler();
  script.switch_segment();
  const Lsn commit = script.commit(700, at(0));
  const Survey found = survey(script, to_xid(700));
  ASSERT_TRUE(found.stop);
  EXPECT_EQ(found.stop->lsn, commit);
  EXPECT_EQ(found.segments, 2U);
}

TEST_F(WalSurveyTest, TimelineIsFollowedThroughItsBeginning) {
  WalScript first;
  first.filler();
  WalScript second = first.branch(TimelineId{2});
  second.end_of_recovery(TimelineId{2}, TimelineId{1});
  const Lsn commit = second.commit(700, at(0));
  const Survey found = survey(second, to_xid(700));
  ASSERT_TRUE(found.stop);
  EXPECT_EQ(found.stop->lsn, commit);
  EXPECT_EQ(found.timeline, TimelineId{2});
}

TEST_F(WalSurveyTest, TimelineThatDoesNotFollowIsCorrupt) {
  for (const auto& [timeline, previous] : {std::pair(2U, 7U), std::pair(9U, 1U)}) {
    WalScript first;
    first.filler();
    WalScript second = first.branch(TimelineId{2});
    second.end_of_recovery(TimelineId{timeline}, TimelineId{previous});
    second.commit(700, at(0));
    const auto damaged = survey_wal(request(second, to_xid(700)));
    ASSERT_FALSE(damaged);
    EXPECT_EQ(damaged.error().code(), ErrorCode::corrupt);
  }
}

TEST_F(WalSurveyTest, NothingBehindALimitCounts) {
  WalScript script;
  script.filler();
  const Lsn limit = script.commit(700, at(0));
  script.commit(701, at(1));
  SurveyRequest asked = request(script, to_xid(701));
  asked.pieces.back().limit = limit;
  const Survey found = survey_wal(asked).value();
  EXPECT_FALSE(found.stop);
  EXPECT_EQ(found.end, limit);
}

TEST_F(WalSurveyTest, TablespacesMadeBeforeTheStopAreNamed) {
  WalScript script;
  script.filler();
  const Lsn made = script.create_tablespace(16'500, "/mnt/fast");
  script.create_tablespace(16'501, "");  // in place
  script.commit(700, at(0));
  script.create_tablespace(16'502, "/mnt/later");
  const Survey found = survey(script, to_xid(700));
  EXPECT_EQ(found.tablespaces, (std::vector<ReplayedTablespace>{{made, 16'500, "/mnt/fast"}}));
}

TEST_F(WalSurveyTest, RequestToStopEndsIt) {
  WalScript script;
  script.filler();
  SurveyRequest asked = request(script, {});
  std::stop_source stop;
  stop.request_stop();
  asked.stop = stop.get_token();
  const auto interrupted = survey_wal(asked);
  ASSERT_FALSE(interrupted);
  EXPECT_EQ(interrupted.error().code(), ErrorCode::interrupted);
}

TEST(WalSurveyVersions, EveryReleaseIsRead) {
  for (const int major : {13, 14, 15, 16, 17, 18}) {
    WalScript script(major);
    script.filler();
    const Lsn commit = script.commit(700, at(0));
    SurveyRequest request;
    request.geometry = test_geometry(major);
    request.target = to_xid(700);
    request.timeline = request.start_timeline = TimelineId{1};
    request.start = Lsn{0x300028};
    const std::string content = script.segments().at(3);
    request.pieces = {{{TimelineId{1}, 3}}};
    request.load = [&](const WalPiece&) -> Result<std::vector<std::byte>> {
      return std::vector<std::byte>(bytes_of(content).begin(), bytes_of(content).end());
    };
    const Survey found = survey_wal(request).value();
    ASSERT_TRUE(found.stop) << major;
    EXPECT_EQ(found.stop->lsn, commit);
  }
}

}  // namespace
}  // namespace haul::restore
