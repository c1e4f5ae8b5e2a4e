#include "engine/repository/lease.h"

#include <functional>
#include <semaphore>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "engine/repository/framed_object.h"
#include "engine/repository/snapshot.h"
#include "tests/support/forwarding_store.h"
#include "tests/support/manual_clock.h"
#include "tests/unit/repository/repository_fixture.h"

namespace haul::repository {
namespace {

using support::ManualClock;
using testing::code_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::RepositoryFixture;

const LeaseHolder kHolder{"backup", "host", "boot", 42};

struct LeaseFixture : RepositoryFixture {
  using RepositoryFixture::RepositoryFixture;

  ManualClock clock;

  Result<std::unique_ptr<Lease>> create(char kind = 'F') {
    return Lease::create_for_backup(cluster, kind, kHolder, clock);
  }
  std::string created_id() { return create().value()->id(); }
  void put(const std::string& key) const {
    HAUL_ASSERT(store().put_if_absent(key, bytes_of("x")).has_value());
  }
  Json content(const std::string& id) const {
    const std::string key = cluster.layout.lease(id);
    const FramedObject frame = unframe_object(ObjectKind::lease, key, get(key)).value();
    return Json::parse(text_of(frame.body)).value();
  }
};

TEST(Lease, IsNamedByTheClocksSecondAndTheKind) {
  LeaseFixture fixture;
  EXPECT_EQ(fixture.created_id(), "20261123T020222Z-F");
  fixture.clock.advance(std::chrono::seconds(5));
  EXPECT_EQ(fixture.create('I').value()->id(), "20261123T020227Z-I");
}

TEST(Lease, SaysWhoHoldsIt) {
  LeaseFixture fixture;
  const Json content = fixture.content(fixture.created_id());
  EXPECT_EQ(content.string_at("lease").value(), "20261123T020222Z-F");
  EXPECT_EQ(content.string_at("purpose").value(), "backup");
  EXPECT_EQ(content.string_at("host").value(), "host");
  EXPECT_EQ(content.string_at("boot_id").value(), "boot");
  EXPECT_EQ(content.int_at("process").value(), 42);
  EXPECT_EQ(content.int_at("started_us").value(), ManualClock::kStart.microseconds);
  EXPECT_EQ(content.uint_at("generation").value(), 0U);
  EXPECT_EQ(content.uint_at("counter").value(), 0U);
}

TEST(Lease, NameTakenByALeaseIsPassedOver) {
  LeaseFixture fixture;
  const auto first = fixture.create().value();
  EXPECT_EQ(fixture.created_id(), "20261123T020223Z-F");
  EXPECT_EQ(fixture.create('I').value()->id(), "20261123T020224Z-I");
}

TEST(Lease, NameComesAfterEverythingThatBearsOne) {
  const std::string later = "20261123T020230Z-I";
  const ClusterLayout layout("main");
  for (const std::string& key : {layout.lease(later), layout.snapshot(later),
                                 layout.pack({later, {}}), layout.run({later, 3})}) {
    LeaseFixture fixture;
    fixture.put(key);
    EXPECT_EQ(fixture.created_id(), "20261123T020231Z-F") << key;
  }
}

TEST(Lease, NamesThatAreNoneAreIgnored) {
  LeaseFixture fixture;
  fixture.put(fixture.cluster.layout.lease("99999999T999999Z-F"));
  fixture.put(fixture.cluster.layout.snapshot("zzz"));
  EXPECT_EQ(fixture.created_id(), "20261123T020222Z-F");
}

// A clock that once was years ahead must not make every later backup wait for it.
TEST(Lease, NameYearsAheadIsFollowedAtOnce) {
  LeaseFixture fixture;
  fixture.put(fixture.cluster.layout.snapshot("20991231T235959Z-F"));
  EXPECT_EQ(fixture.created_id(), "21000101T000000Z-F");
}

TEST(Lease, LastNameOfAllIsBusyAndNoLoop) {
  LeaseFixture fixture;
  fixture.put(fixture.cluster.layout.snapshot("99991231T235959Z-F"));
  const auto created = fixture.create();
  ASSERT_EQ(code_of(created), ErrorCode::busy);
  EXPECT_FALSE(created.error().hint().empty());
}

TEST(Lease, ReleaseRemovesTheObject) {
  LeaseFixture fixture;
  const auto lease = fixture.create().value();
  EXPECT_THAT(list_leases(fixture.cluster).value(), ElementsAre(lease->id()));
  EXPECT_TRUE(lease->health());
  ASSERT_TRUE(lease->release());
  EXPECT_THAT(list_leases(fixture.cluster).value(), IsEmpty());
}

TEST(Lease, ThatIsOnlyDestroyedStays) {
  LeaseFixture fixture;
  const std::string id = fixture.created_id();
  EXPECT_THAT(list_leases(fixture.cluster).value(), ElementsAre(id));
}

// Calls a hook after the first listing and before the lease is put: what another process does then.
class RacingStore final : public support::ForwardingStore {
 public:
  RacingStore(io::ObjectStore& inner, std::function<void(io::ObjectStore&)> race)
      : ForwardingStore(inner), race_(std::move(race)) {}

