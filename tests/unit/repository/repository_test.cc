#include "engine/repository/repository.h"

#include <functional>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "engine/repository/framed_object.h"
#include "io/posix_object_store.h"
#include "io/sim_directory.h"
#include "tests/support/file_content.h"
#include "tests/support/forwarding_store.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_object_store.h"

namespace haul::repository {
namespace {

using support::code_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Empty {
  std::unique_ptr<io::ObjectStore> store = support::make_memory_object_store();
  SeededRandom random{1};
  support::ManualClock clock;

  Status init(const RepositoryParameters& parameters = {}) {
    return Repository::init(*store, parameters, random, clock);
  }
  void put(const std::string& key) const {
    HAUL_ASSERT(store->put_if_absent(key, bytes_of("x")).has_value());
  }
};

std::unique_ptr<io::ObjectStore> initialized() {
  Empty empty;
  HAUL_ASSERT(empty.init().has_value());
  return std::move(empty.store);
}

// A config of the given text, framed as it should be.
Result<Repository> open_with_config(const std::function<void(Json&)>& change) {
  auto store = initialized();
  const std::string key(kConfigKey);
  const FramedObject frame =
      unframe_object(ObjectKind::config, key, store->get(key, 1 << 16).value()).value();
  Json json = Json::parse(text_of(frame.body)).value();
  change(json);
  HAUL_ASSERT(store
                  ->replace(key, frame_object(ObjectKind::config, frame.repository, key,
                                              bytes_of(json.dump())))
                  .has_value());
  return Repository::open(std::move(store));
}

TEST(RepositoryInit, MakesARepositoryOfNothingButItsConfig) {
  auto store = initialized();
  EXPECT_THAT(store->list("").value(),
              ElementsAre(::testing::Field(&io::ObjectInfo::key, "config")));
}

TEST(RepositoryInit, ParametersComeBack) {
  Empty empty;
  const RepositoryParameters parameters{64, 2U << 20};
  ASSERT_TRUE(empty.init(parameters));
  EXPECT_EQ(Repository::open(std::move(empty.store)).value().parameters(), parameters);
}

TEST(RepositoryInit, EveryRepositoryHasItsOwnIdAndKey) {
  Empty first;
  Empty second;
  ASSERT_TRUE(first.init());
  second.random = SeededRandom(2);
  ASSERT_TRUE(second.init());
  const Repository a = Repository::open(std::move(first.store)).value();
  const Repository b = Repository::open(std::move(second.store)).value();
  EXPECT_NE(a.id(), b.id());
  const Cluster of_a = a.cluster("main").value();
  const Cluster of_b = b.cluster("main").value();
  EXPECT_NE(of_a.identity->page_digest(bytes_of("x")), of_b.identity->page_digest(bytes_of("x")));
}

TEST(RepositoryInit, OverARepositoryIsAlreadyExists) {
  Empty empty;
  ASSERT_TRUE(empty.init());
  EXPECT_EQ(code_of(empty.init()), ErrorCode::already_exists);
}

TEST(RepositoryInit, OverAnythingElseIsUsageAndTouchesNothing) {
  Empty empty;
  empty.put("somebody/elses/file");
  const Status init = empty.init();
  ASSERT_EQ(code_of(init), ErrorCode::usage);
  EXPECT_FALSE(init.error().hint().empty());
  EXPECT_EQ(empty.store->list("").value().size(), 1U);
}

TEST(RepositoryInit, AfterOneThatWasKilledNeedsNoHelp) {
  Empty empty;
  empty.put("probe");
  ASSERT_TRUE(empty.init());
  EXPECT_EQ(empty.store->list("").value().size(), 1U);
}

TEST(RepositoryInit, ParametersOutOfRangeAreUsage) {
  for (const RepositoryParameters& parameters :
       {RepositoryParameters{4, kPackSizeDefault}, RepositoryParameters{256, kPackSizeDefault},
        RepositoryParameters{33, kPackSizeDefault}, RepositoryParameters{0, kPackSizeDefault},
        RepositoryParameters{32, kPackSizeMin - 1}, RepositoryParameters{32, kPackSizeMax + 1}}) {
    Empty empty;
    const Status init = empty.init(parameters);
    ASSERT_EQ(code_of(init), ErrorCode::usage);
    EXPECT_FALSE(init.error().hint().empty());
    EXPECT_THAT(empty.store->list("").value(), IsEmpty());
  }
}

TEST(RepositoryInit, ParametersAtTheirLimitsAreAccepted) {
  for (const RepositoryParameters& parameters :
       {RepositoryParameters{kChunkPagesMin, kPackSizeMin},
        RepositoryParameters{kChunkPagesMax, kPackSizeMax}}) {
    EXPECT_TRUE(Empty().init(parameters));
  }
}

TEST(RepositoryInit, StoreThatOverwritesIsUnsupported) {
  class OverwritingStore final : public support::ForwardingStore {
   public:
    using ForwardingStore::ForwardingStore;
    Status put_if_absent(const std::string& key, ByteSpan bytes) override {
      return inner().replace(key, bytes);
    }
  };
  Empty empty;
  OverwritingStore overwriting(*empty.store);
  const Status init = Repository::init(overwriting, {}, empty.random, empty.clock);
  ASSERT_EQ(code_of(init), ErrorCode::unsupported);
  EXPECT_FALSE(init.error().hint().empty());
  EXPECT_THAT(empty.store->list("").value(), IsEmpty());
}

// Runs another init to its end after the first put of one.
class OvertakenStore final : public support::ForwardingStore {
 public:
  OvertakenStore(io::ObjectStore& inner, std::function<void()> meanwhile)
      : ForwardingStore(inner), meanwhile_(std::move(meanwhile)) {}
  Status put_if_absent(const std::string& key, ByteSpan bytes) override {
    const Status put = inner().put_if_absent(key, bytes);
    if (meanwhile_) std::exchange(meanwhile_, nullptr)();
    return put;
  }

