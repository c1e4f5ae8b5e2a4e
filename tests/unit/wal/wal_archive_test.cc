#include "engine/wal/wal_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/postgres/backup_facts.h"
#include "engine/repository/snapshot.h"
#include "tests/support/forwarding_store.h"
#include "tests/unit/wal/wal_fixture.h"

namespace haul::wal {
namespace {

using testing::ArchiveFixture;
using testing::code_of;
using testing::FakeSegment;
using ::testing::HasSubstr;
using testing::kOtherSystem;
using testing::kSystem;

// Puts a file as push does.
Result<WalArchive::Put> put(WalArchive& archive, const std::string& name,
                            const std::string& content) {
  const WalName parsed = parse_wal_name(name).value();
  const WalFacts facts = HAUL_TRY(examine_content(parsed, bytes_of(content)));
  return archive.put(parsed, facts, bytes_of(content));
}

Result<WalArchive::Put> put(WalArchive& archive, const FakeSegment& segment) {
  return put(archive, segment.name(), segment.content());
}

std::string key_of(const ArchiveFixture& fixture, const FakeSegment& segment) {
  return WalLayout(fixture.cluster().layout, segment.system)
      .key(parse_wal_name(segment.name()).value());
}

TEST(WalArchive, FileComesBack) {
  const ArchiveFixture fixture;
  WalArchive archive = fixture.archive();
  const FakeSegment segment;
  EXPECT_EQ(put(archive, segment).value(), WalArchive::Put::stored);
  EXPECT_EQ(text_of(archive.get(parse_wal_name(segment.name()).value()).value()),
            segment.content());
}

TEST(WalArchive, AbsentFileIsNotFound) {
  const ArchiveFixture fixture;
  EXPECT_EQ(code_of(fixture.archive().get(parse_wal_name("00000002.history").value())),
            ErrorCode::not_found);
}

TEST(WalArchive, SameContentAgainIsASuccess) {
  const ArchiveFixture fixture;
  WalArchive archive = fixture.archive();
  ASSERT_TRUE(put(archive, FakeSegment{}));
  EXPECT_EQ(put(archive, FakeSegment{}).value(), WalArchive::Put::was_there);
}

TEST(WalArchive, OtherContentIsRefusedAndChangesNothing) {
  ArchiveFixture fixture;
  WalArchive archive = fixture.archive();
  ASSERT_TRUE(put(archive, FakeSegment{.seed = 1}));
  const std::string before = fixture.object(key_of(fixture, {}));
  const auto again = put(archive, FakeSegment{.seed = 2});
  ASSERT_EQ(code_of(again), ErrorCode::already_exists);
  EXPECT_THAT(again.error().message(),
              HasSubstr("in the archive with another content, from byte "));
  EXPECT_EQ(fixture.object(key_of(fixture, {})), before);
}

TEST(WalArchive, LongerHistoryUnderATakenNameIsRefused) {
  const ArchiveFixture fixture;
  WalArchive archive = fixture.archive();
  const std::string history = testing::history_of_2("0/500028");
  ASSERT_TRUE(put(archive, "00000002.history", history));
  const auto again = put(archive, "00000002.history", history + "# more\n");
  ASSERT_EQ(code_of(again), ErrorCode::already_exists);
  EXPECT_THAT(again.error().message(), HasSubstr("from byte 40 on"));
}

TEST(WalArchive, DamagedCopyIsNeitherAcceptedNorReplaced) {
  ArchiveFixture fixture;
  WalArchive archive = fixture.archive();
  ASSERT_TRUE(put(archive, FakeSegment{}));
  std::string object = fixture.object(key_of(fixture, {}));
  object.back() = static_cast<char>(object.back() ^ 1);
  fixture.overwrite(key_of(fixture, {}), object);
  const auto again = put(archive, FakeSegment{});
  ASSERT_EQ(code_of(again), ErrorCode::corrupt);
  EXPECT_THAT(again.error().message(), HasSubstr("the archived copy of " + FakeSegment().name()));
  EXPECT_NE(again.error().hint(), "");
  EXPECT_EQ(fixture.object(key_of(fixture, {})), object);
}

// Each was checked before the other one had stored anything.
TEST(WalArchive, OfTwoSystemsThatBeginAtOnceNotBothAreAcknowledged) {
  const ArchiveFixture fixture;
  WalArchive one = fixture.archive();
  WalArchive other = fixture.archive(kOtherSystem);
  ASSERT_TRUE(put(one, FakeSegment{}));
  ASSERT_TRUE(put(other, FakeSegment{.system = kOtherSystem}));
  const Status first = one.make_durable();
  ASSERT_EQ(code_of(first), ErrorCode::server_state);
  EXPECT_THAT(first.error().message(), HasSubstr("cluster main belongs to system identifier"));
  EXPECT_EQ(code_of(other.make_durable()), ErrorCode::server_state);
}

// Another process gives the name between the look and the commit.
class RacedStore final : public support::ForwardingStore {
 public:
  RacedStore(io::ObjectStore& inner, std::string rival)
      : ForwardingStore(inner), rival_(std::move(rival)) {}