  Status put_if_absent(const std::string& key, ByteSpan bytes) override {
    if (race_) std::exchange(race_, nullptr)(inner());
    return inner().put_if_absent(key, bytes);
  }

 private:
  std::function<void(io::ObjectStore&)> race_;
};

TEST(Lease, NameThatAnotherProcessTakesMeanwhileIsPassedOver) {
  const ClusterLayout layout("main");
  const std::string id = "20261123T020222Z-F";
  // The other one may be running, or have ended and left only its snapshot, packs or run.
  for (const std::string& key :
       {layout.lease(id), layout.snapshot(id), layout.pack({id, {}}), layout.run({id, 1})}) {
    LeaseFixture fixture([&](io::ObjectStore& inner) {
      return std::make_unique<RacingStore>(inner, [&](io::ObjectStore& store) {
        HAUL_ASSERT(store.put_if_absent(key, bytes_of("x")).has_value());
      });
    });
    EXPECT_EQ(fixture.created_id(), "20261123T020223Z-F") << key;
    const bool other_runs = key == layout.lease(id);
    EXPECT_EQ(list_leases(fixture.cluster).value().size(), other_runs ? 2U : 1U) << key;
  }
}

TEST(Lease, IsBusyWhenEveryNameIsTakenFromUnderIt) {
  class EveryNameTaken final : public support::ForwardingStore {
   public:
    using ForwardingStore::ForwardingStore;
    Status put_if_absent(const std::string& key, ByteSpan) override {
      return Error(ErrorCode::already_exists, key);
    }
  };
  LeaseFixture fixture(
      [](io::ObjectStore& inner) { return std::make_unique<EveryNameTaken>(inner); });
  EXPECT_EQ(code_of(fixture.create()), ErrorCode::busy);
}

// Fails every listing that reaches down to the packs, of which there may be any number.
class ShallowStore final : public support::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;
  Result<std::vector<io::ObjectInfo>> list(const std::string&) override {
    return Error(ErrorCode::io, "not so deep");
  }
};

TEST(Lease, IsCreatedAndListedWithoutListingPacks) {
  LeaseFixture fixture(
      [](io::ObjectStore& inner) { return std::make_unique<ShallowStore>(inner); });
  EXPECT_EQ(fixture.created_id(), "20261123T020222Z-F");
  EXPECT_EQ(list_leases(fixture.cluster).value().size(), 1U);
}

TEST(Lease, FailureOfAListingIsReported) {
  class UnlistedStore final : public support::ForwardingStore {
   public:
    using ForwardingStore::ForwardingStore;
    Result<io::ObjectNames> list_names(const std::string&) override {
      return Error(ErrorCode::io, "the device failed");
    }
  };
  LeaseFixture fixture(
      [](io::ObjectStore& inner) { return std::make_unique<UnlistedStore>(inner); });
  EXPECT_EQ(code_of(fixture.create()), ErrorCode::io);
  EXPECT_EQ(code_of(list_leases(fixture.cluster)), ErrorCode::io);
}

// Fails the first operation of a name, and signals every replacement.
class WatchedStore final : public support::ForwardingStore {
 public:
  struct Watch {
    std::string fail;
    std::vector<std::string> events;
    std::counting_semaphore<> replaced{0};
  };

  WatchedStore(io::ObjectStore& inner, Watch& watch) : ForwardingStore(inner), watch_(watch) {}

  Status put_if_absent(const std::string& key, ByteSpan bytes) override {
    HAUL_TRY(note("put"));
    return inner().put_if_absent(key, bytes);
  }
  Status replace(const std::string& key, ByteSpan bytes) override {
    const Status replaced = watch_.fail == "replace" ? Error(ErrorCode::io, "the device failed")
                                                     : inner().replace(key, bytes);
    watch_.replaced.release();
    return replaced;
  }
  Result<io::ObjectInfo> head(const std::string& key) override {
    HAUL_TRY(note("head"));
    return inner().head(key);
  }
  Status make_durable(const std::string& prefix) override {
    HAUL_TRY(note("sync"));
    return inner().make_durable(prefix);
  }

