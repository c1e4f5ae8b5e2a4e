#include "engine/wal/look_ahead.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/unit/wal/wal_fixture.h"

namespace haul::wal {
namespace {

using support::names_in;
using testing::ArchiveFixture;
using testing::code_of;
using ::testing::Contains;
using ::testing::ElementsAre;
using testing::FakeSegment;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kSystem;
using ::testing::Not;
using ::testing::SizeIs;

const std::string kSpoolPlace = "/data/pg_wal/pghaul-spool";

std::string name_of(std::uint64_t number, std::uint32_t timeline = 1) {
  return FakeSegment{.timeline = timeline, .number = number}.name();
}

std::string content_of(std::uint64_t number) {
  return FakeSegment{.number = number, .pages = 2}.content();
}

// A clock that does something at a time of the test's choosing, whenever somebody sleeps.
class EventClock final : public Clock {
 public:
  UtcTime now_utc() override { return clock_.now_utc(); }
  std::chrono::nanoseconds now_monotonic() override { return clock_.now_monotonic(); }
  void sleep_for(std::chrono::nanoseconds duration) override {
    clock_.advance(duration);
    slept += duration;
    if (on_sleep) on_sleep();
  }

  std::function<void()> on_sleep;
  std::chrono::nanoseconds slept{};

 private:
  support::ManualClock clock_;
};

class LookAheadTest : public ::testing::Test {
 protected:
  LookAheadTest() {
    for (std::uint64_t number = 5; number <= 12; ++number) {
      HAUL_ASSERT(archive.push(name_of(number), content_of(number)).has_value());
    }
    cluster = archive.cluster();
    place = {kSpoolPlace, Spool::name_for(cluster, kSystem, "boot")};
  }

  Result<Delivery> get(const std::string& name) { return archive.get(name, kSpoolPlace); }
  Spool open() { return Spool::open(archive.opener(), place).value(); }
  std::string spool_path(const std::string& name = "") const {
    return format("{}/{}{}", kSpoolPlace.substr(1), place.name, name.empty() ? "" : "/" + name);
  }
  std::vector<std::string> spooled() { return names_in(*archive.top(), spool_path()).value(); }

  Status prefetch(std::size_t segments = 3) {
    PrefetchOptions options;
    options.place = place;
    options.data_directory = "/data";
    options.system_identifier = kSystem;
    options.segments = segments;
    PrefetchEnvironment environment;
    environment.cluster = &cluster;
    environment.open_directory = archive.opener();
    environment.host = &archive.host;
    environment.clock = &clock;
    environment.stop = archive.stop.get_token();
    return run_prefetcher(options, environment);
  }
  // What lies in the spool once there is nothing to do for the prefetcher; then it is stopped.
  std::vector<std::string> prefetched(std::size_t segments = 3) {
    std::vector<std::string> names;
    clock.on_sleep = [&] {
      names = spooled();
      archive.stop.request_stop();
    };
    HAUL_ASSERT(prefetch(segments).has_value());
    return names;
  }