  Result<std::unique_ptr<io::ObjectWriter>> create(const std::string& key) override {
    HAUL_ASSERT(inner().put_if_absent(key, bytes_of(rival_)).has_value());
    return inner().create(key);
  }

 private:
  const std::string rival_;
};

TEST(WalArchive, RivalWithTheSameContentIsASuccess) {
  ArchiveFixture first;
  WalArchive archive = first.archive();
  ASSERT_TRUE(put(archive, FakeSegment{}));
  const std::string object = first.object(key_of(first, {}));
  ASSERT_TRUE(first.repository().store().remove(key_of(first, {})));

  repository::Cluster cluster = first.cluster();
  RacedStore store(*cluster.store, object);
  cluster.store = &store;
  WalArchive raced(cluster, kSystem);
  EXPECT_EQ(put(raced, FakeSegment{}).value(), WalArchive::Put::was_there);
}

TEST(WalArchive, RivalWithOtherContentIsRefused) {
  ArchiveFixture first;
  WalArchive archive = first.archive();
  ASSERT_TRUE(put(archive, FakeSegment{.seed = 2}));
  const std::string object = first.object(key_of(first, {}));
  ASSERT_TRUE(first.repository().store().remove(key_of(first, {})));

  repository::Cluster cluster = first.cluster();
  RacedStore store(*cluster.store, object);
  cluster.store = &store;
  WalArchive raced(cluster, kSystem);
  EXPECT_EQ(code_of(put(raced, FakeSegment{.seed = 1})), ErrorCode::already_exists);
}

// Counts what becomes durable.
class DurabilityLog final : public support::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  Status make_durable(const std::string& prefix) override {
    prefixes.push_back(prefix);
    return inner().make_durable(prefix);
  }

