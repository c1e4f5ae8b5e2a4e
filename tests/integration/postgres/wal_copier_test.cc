#include "engine/postgres/wal_copier.h"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "engine/postgres/backup_session.h"
#include "io/posix_directory.h"
#include "tests/integration/postgres/session_fixture.h"

namespace haul::postgres {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr std::uint32_t kSegmentSizeBytes = 1U << 20;

// Keeps what it is given, and can be told to fail or to wait.
class MemorySink final : public WalSink {
 public:
  Status begin_segment(const std::string& name, std::uint64_t size_bytes) override {
    if (gate.valid()) gate.wait();
    if (fails) return Error(ErrorCode::no_space, "the sink is full");
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(size_bytes, kSegmentSizeBytes);
    EXPECT_TRUE(open_name_.empty()) << "begun within " << open_name_;
    EXPECT_FALSE(segments_.contains(name)) << name << " came twice";
    open_name_ = name;
    return ok();
  }
  Status append(ByteSpan bytes) override {
    open_bytes_ += text_of(bytes);
    return ok();
  }
  Status finish_segment() override {
    const std::lock_guard lock(mutex_);
    EXPECT_EQ(open_bytes_.size(), kSegmentSizeBytes);
    segments_[open_name_] = std::move(open_bytes_);
    open_name_.clear();
    open_bytes_.clear();
    return ok();
  }
  Status take_history(const std::string& name, ByteSpan bytes) override {
    histories[name] = text_of(bytes);
    return ok();
  }

  std::map<std::string, std::string> segments() const {
    const std::lock_guard lock(mutex_);
    return segments_;
  }
  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return segments_.size();
  }

  std::atomic<bool> fails{false};
  std::shared_future<void> gate;
  std::map<std::string, std::string> histories;  // read after finish()

 private:
  mutable std::mutex mutex_;  // guards segments_ and open_name_
  std::map<std::string, std::string> segments_;
  std::string open_name_;
  std::string open_bytes_;
};

class WalCopierTest : public RunningServer {
 protected:
  void SetUp() override {
    support::PgServerOptions options;
    options.wal_segment_size_mb = 1;
    // So small that segments are recycled seconds after they were filled, were it not for the slot.
    options.settings = {"min_wal_size = 2MB", "max_wal_size = 2MB", "wal_keep_size = 0"};
    serve(options);
    open_wal_directory(server_->data_directory() + "/pg_wal");
  }

  void open_wal_directory(const std::string& path) {
    auto opened = io::open_posix_directory(path);
    ASSERT_TRUE(succeeded(opened));
    wal_directory_ = std::move(opened).take();
  }

  WalCopierOptions copier_options() const {
    WalCopierOptions options;
    options.connection = connection_options();
    options.poll_interval = milliseconds(10);
    return options;
  }

  Result<std::unique_ptr<WalCopier>> open_copier() {
    return WalCopier::open(copier_options(), *wal_directory_, sink_);
  }

  // Opens both and begins the backup, in the order that loses nothing.
  void begin_backup() {
    begin_session();
    begin_copying();
  }

  void begin_session() {
    copier_ = open_copier().value();
    session_ = BackupSession::open(session_options()).value();
    started_ = session_->start("x", CheckpointMode::fast).value();
  }

  void begin_copying() {
    ASSERT_TRUE(succeeded(copier_->start(started_.start, started_.timeline)));
  }

  void end_backup() {
    copier_->prepare_stop();
    auto stopped = session_->stop();
    ASSERT_TRUE(succeeded(stopped));
    stopped_ = *stopped;
  }

  void switch_wal(int times) const {
    for (int i = 0; i < times; ++i) {
      query("SELECT pg_logical_emit_message(false, 'x', 'y')");
      query("SELECT pg_switch_wal()");
    }
  }