  ArchiveFixture archive;
  repository::Cluster cluster;
  Spool::Place place;
  EventClock clock;
};

TEST_F(LookAheadTest, FirstGetStartsAProcessThatLooksAhead) {
  ASSERT_EQ(get(name_of(5)).value(), Delivery::delivered);
  EXPECT_EQ(archive.delivered(), content_of(5));
  EXPECT_THAT(archive.host.started, ElementsAre(ElementsAre("wal", "prefetch")));
  EXPECT_THAT(archive.log.lines, IsEmpty());
}

TEST_F(LookAheadTest, ProcessThatIsThereIsNotStartedAgain) {
  ASSERT_TRUE(get(name_of(5)));
  archive.host.locked.insert(open().lock_path());
  ASSERT_TRUE(get(name_of(6)));
  EXPECT_THAT(archive.host.started, SizeIs(1));
}

TEST_F(LookAheadTest, AbsenceAndHistoriesStartNothing) {
  EXPECT_EQ(get(name_of(99)).value(), Delivery::absent);
  EXPECT_EQ(get("00000002.history").value(), Delivery::absent);
  EXPECT_THAT(archive.host.started, IsEmpty());
}

TEST_F(LookAheadTest, NextSegmentsAreKeptReady) {
  ASSERT_TRUE(get(name_of(5)));
  EXPECT_THAT(prefetched(), ElementsAre(name_of(6), name_of(7), name_of(8), "lock", "request"));
}

TEST_F(LookAheadTest, ReadySegmentIsMovedAndNotReadAgain) {
  ASSERT_TRUE(get(name_of(5)));
  ASSERT_TRUE(open().put(parse_wal_name(name_of(6)).value(), bytes_of(content_of(6))));
  const std::string key =
      WalLayout(cluster.layout, kSystem).key(parse_wal_name(name_of(6)).value());
  ASSERT_TRUE(archive.repository().store().remove(key));
  EXPECT_EQ(get(name_of(6)).value(), Delivery::delivered);
  EXPECT_EQ(archive.delivered(), content_of(6));
  EXPECT_THAT(spooled(), Not(Contains(name_of(6))));
}

TEST_F(LookAheadTest, SpoolIsKeptAheadOfTheServer) {
  ASSERT_TRUE(get(name_of(5)));
  int sleeps = 0;
  std::vector<std::string> names;
  clock.on_sleep = [&] {
    if (++sleeps == 1) HAUL_ASSERT(get(name_of(6)).has_value());
    if (sleeps == 2) {
      names = spooled();
      archive.stop.request_stop();
    }
  };
  ASSERT_TRUE(prefetch());
  EXPECT_THAT(names, ElementsAre(name_of(7), name_of(8), name_of(9), "lock", "request"));
}

TEST_F(LookAheadTest, AnotherTimelineEmptiesTheSpool) {
  ASSERT_TRUE(get(name_of(5)));
  const FakeSegment other{.timeline = 2, .number = 6, .pages = 2};
  ASSERT_TRUE(archive.push(other));
  int sleeps = 0;
  std::vector<std::string> names;
  clock.on_sleep = [&] {
    if (++sleeps == 1) HAUL_ASSERT(get(other.name()).has_value());
    if (sleeps == 2) {
      names = spooled();
      archive.stop.request_stop();
    }
  };
  ASSERT_TRUE(prefetch());
  EXPECT_THAT(names, ElementsAre("lock", "request"));
}

TEST_F(LookAheadTest, WhatIsNotArchivedYetIsTakenOnceItIs) {
  ASSERT_TRUE(get(name_of(11)));
  std::vector<std::string> names;
  clock.on_sleep = [&] {
    if (clock.slept >= std::chrono::milliseconds(100)) {
      archive.write("data/pg_wal/" + name_of(13), content_of(13));
      HAUL_ASSERT(archive.push_path("/data/pg_wal/" + name_of(13)).has_value());
    }
    if (clock.slept < std::chrono::milliseconds(500)) return;
    names = spooled();
    archive.stop.request_stop();
  };
  ASSERT_TRUE(prefetch());
  EXPECT_THAT(names, ElementsAre(name_of(12), name_of(13), "lock", "request"));
}

TEST_F(LookAheadTest, EndLeavesNothingReady) {
  ASSERT_TRUE(get(name_of(5)));
  prefetched();
  EXPECT_THAT(spooled(), ElementsAre("lock"));
}

TEST_F(LookAheadTest, ItEndsWhenNothingIsAskedForAnyMore) {
  ASSERT_TRUE(get(name_of(5)));
  ASSERT_TRUE(prefetch());
  EXPECT_GT(clock.slept, kPrefetchIdleMax);
  EXPECT_LT(clock.slept, kPrefetchIdleMax + std::chrono::seconds(1));
}

TEST_F(LookAheadTest, EveryRequestProlongsItAlsoForTheSameSegment) {
  ASSERT_TRUE(get(name_of(5)));
  bool asked = false;
  clock.on_sleep = [&] {
    if (asked || clock.slept < std::chrono::seconds(50)) return;
    asked = true;
    HAUL_ASSERT(get(name_of(5)).has_value());
  };
  ASSERT_TRUE(prefetch());
  EXPECT_GT(clock.slept, std::chrono::seconds(110));
}

TEST_F(LookAheadTest, ItEndsWithTheServer) {
  archive.write("data/postmaster.pid", "1\n");
  ASSERT_TRUE(get(name_of(5)));
  clock.on_sleep = [&] {
    if (clock.slept >= std::chrono::seconds(2)) {
      static_cast<void>(archive.top()->remove_file("data/postmaster.pid"));
    }
  };
  ASSERT_TRUE(prefetch());
  EXPECT_LT(clock.slept, std::chrono::seconds(3));
}

TEST_F(LookAheadTest, ItEndsWithTheRecovery) {
  for (const char* signal : {"data/recovery.signal", "data/standby.signal"}) {
    archive.write(signal, "");
    clock.slept = {};
    archive.host.locked.clear();
    ASSERT_TRUE(get(name_of(5)));
    clock.on_sleep = [&] {
      if (clock.slept >= std::chrono::seconds(2)) {
        static_cast<void>(archive.top()->remove_file(signal));
      }
    };
    ASSERT_TRUE(prefetch());
    EXPECT_LT(clock.slept, std::chrono::seconds(3));
  }
}

TEST_F(LookAheadTest, SecondProcessLeavesItToTheFirst) {
  ASSERT_TRUE(get(name_of(5)));
  archive.host.locked.insert(open().lock_path());
  ASSERT_TRUE(prefetch());
  EXPECT_EQ(clock.slept, std::chrono::nanoseconds(0));
  EXPECT_THAT(spooled(), ElementsAre("lock", "request"));
}

TEST_F(LookAheadTest, DamagedSegmentIsNotKeptReady) {
  const std::string key =
      WalLayout(cluster.layout, kSystem).key(parse_wal_name(name_of(7)).value());
  std::string object = archive.object(key);
  object.back() = static_cast<char>(object.back() ^ 1);
  archive.overwrite(key, object);
  ASSERT_TRUE(get(name_of(5)));
  EXPECT_THAT(prefetched(), ElementsAre(name_of(6), "lock", "request"));
  EXPECT_EQ(code_of(get(name_of(7))), ErrorCode::corrupt);
}

TEST_F(LookAheadTest, SpoolOfAnotherBootIsNeverSeenAndGoes) {
  const Spool::Place before = {kSpoolPlace, Spool::name_for(cluster, kSystem, "boot before")};
  Spool old = Spool::open(archive.opener(), before).value();
  ASSERT_TRUE(old.put(parse_wal_name(name_of(6)).value(), bytes_of("half written")));
  archive.write(old.lock_path().substr(1), "");
  ASSERT_TRUE(get(name_of(6)));
  EXPECT_EQ(archive.delivered(), content_of(6));
  prefetched();
  EXPECT_THAT(names_in(*archive.top(), kSpoolPlace.substr(1)).value(), ElementsAre(place.name));
}

TEST_F(LookAheadTest, SpoolThatIsLookedAfterStaysAndSoDoesWhatIsNone) {
  const Spool::Place other = {kSpoolPlace, Spool::name_for(cluster, kSystem + 1, "boot")};
  const Spool spool = Spool::open(archive.opener(), other).value();
  archive.write(spool.lock_path().substr(1), "");
  archive.host.locked.insert(spool.lock_path());
  ASSERT_TRUE(archive.top()->make_directory(kSpoolPlace.substr(1) + "/somebody's", 0700));
  ASSERT_TRUE(archive.top()->make_directory(kSpoolPlace.substr(1) + "/mixed", 0700));
  archive.write(kSpoolPlace.substr(1) + "/mixed/lock", "");
  archive.write(kSpoolPlace.substr(1) + "/mixed/letter", "dear");
  ASSERT_TRUE(get(name_of(5)));
  prefetched();
  EXPECT_THAT(names_in(*archive.top(), kSpoolPlace.substr(1)).value(), SizeIs(4));
  EXPECT_THAT(names_in(*archive.top(), kSpoolPlace.substr(1) + "/mixed").value(),
              ElementsAre("letter"));
}

TEST_F(LookAheadTest, NameTellsRepositoryClusterSystemAndBootApart) {
  repository::Cluster elsewhere = cluster;
  elsewhere.repository.bytes[0] ^= std::byte{1};
  const std::set<std::string> names = {
      Spool::name_for(cluster, kSystem, "b"), Spool::name_for(cluster, kSystem + 1, "b"),
      Spool::name_for(cluster, kSystem, "c"), Spool::name_for(elsewhere, kSystem, "b"),
      Spool::name_for(archive.cluster("other"), kSystem, "b")};
  EXPECT_THAT(names, SizeIs(5));
}

TEST_F(LookAheadTest, SpoolThatOthersCouldWriteToIsNotUsed) {
  open();
  ASSERT_TRUE(archive.top()->set_mode(spool_path(), 0777));
  EXPECT_EQ(code_of(Spool::open(archive.opener(), place)), ErrorCode::permission);
  EXPECT_EQ(get(name_of(5)).value(), Delivery::delivered);
  EXPECT_THAT(archive.log.lines, ElementsAre(HasSubstr("cannot look ahead: ")));
  EXPECT_THAT(archive.host.started, IsEmpty());
}

TEST_F(LookAheadTest, SpoolThatFailsKeepsNothingFromTheServer) {
  ASSERT_TRUE(get(name_of(5)));
  ASSERT_TRUE(open().put(parse_wal_name(name_of(6)).value(), bytes_of(content_of(6))));
  archive.host.failures.emplace("move_file", Error(ErrorCode::io, "another file system"));
  EXPECT_EQ(get(name_of(6)).value(), Delivery::delivered);
  EXPECT_EQ(archive.delivered(), content_of(6));
  EXPECT_THAT(archive.log.lines, ElementsAre(HasSubstr("another file system")));
}

TEST_F(LookAheadTest, ProcessThatCannotBeStartedKeepsNothingFromTheServer) {
  for (const char* function : {"is_locked", "start_detached"}) {
    archive.host.failures.clear();
    archive.host.failures.emplace(function, Error(ErrorCode::io, function));
    archive.log.lines.clear();
    EXPECT_EQ(get(name_of(5)).value(), Delivery::delivered);
    EXPECT_THAT(archive.log.lines, ElementsAre(HasSubstr(function)));
  }
}

TEST_F(LookAheadTest, LockThatCannotBeTakenIsAnError) {
  archive.host.failures.emplace("lock", Error(ErrorCode::io, "no locks"));
  EXPECT_EQ(code_of(prefetch()), ErrorCode::io);
}

TEST_F(LookAheadTest, FullFileSystemIsTriedAgainWithTheNextRequest) {
  ASSERT_TRUE(get(name_of(5)));
  int sleeps = 0;
  std::vector<std::string> names;
  archive.disk.set_fault({archive.disk.operations() + 4, io::SimFault::Kind::no_space,
                          io::SimFault::Repeat::from_then_on});
  clock.on_sleep = [&] {
    ++sleeps;
    if (sleeps == 3) {
      archive.disk.set_fault({});
      HAUL_ASSERT(get(name_of(6)).has_value());
    }
    if (sleeps == 5) {
      names = spooled();
      archive.stop.request_stop();
    }
  };
  ASSERT_TRUE(prefetch());
  EXPECT_THAT(names, Contains(name_of(9)));
}

TEST_F(LookAheadTest, RequestThatIsNoSegmentIsLeftAlone) {
  open();
  archive.write(spool_path("request"), "nonsense");
  EXPECT_THAT(prefetched(), ElementsAre("lock", "request"));
}

}  // namespace
}  // namespace haul::wal