 private:
  std::function<void()> meanwhile_;
};

TEST(RepositoryInit, ThatAnotherOneOvertakesIsAlreadyExists) {
  Empty empty;
  SeededRandom random(2);
  OvertakenStore store(*empty.store, [&] { HAUL_ASSERT(empty.init().has_value()); });
  EXPECT_EQ(code_of(Repository::init(store, {}, random, empty.clock)), ErrorCode::already_exists);
  EXPECT_THAT(empty.store->list("").value(),
              ElementsAre(::testing::Field(&io::ObjectInfo::key, "config")));
  EXPECT_TRUE(Repository::open(std::move(empty.store)));
}

// Fails the puts, heads or syncs that come after the config was put, which it is all the same.
class FailingAfterConfigStore final : public support::ForwardingStore {
 public:
  enum class What { put, sync };
  FailingAfterConfigStore(io::ObjectStore& inner, What what)
      : ForwardingStore(inner), what_(what) {}
  Status put_if_absent(const std::string& key, ByteSpan bytes) override {
    HAUL_TRY(inner().put_if_absent(key, bytes));
    if (key == kConfigKey && what_ == What::put) return Error(ErrorCode::io, "the device failed");
    return ok();
  }
  Status make_durable(const std::string& prefix) override {
    if (what_ == What::sync) return Error(ErrorCode::io, "the device failed");
    return inner().make_durable(prefix);
  }