  // Each name once, no gap, from the start to the stop.
  void expect_whole_range(const WalCopyResult& result) const {
    const auto segments = sink_.segments();
    const WalSegment first = segment_of(started_.start, started_.timeline, kSegmentSizeBytes);
    const WalSegment last = segment_before(stopped_.stop, started_.timeline, kSegmentSizeBytes);
    EXPECT_EQ(result.first, first);
    EXPECT_EQ(result.last, last);
    EXPECT_EQ(result.segments, last.number - first.number + 1);
    ASSERT_EQ(segments.size(), result.segments);
    WalSegment expected = first;
    for (const auto& [name, bytes] : segments) {
      EXPECT_EQ(name, to_name(expected, kSegmentSizeBytes));
      ++expected.number;
    }
  }

  std::string write_segments() const {
    const std::string directory = server_->make_directory("copied").value();
    for (const auto& [name, bytes] : sink_.segments()) {
      std::ofstream(directory + "/" + name, std::ios::binary) << bytes;
    }
    return directory;
  }

  MemorySink sink_;
  std::unique_ptr<io::Directory> wal_directory_;
  std::unique_ptr<BackupSession> session_;
  StartResult started_;
  StopResult stopped_;
  std::unique_ptr<WalCopier> copier_;  // ends before the sink and the directory
};

TEST_F(WalCopierTest, EverySegmentIsCopiedUnderLoad) {
  ASSERT_TRUE(succeeded(server_->pgbench_initialize(2)));
  begin_backup();
  ASSERT_TRUE(succeeded(server_->run_pgbench(4, 4)));
  query("CREATE TABLE bulk AS SELECT generate_series(1, 200000) AS n");
  query("CHECKPOINT");
  end_backup();
  const auto result = copier_->finish(stopped_.stop, stopped_.timeline);
  ASSERT_TRUE(succeeded(result));
  EXPECT_GT(result->segments, 10U);
  expect_whole_range(*result);
  // PostgreSQL's own reader follows every record, with its CRC, from the start to the stop.
  const std::string directory = write_segments();
  EXPECT_TRUE(
      succeeded(server_->run({"pg_waldump", "--quiet", "--path=" + directory, "--start",
                              to_string(started_.start), "--end", to_string(stopped_.stop)})));
  const std::string records =
      server_
          ->run({"pg_waldump", "--path=" + directory, "--rmgr=XLOG", "--start",
                 to_string(started_.start), "--end", to_string(stopped_.stop)})
          .value();
  EXPECT_NE(records.find("BACKUP_END"), std::string::npos);
}

TEST_F(WalCopierTest, SlotFollowsWhatWasCopiedAndDiesWithTheCopier) {
  begin_backup();
  const std::string slot = copier_->slot_name();
  switch_wal(3);
  EXPECT_TRUE(eventually([&] { return sink_.count() >= 3; }));
  EXPECT_TRUE(eventually([&] {
    return query("SELECT restart_lsn - '" + to_string(started_.start) +
                 "' >= 3000000 FROM pg_replication_slots WHERE slot_name = '" + slot +
                 "' AND temporary") == "t";
  }));
  copier_.reset();
  EXPECT_TRUE(
      eventually([&] { return query("SELECT count(*) FROM pg_replication_slots") == "0"; }));
}

TEST_F(WalCopierTest, LastSegmentEndsInZerosWhateverCameAfterTheStop) {
  begin_backup();
  end_backup();
  // Were it not for prepare_stop(), these would be taken for segments of the backup.
  switch_wal(3);
  const auto result = copier_->finish(stopped_.stop, stopped_.timeline);
  ASSERT_TRUE(succeeded(result));
  expect_whole_range(*result);
  const std::string last = sink_.segments().rbegin()->second;
  const std::uint64_t needed = (stopped_.stop.value - 1) % kSegmentSizeBytes + 1;
  const std::uint64_t page_end = (needed + 8191) / 8192 * 8192;
  EXPECT_EQ(last.find_first_not_of('\0', page_end), std::string::npos);
  EXPECT_NE(last.substr(0, needed).find_last_not_of('\0'), std::string::npos);
  EXPECT_EQ(last.substr(0, page_end),
            support::read_whole_file(server_->data_directory() + "/pg_wal/" +
                                     sink_.segments().rbegin()->first)
                .value()
                .substr(0, page_end));
}