 private:
  Status note(const std::string& event) {
    watch_.events.push_back(event);
    if (watch_.fail == event) return Error(ErrorCode::io, "the device failed");
    return ok();
  }

  Watch& watch_;
};

struct WatchedFixture : LeaseFixture {
  WatchedFixture()
      : LeaseFixture([this](io::ObjectStore& inner) {
          return std::make_unique<WatchedStore>(inner, watch);
        }) {}

  Result<std::unique_ptr<Lease>> create_restless() {
    return Lease::create_for_backup(cluster, 'F', kHolder, clock, std::chrono::microseconds(1));
  }

  WatchedStore::Watch watch;
};

TEST(Lease, IsDurableWhenItIsHandedOut) {
  WatchedFixture fixture;
  ASSERT_TRUE(fixture.create());
  EXPECT_EQ(fixture.watch.events.front(), "put");
  EXPECT_EQ(fixture.watch.events.back(), "sync");
}

TEST(Lease, DeviceThatFailsWhileItIsMadeIsReported) {
  for (const std::string event : {"put", "head", "sync"}) {
    WatchedFixture fixture;
    fixture.watch.fail = event;
    EXPECT_EQ(code_of(fixture.create()), ErrorCode::io) << event;
  }
}

TEST(Lease, ThatCouldNotBeCheckedLeavesNothing) {
  WatchedFixture fixture;
  fixture.watch.fail = "head";
  ASSERT_FALSE(fixture.create());
  EXPECT_THAT(list_leases(fixture.cluster).value(), IsEmpty());
}

TEST(Lease, CounterRisesWhileItIsHeld) {
  WatchedFixture fixture;
  const auto lease = fixture.create_restless().value();
  for (int i = 0; i < 3; ++i) fixture.watch.replaced.acquire();
  EXPECT_GE(fixture.content(lease->id()).uint_at("counter").value(), 2U);
  EXPECT_TRUE(check_lease(fixture.cluster, lease->id()));
  EXPECT_TRUE(lease->health());
}

TEST(Lease, ThatCannotBeRefreshedIsUnwell) {
  WatchedFixture fixture;
  fixture.watch.fail = "replace";
  const auto lease = fixture.create_restless().value();
  fixture.watch.replaced.acquire();
  // The thread notes the failure right after; release() joins it.
  ASSERT_TRUE(lease->release());
  const Status health = lease->health();
  ASSERT_EQ(code_of(health), ErrorCode::io);
  EXPECT_THAT(health.error().message(), HasSubstr("could not be refreshed"));
}

TEST(Lease, ReleasedOneIsNotWrittenAgain) {
  WatchedFixture fixture;
  const auto lease = fixture.create_restless().value();
  fixture.watch.replaced.acquire();
  ASSERT_TRUE(lease->release());
  EXPECT_THAT(list_leases(fixture.cluster).value(), IsEmpty());
}

TEST(CheckLease, DamagedOrForeignOneIsCorrupt) {
  LeaseFixture fixture;
  const std::string id = fixture.created_id();
  EXPECT_TRUE(check_lease(fixture.cluster, id));
  Cluster other = fixture.cluster;
  other.repository.bytes[0] ^= std::byte{1};
  EXPECT_EQ(code_of(check_lease(other, id)), ErrorCode::corrupt);
  fixture.damage(fixture.cluster.layout.lease(id), 70);
  EXPECT_EQ(code_of(check_lease(fixture.cluster, id)), ErrorCode::corrupt);
}

TEST(CheckLease, ContentThatIsNoLeaseIsCorruptAndNamesTheObject) {
  const LeaseFixture fixture;
  const std::string key = fixture.cluster.layout.lease("a");
  for (const std::string_view body : {"no json", "{}", "{\"lease\":\"b\"}"}) {
    fixture.overwrite(
        key, frame_object(ObjectKind::lease, fixture.cluster.repository, key, bytes_of(body)));
    const Status checked = check_lease(fixture.cluster, "a");
    ASSERT_EQ(code_of(checked), ErrorCode::corrupt) << body;
    EXPECT_THAT(checked.error().message(), HasSubstr(key));
  }
}

TEST(CheckLease, AbsentIsNotFound) {
  EXPECT_EQ(code_of(check_lease(LeaseFixture().cluster, "a")), ErrorCode::not_found);
}

TEST(LeaseHolder, ThisProcessKnowsItself) {
  const LeaseHolder holder = this_process("restore");
  EXPECT_EQ(holder.purpose, "restore");
  EXPECT_GT(holder.process, 0);
  EXPECT_FALSE(holder.host.empty());
}

}  // namespace
}  // namespace haul::repository