 private:
  const What what_;
};

TEST(RepositoryInit, FailureOnceTheConfigIsThereTakesItAway) {
  for (const auto what :
       {FailingAfterConfigStore::What::put, FailingAfterConfigStore::What::sync}) {
    Empty empty;
    FailingAfterConfigStore store(*empty.store, what);
    EXPECT_EQ(code_of(Repository::init(store, {}, empty.random, empty.clock)), ErrorCode::io);
    EXPECT_THAT(empty.store->list("").value(), IsEmpty());
  }
}

TEST(RepositoryInit, RandomnessThatFailsIsReported) {
  class NoRandom final : public Random {
   public:
    Status fill(MutableByteSpan) override { return Error(ErrorCode::io, "no entropy"); }
  };
  Empty empty;
  NoRandom random;
  EXPECT_EQ(code_of(Repository::init(*empty.store, {}, random, empty.clock)), ErrorCode::io);
}

TEST(RepositoryInit, EndsWithASyncOfTheTop) {
  class SyncedStore final : public support::ForwardingStore {
   public:
    using ForwardingStore::ForwardingStore;
    Status make_durable(const std::string& prefix) override {
      had_config = prefix.empty() && inner().head("config").has_value();
      return Error(ErrorCode::io, "the device failed");
    }
    bool had_config = false;
  };
  Empty empty;
  SyncedStore synced(*empty.store);
  EXPECT_EQ(code_of(Repository::init(synced, {}, empty.random, empty.clock)), ErrorCode::io);
  EXPECT_TRUE(synced.had_config);
}

TEST(RepositoryOpen, WithoutAConfigIsNoRepository) {
  const auto opened = Repository::open(support::make_memory_object_store());
  ASSERT_EQ(code_of(opened), ErrorCode::no_repository);
  EXPECT_FALSE(opened.error().hint().empty());
}

TEST(RepositoryOpen, EveryChangedByteOfTheConfigIsFound) {
  const std::vector<std::byte> sound = initialized()->get("config", 1 << 16).value();
  for (std::size_t i = 0; i < sound.size(); ++i) {
    auto store = support::make_memory_object_store();
    std::vector<std::byte> damaged = sound;
    damaged[i] ^= std::byte{1};
    ASSERT_TRUE(store->put_if_absent("config", damaged));
    const auto opened = Repository::open(std::move(store));
    ASSERT_FALSE(opened) << i;
    EXPECT_THAT(opened.error().message(), HasSubstr("config"));
  }
}

TEST(RepositoryOpen, ConfigBeyondItsLimitIsCorrupt) {
  auto store = support::make_memory_object_store();
  ASSERT_TRUE(store->put_if_absent("config", std::vector<std::byte>((1 << 16) + 1)));
  EXPECT_EQ(code_of(Repository::open(std::move(store))), ErrorCode::corrupt);
}

TEST(RepositoryOpen, ConfigWithMoreThanWeKnowIsAccepted) {
  EXPECT_TRUE(open_with_config([](Json& json) { json.set("comment", "x"); }));
}

TEST(RepositoryOpen, ConfigOfAnotherFormatOrDigestIsUnsupported) {
  EXPECT_EQ(code_of(open_with_config([](Json& json) { json.set("format", 2); })),
            ErrorCode::unsupported);
  EXPECT_EQ(code_of(open_with_config([](Json& json) { json.set("digest", "SHA-256"); })),
            ErrorCode::unsupported);
}

TEST(RepositoryOpen, ConfigWithAnInvalidMemberIsCorruptAndNamesTheConfig) {
  const std::vector<std::function<void(Json&)>> changes{
      [](Json& json) { json.set("repository", std::string(32, '0')); },
      [](Json& json) { json.set("id_key", "abc"); },
      [](Json& json) { json.set("id_key", std::string(64, 'X')); },
      [](Json& json) { json.set("chunk_pages", 33); },
      [](Json& json) { json.set("chunk_pages", (std::uint64_t{1} << 32) + 32); },
      [](Json& json) { json.set("chunk_pages", "32"); },
      [](Json& json) { json.set("pack_size_bytes", 1); },
      [](Json& json) { json = Json::array(); },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const auto opened = open_with_config(changes[i]);
    ASSERT_EQ(code_of(opened), ErrorCode::corrupt) << i;
    EXPECT_THAT(opened.error().message(), HasSubstr("config")) << i;
  }
}

TEST(RepositoryCluster, KnowsEverythingItNeeds) {
  const Repository repository = Repository::open(initialized()).value();
  const Cluster cluster = repository.cluster("main").value();
  EXPECT_EQ(cluster.name, "main");
  EXPECT_EQ(cluster.layout.root(), "clusters/main");
  EXPECT_EQ(cluster.repository, repository.id());
  EXPECT_EQ(cluster.parameters, repository.parameters());
  EXPECT_EQ(cluster.store, &repository.store());
  EXPECT_NE(cluster.identity, nullptr);
}

TEST(RepositoryCluster, NameThatBreaksTheGrammarIsUsage) {
  const Repository repository = Repository::open(initialized()).value();
  EXPECT_EQ(code_of(repository.cluster("../x")), ErrorCode::usage);
}

TEST(RepositoryClusters, AreThoseWithObjects) {
  const Repository repository = Repository::open(initialized()).value();
  EXPECT_THAT(repository.clusters().value(), IsEmpty());
  for (const std::string key : {"clusters/b/leases/x", "clusters/a/snapshots/y",
                                "clusters/b/index/z", "clusters/stray", "clusters/-bad/leases/x"}) {
    ASSERT_TRUE(repository.store().put_if_absent(key, bytes_of("x")));
  }
  EXPECT_THAT(repository.clusters().value(), ElementsAre("a", "b"));
}

TEST(RepositoryClusters, AreNotThoseOfWhichOnlyDirectoriesAreLeft) {
  io::SimDisk disk;
  Empty empty;
  empty.store = io::make_posix_object_store(disk.open("").value(), {});
  ASSERT_TRUE(empty.init());
  empty.put("clusters/gone/leases/x");
  empty.put("clusters/there/packs/x/y");
  ASSERT_TRUE(empty.store->remove("clusters/gone/leases/x"));
  const Repository repository = Repository::open(std::move(empty.store)).value();
  EXPECT_THAT(repository.clusters().value(), ElementsAre("there"));
}

TEST(RepositoryClusters, FailureOfAListingIsReported) {
  class UnlistedStore final : public support::ForwardingStore {
   public:
    UnlistedStore(std::unique_ptr<io::ObjectStore> inner, std::string prefix)
        : ForwardingStore(std::move(inner)), prefix_(std::move(prefix)) {}
    Result<io::ObjectNames> list_names(const std::string& prefix) override {
      if (prefix == prefix_) return Error(ErrorCode::io, "the device failed");
      return inner().list_names(prefix);
    }

   private:
    const std::string prefix_;
  };
  for (const std::string prefix : {"clusters", "clusters/main", "clusters/main/leases"}) {
    auto store = initialized();
    ASSERT_TRUE(store->put_if_absent("clusters/main/leases/x", bytes_of("x")));
    const Repository repository =
        Repository::open(std::make_unique<UnlistedStore>(std::move(store), prefix)).value();
    EXPECT_EQ(code_of(repository.clusters()), ErrorCode::io) << prefix;
  }
}

TEST(RepositoryStillThere, UntilItsConfigGoesOrIsAnothers) {
  const Repository repository = Repository::open(initialized()).value();
  EXPECT_TRUE(repository.check_still_there());

  Empty other;
  other.random = SeededRandom(2);
  ASSERT_TRUE(other.init());
  ASSERT_TRUE(repository.store().replace("config", other.store->get("config", 1 << 16).value()));
  EXPECT_EQ(code_of(repository.check_still_there()), ErrorCode::io);

  ASSERT_TRUE(repository.store().remove("config"));
  const Status gone = repository.check_still_there();
  ASSERT_EQ(code_of(gone), ErrorCode::io);
  EXPECT_FALSE(gone.error().hint().empty());
}

TEST(RepositoryStillThere, NotWhenItsNameLeadsElsewhere) {
  bool present = true;
  const Repository repository =
      Repository::open(initialized(), [&]() -> Result<std::unique_ptr<io::ObjectStore>> {
        if (present) return initialized();
        return Error(ErrorCode::not_found, "moved away");
      }).value();
  EXPECT_TRUE(repository.check_still_there());
  present = false;
  EXPECT_EQ(code_of(repository.check_still_there()), ErrorCode::io);
}

}  // namespace
}  // namespace haul::repository
