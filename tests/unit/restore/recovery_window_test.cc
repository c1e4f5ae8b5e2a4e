// From where to where a backup can be recovered, over an archive in memory.

#include "engine/restore/recovery_window.h"

#include <gtest/gtest.h>

#include "tests/unit/restore/recovery_fixture.h"

namespace haul::restore {
namespace {

// Timeline 1 from segment 3 on; a backup within segment 3, a commit within 5, the end within 6.
class RecoveryWindowTest : public testing::Test {
 protected:
  void SetUp() override {
    script_.filler();
    facts_.start = script_.position();
    script_.filler();
    facts_.stop = script_.position();
    script_.fill_segments(2);
    commit_ = script_.commit(704, at(4));
    script_.fill_segments(1);
    script_.filler();
    facts_.server_version = 150000;
    facts_.system_identifier = test_geometry().system_identifier;
    facts_.wal_segment_size_bytes = kSegmentBytes;
    facts_.start_timeline = facts_.stop_timeline = TimelineId{1};
  }

  RecoveryWindow window() {
    const auto cluster = repository_.cluster();
    const auto inventory =
        wal::WalInventory::read(cluster, test_geometry().system_identifier).value();
    RecoveryWindows windows(cluster, inventory);
    const RecoveryWindow first = windows.of(facts_).value();
    // What was kept of the first answer gives the same again.
    EXPECT_EQ(windows.of(facts_).value().end, first.end);
    return first;
  }

  TestRepository repository_;
  WalScript script_;
  postgres::BackupFacts facts_;
  Lsn commit_;
};

TEST_F(RecoveryWindowTest, GoesToTheLastRecordAndItsLastTransaction) {
  archive(repository_, script_);
  const RecoveryWindow found = window();
  EXPECT_EQ(found.missing, std::nullopt);
  EXPECT_EQ(found.gap, std::nullopt);
  EXPECT_EQ(found.timeline, TimelineId{1});
  EXPECT_EQ(found.start, facts_.stop);
  EXPECT_EQ(found.end, script_.position());
  ASSERT_TRUE(found.last_transaction);
  EXPECT_EQ(found.last_transaction->lsn, commit_);
  EXPECT_EQ(found.last_transaction->xid, 704U);
  EXPECT_EQ(found.last_transaction->time, at(4));
}

TEST_F(RecoveryWindowTest, EndsBeforeAGapAndNamesIt) {
  archive(repository_, script_, {5});
  const RecoveryWindow found = window();
  EXPECT_EQ(found.gap, "000000010000000000000005");
  EXPECT_GT(found.end, facts_.stop);
  EXPECT_LT(found.end, commit_);
  EXPECT_EQ(found.last_transaction, std::nullopt);
}

TEST_F(RecoveryWindowTest, GoesToTheEndOfATail) {
  commit_ = script_.commit(705, at(5));
  archive(repository_, script_, {6});
  archive_tail(repository_, script_);
  const RecoveryWindow found = window();
  EXPECT_EQ(found.gap, std::nullopt);
  EXPECT_EQ(found.end, script_.position());
  ASSERT_TRUE(found.last_transaction);
  EXPECT_EQ(found.last_transaction->xid, 705U);
}

TEST_F(RecoveryWindowTest, WithoutItsOwnWalABackupIsOfNoUse) {
  archive(repository_, script_, {3});
  EXPECT_EQ(window().missing, "000000010000000000000003");
}

TEST_F(RecoveryWindowTest, CopiedWalReachesToTheBackupsEnd) {
  archive(repository_, script_, {3});
  facts_.wal_included = true;
  const RecoveryWindow found = window();
  EXPECT_EQ(found.missing, std::nullopt);
  EXPECT_EQ(found.end, facts_.stop);
  // What was written behind the stop into the same segment is nowhere.
  EXPECT_EQ(found.gap, "000000010000000000000003");
}

TEST_F(RecoveryWindowTest, FollowsTheNewestTimeline) {
  archive(repository_, script_);
  WalScript second = script_.branch(TimelineId{2});
  second.end_of_recovery(TimelineId{2}, TimelineId{1});
  second.commit(800, at(9));
  second.fill_segments(1);
  second.filler();
  archive(repository_, second);
  archive_history(repository_, TimelineId{2}, "1\t" + to_string(script_.position()) + "\tx\n");
  const RecoveryWindow found = window();
  EXPECT_EQ(found.timeline, TimelineId{2});
  EXPECT_EQ(found.end, second.position());
  ASSERT_TRUE(found.last_transaction);
  EXPECT_EQ(found.last_transaction->xid, 800U);
}

}  // namespace
}  // namespace haul::restore