  std::vector<std::string> prefixes;
};

TEST(WalArchive, EveryTouchedPrefixBecomesDurableOnce) {
  ArchiveFixture fixture;
  repository::Cluster cluster = fixture.cluster();
  DurabilityLog log(*cluster.store);
  cluster.store = &log;
  WalArchive archive(cluster, kSystem);
  ASSERT_TRUE(put(archive, FakeSegment{.number = 5}));
  ASSERT_TRUE(put(archive, FakeSegment{.number = 6}));
  ASSERT_TRUE(put(archive, FakeSegment{.number = 6}));
  ASSERT_TRUE(put(archive, "00000002.history", testing::history_of_2("0/500028")));
  EXPECT_TRUE(log.prefixes.empty());
  ASSERT_TRUE(archive.make_durable());
  const WalLayout layout(cluster.layout, kSystem);
  EXPECT_THAT(log.prefixes,
              ::testing::ElementsAre(layout.timeline(TimelineId{1}) + "/0000000100000000",
                                     layout.histories()));
  ASSERT_TRUE(archive.make_durable());
  EXPECT_EQ(log.prefixes.size(), 2U);
}

// What a process did not create itself it makes durable all the same.
TEST(WalArchive, NameThatWasThereBecomesDurable) {
  ArchiveFixture fixture;
  WalArchive archive = fixture.archive();
  ASSERT_TRUE(put(archive, FakeSegment{}));
  repository::Cluster cluster = fixture.cluster();
  DurabilityLog log(*cluster.store);
  cluster.store = &log;
  WalArchive second(cluster, kSystem);
  ASSERT_TRUE(put(second, FakeSegment{}));
  ASSERT_TRUE(second.make_durable());
  EXPECT_EQ(log.prefixes.size(), 1U);
}

TEST(BoundSystem, NothingIsBoundToNothing) {
  const ArchiveFixture fixture;
  EXPECT_EQ(bound_system(fixture.cluster()).value(), std::nullopt);
  EXPECT_TRUE(check_system(fixture.cluster(), kOtherSystem));
}

TEST(BoundSystem, FirstWalBinds) {
  const ArchiveFixture fixture;
  WalArchive archive = fixture.archive();
  ASSERT_TRUE(put(archive, FakeSegment{}));
  EXPECT_EQ(bound_system(fixture.cluster()).value(), kSystem);
  EXPECT_TRUE(check_system(fixture.cluster(), kSystem));
  const Status other = check_system(fixture.cluster(), kOtherSystem);
  ASSERT_EQ(code_of(other), ErrorCode::server_state);
  EXPECT_THAT(other.error().message(), HasSubstr("cluster main belongs to system identifier"));
}

TEST(BoundSystem, AnotherClusterIsItsOwn) {
  const ArchiveFixture fixture;
  WalArchive archive = fixture.archive();
  ASSERT_TRUE(put(archive, FakeSegment{}));
  EXPECT_TRUE(check_system(fixture.cluster("other"), kOtherSystem));
}

TEST(BoundSystem, PrefixThatACrashLeftBindsNothing) {
  ArchiveFixture fixture;
  const std::string root = "repo/clusters/main";
  for (const std::string& directory :
       {std::string("repo/clusters"), root, root + "/wal", root + "/wal/77",
        root + "/wal/77/00000001", root + "/wal/text"}) {
    ASSERT_TRUE(fixture.top()->make_directory(directory, 0700)) << directory;
  }
  EXPECT_EQ(bound_system(fixture.cluster()).value(), std::nullopt);
  WalArchive archive = fixture.archive();
  ASSERT_TRUE(put(archive, FakeSegment{}));
  EXPECT_EQ(bound_system(fixture.cluster()).value(), kSystem);
  EXPECT_TRUE(check_system(fixture.cluster(), kSystem));
}

// A backup of nothing.
void commit_backup(const ArchiveFixture& fixture, const std::string& id, Json facts) {
  repository::Snapshot snapshot;
  snapshot.id = id;
  snapshot.cluster = "main";
  snapshot.facts = std::move(facts);
  HAUL_ASSERT(repository::commit_snapshot(snapshot, fixture.cluster()).has_value());
}

Json facts_of(std::uint64_t system) {
  postgres::BackupFacts facts;
  facts.system_identifier = system;
  return postgres::to_json(facts);
}

TEST(BoundSystem, BackupBinds) {
  const ArchiveFixture fixture;
  commit_backup(fixture, "20261123T020222Z-F", facts_of(kSystem));
  EXPECT_EQ(bound_system(fixture.cluster()).value(), kSystem);
  EXPECT_TRUE(check_system(fixture.cluster(), kSystem));
  EXPECT_EQ(code_of(check_system(fixture.cluster(), kOtherSystem)), ErrorCode::server_state);
}

TEST(BoundSystem, BackupThatCannotBeReadLeavesItToAnotherOne) {
  const ArchiveFixture fixture;
  commit_backup(fixture, "20261123T020222Z-F", facts_of(kSystem));
  commit_backup(fixture, "20261123T030222Z-F", Json::object());
  EXPECT_EQ(bound_system(fixture.cluster()).value(), kSystem);
}

TEST(BoundSystem, BackupsThatCannotBeReadAreAnErrorAndNotNothing) {
  const ArchiveFixture fixture;
  commit_backup(fixture, "20261123T020222Z-F", Json::object());
  EXPECT_EQ(code_of(bound_system(fixture.cluster())), ErrorCode::corrupt);
}

TEST(BoundSystem, TwoSystemsInOneClusterAreAnError) {
  const ArchiveFixture fixture;
  WalArchive mine = fixture.archive();
  WalArchive other = fixture.archive(kOtherSystem);
  ASSERT_TRUE(put(mine, FakeSegment{}));
  ASSERT_TRUE(put(other, FakeSegment{.system = kOtherSystem}));
  EXPECT_EQ(code_of(bound_system(fixture.cluster())), ErrorCode::server_state);
  EXPECT_EQ(code_of(check_system(fixture.cluster(), kSystem)), ErrorCode::server_state);
}

}  // namespace
}  // namespace haul::wal