TEST_F(WalCopierTest, MissingSegmentIsNamed) {
  open_wal_directory(server_->make_directory("empty").value());
  begin_backup();
  switch_wal(1);
  EXPECT_TRUE(eventually([&] { return !copier_->health(); }));
  end_backup();
  const auto result = copier_->finish(stopped_.stop, stopped_.timeline);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::not_found);
  const std::string name =
      to_name(segment_of(started_.start, started_.timeline, kSegmentSizeBytes), kSegmentSizeBytes);
  EXPECT_NE(result.error().message().find(name), std::string::npos) << result.error().message();
}

TEST_F(WalCopierTest, ShortSegmentIsCorrupt) {
  const std::string copy = server_->make_directory("copy").value();
  open_wal_directory(copy);
  begin_backup();
  const std::string name =
      to_name(segment_of(started_.start, started_.timeline, kSegmentSizeBytes), kSegmentSizeBytes);
  fs::copy_file(server_->data_directory() + "/pg_wal/" + name, copy + "/" + name);
  fs::resize_file(copy + "/" + name, kSegmentSizeBytes - 8192);
  end_backup();
  EXPECT_EQ(copier_->finish(stopped_.stop, stopped_.timeline).error().code(), ErrorCode::corrupt);
  EXPECT_EQ(sink_.count(), 0U);
}

TEST_F(WalCopierTest, SegmentOfAnotherNameIsCorrupt) {
  const std::string copy = server_->make_directory("copy").value();
  open_wal_directory(copy);
  begin_session();
  WalSegment segment = segment_of(started_.start, started_.timeline, kSegmentSizeBytes);
  const std::string name = to_name(segment, kSegmentSizeBytes);
  switch_wal(1);
  ++segment.number;
  fs::copy_file(server_->data_directory() + "/pg_wal/" + to_name(segment, kSegmentSizeBytes),
                copy + "/" + name);
  begin_copying();
  EXPECT_TRUE(eventually([&] { return !copier_->health(); }));
  const Status health = copier_->health();
  EXPECT_EQ(health.error().code(), ErrorCode::corrupt);
  EXPECT_NE(health.error().message().find(name), std::string::npos) << health.error().message();
}

TEST_F(WalCopierTest, FailingSinkFailsHealthAndFinish) {
  sink_.fails = true;
  begin_backup();
  switch_wal(1);
  EXPECT_TRUE(eventually([&] { return !copier_->health(); }));
  EXPECT_EQ(copier_->health().error().code(), ErrorCode::no_space);
  end_backup();
  EXPECT_EQ(copier_->finish(stopped_.stop, stopped_.timeline).error().code(), ErrorCode::no_space);
}

TEST_F(WalCopierTest, InvalidatedSlotFailsWithAHint) {
  ASSERT_TRUE(server_->configure({"max_slot_wal_keep_size = 1MB"}));
  ASSERT_TRUE(server_->restart());
  std::promise<void> open_gate;
  sink_.gate = open_gate.get_future().share();
  begin_backup();
  switch_wal(8);
  query("CHECKPOINT");  // drops what the slot no longer protects, and the slot
  EXPECT_TRUE(eventually([&] {
    return query("SELECT count(*) FROM pg_replication_slots WHERE wal_status <> 'lost'") == "0";
  }));
  open_gate.set_value();
  EXPECT_TRUE(eventually([&] { return !copier_->health(); }));
  const Status health = copier_->health();
  EXPECT_EQ(health.error().code(), ErrorCode::server_state) << health.error().message();
  EXPECT_NE(health.error().hint().find("max_slot_wal_keep_size"), std::string::npos);
  EXPECT_NE(health.error().message().find(copier_->slot_name()), std::string::npos);
}

TEST_F(WalCopierTest, TerminatedSlotSessionFailsHealth) {
  begin_backup();
  terminate(query("SELECT active_pid FROM pg_replication_slots"));
  EXPECT_TRUE(eventually([&] { return !copier_->health(); }));
  EXPECT_EQ(copier_->health().error().code(), ErrorCode::server_state);
}

TEST_F(WalCopierTest, NoFreeSlotIsServerStateWithAHint) {
  ASSERT_TRUE(server_->configure({"max_replication_slots = 0"}));
  ASSERT_TRUE(server_->restart());
  const auto opened = open_copier();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::server_state);
  EXPECT_NE(opened.error().hint().find("max_replication_slots"), std::string::npos);
}

TEST_F(WalCopierTest, ChangedTimelineFailsFinish) {
  begin_backup();
  end_backup();
  const auto result = copier_->finish(stopped_.stop, TimelineId{2});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::server_state);
}

TEST_F(WalCopierTest, UnreachedStopFailsAfterTheFlushTimeout) {
  WalCopierOptions options = copier_options();
  options.flush_timeout = milliseconds(100);
  const auto copier = WalCopier::open(options, *wal_directory_, sink_).value();
  const Lsn now = parse_lsn(query("SELECT pg_current_wal_flush_lsn()")).value();
  ASSERT_TRUE(succeeded(copier->start(now, TimelineId{1})));
  copier->prepare_stop();
  const auto result = copier->finish(Lsn{now.value + (1U << 30)}, TimelineId{1});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::server_state);
}

TEST_F(WalCopierTest, StopBeforeWhatWasCopiedIsServerState) {
  begin_backup();
  switch_wal(2);
  EXPECT_TRUE(eventually([&] { return sink_.count() >= 2; }));
  copier_->prepare_stop();
  const auto result = copier_->finish(started_.start, started_.timeline);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::server_state);
}

TEST_F(WalCopierTest, CancelInterruptsFinish) {
  begin_backup();
  copier_->prepare_stop();
  std::jthread canceller([&] {
    std::this_thread::sleep_for(milliseconds(100));
    copier_->cancel();
  });
  const auto result = copier_->finish(Lsn{started_.start.value + (1U << 30)}, started_.timeline);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::interrupted);
}

class PromotedServerTest : public WalCopierTest {
 protected:
  void SetUp() override {
    WalCopierTest::SetUp();
    ASSERT_TRUE(server_->stop());
    std::ofstream(server_->data_directory() + "/standby.signal").close();
    ASSERT_TRUE(succeeded(server_->start()));
  }

  // The first checkpoint of the new timeline may still be to come.
  void promote() const { query("SELECT pg_promote()"); }
};

TEST_F(PromotedServerTest, StandbyIsUnsupportedWithAHint) {
  const auto opened = open_copier();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), ErrorCode::unsupported);
  EXPECT_NE(opened.error().hint(), "");
}

TEST_F(PromotedServerTest, HistoryOfTheTimelineComesAlong) {
  promote();
  begin_backup();
  EXPECT_EQ(started_.timeline, TimelineId{2});
  end_backup();
  const auto result = copier_->finish(stopped_.stop, stopped_.timeline);
  ASSERT_TRUE(succeeded(result));
  EXPECT_EQ(result->history_files, 1U);
  ASSERT_TRUE(sink_.histories.contains("00000002.history"));
  EXPECT_EQ(
      sink_.histories["00000002.history"],
      support::read_whole_file(server_->data_directory() + "/pg_wal/00000002.history").value());
}

TEST_F(PromotedServerTest, MissingHistoryIsNamed) {
  promote();
  fs::remove(server_->data_directory() + "/pg_wal/00000002.history");
  begin_backup();
  end_backup();
  const auto result = copier_->finish(stopped_.stop, stopped_.timeline);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::not_found);
  EXPECT_NE(result.error().message().find("00000002.history"), std::string::npos);
}

}  // namespace
}  // namespace haul::postgres
