// What only the posix store does: its files, its sync points, its answers to damage and failing
// devices. What every store does is in tests/conformance/object_store_test.cc, power loss in
// tests/conformance/power_loss_test.cc.

#include "io/posix_object_store.h"

#include <unistd.h>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/fault_directory.h"
#include "io/posix_directory.h"
#include "io/sim_directory.h"
#include "tests/support/file_content.h"
#include "tests/support/temporary_directory.h"

namespace haul::io {
namespace {

using support::code_of;
using support::names_in;
using support::read_file;
using support::write_file;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kNoLimit = 1ULL << 40;

// A store on a real directory behind a fault plan.
class PosixObjectStoreTest : public ::testing::Test {
 protected:
  PosixObjectStoreTest() : root_(open_posix_directory(top_.path()).take()) { use_plan(""); }

  void use_plan(std::string_view plan) {
    plan_ = parse_fault_plan(plan).take();
    store_ = make_posix_object_store(
        make_fault_directory(open_posix_directory(top_.path()).take(), plan_), {});
  }

  ObjectStore& store() { return *store_; }
  Directory& root() { return *root_; }
  FaultPlan& plan() { return *plan_; }
  const std::string& top() const { return top_.path(); }
  Status put(const std::string& key) { return store().put_if_absent(key, bytes_of("hello")); }

 private:
  support::TemporaryDirectory top_;
  std::unique_ptr<Directory> root_;
  std::shared_ptr<FaultPlan> plan_;
  std::unique_ptr<ObjectStore> store_;
};

TEST_F(PosixObjectStoreTest, NothingIsCreatedBeforeSomethingIsPut) {
  ASSERT_THAT(store().list("").value(), IsEmpty());
  EXPECT_THAT(names_in(root(), "").value(), IsEmpty());
}

TEST_F(PosixObjectStoreTest, ObjectIsPrivateFileInPrivateDirectories) {
  ASSERT_TRUE(put("a/b/c"));
  EXPECT_EQ(root().info("a")->mode, 0700U);
  EXPECT_EQ(root().info("a/b")->mode, 0700U);
  EXPECT_EQ(root().info("a/b/c")->mode, 0600U);
  EXPECT_EQ(root().info("tmp")->mode, 0700U);
  EXPECT_THAT(names_in(root(), "tmp").value(), IsEmpty());
}

TEST_F(PosixObjectStoreTest, WhatIsCreatedGetsTheOwner) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  const auto owned =
      make_posix_object_store(open_posix_directory(top()).take(), {.owner = FileOwner{1234, 2345}});
  ASSERT_TRUE(owned->put_if_absent("a/b", bytes_of("x")));
  ASSERT_TRUE(owned->replace("l/m", bytes_of("x")));
  ASSERT_TRUE(owned->create("w").take()->commit());
  for (const char* path : {"tmp", "a", "a/b", "l", "l/m", "w"}) {
    EXPECT_EQ(root().info(path)->user, 1234U) << path;
    EXPECT_EQ(root().info(path)->group, 2345U) << path;
  }
}

TEST(PosixObjectStore, OwnersAndModesAreDurableWithTheNames) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SimDisk disk;
    const auto store =
        make_posix_object_store(disk.open("").take(), {.owner = FileOwner{1234, 2345}});
    ASSERT_TRUE(store->put_if_absent("a/b/c", bytes_of("x")));
    ASSERT_TRUE(store->make_durable("a/b"));
    disk.crash(seed);
    const auto root = disk.open("").take();
    for (const char* path : {"a", "a/b", "a/b/c"}) {
      EXPECT_EQ(root->info(path)->user, 1234U) << path << ", seed " << seed;
    }
  }
}

TEST_F(PosixObjectStoreTest, PutSyncsTheFileOnceBeforeItIsNamed) {
  ASSERT_TRUE(put("a"));
  EXPECT_EQ(plan().calls("sync"), 1U);
  EXPECT_EQ(plan().calls("sync_directory"), 0U);
}

TEST_F(PosixObjectStoreTest, MakeDurableSyncsAncestorsOnceOnly) {
  ASSERT_TRUE(put("a/b/c"));
  ASSERT_TRUE(put("a/d/e"));
  ASSERT_TRUE(store().make_durable("a/b"));
  EXPECT_EQ(plan().calls("sync_directory"), 3U);  // a/b, a, the root
  ASSERT_TRUE(store().make_durable("a/b"));
  EXPECT_EQ(plan().calls("sync_directory"), 4U);
  ASSERT_TRUE(store().make_durable("a/d"));
  EXPECT_EQ(plan().calls("sync_directory"), 6U);  // a/d, a for the name of a/d
}

TEST_F(PosixObjectStoreTest, FailureBeforeTheNameLeavesNothing) {
  ASSERT_TRUE(put("first"));
  for (const char* rule : {"create:1:eio", "write:1:enospc", "write:1:short", "sync:1:eio",
                           "publish:1:eio", "make_directory:1:eacces", "publish:2:eio"}) {
    use_plan(rule);
    EXPECT_FALSE(put("a/b")) << rule;
    EXPECT_THAT(store().list("").value(), ElementsAre(ObjectInfo{"first", 5})) << rule;
    EXPECT_THAT(names_in(root(), "tmp").value(), IsEmpty()) << rule;
  }
}

TEST_F(PosixObjectStoreTest, FailureToMakeTheTemporaryDirectoryIsReported) {
  use_plan("make_directory:1:eacces");
  EXPECT_EQ(code_of(put("a")), ErrorCode::permission);
}

TEST_F(PosixObjectStoreTest, FailureToGiveTheOwnerIsReported) {
  const auto denied = make_posix_object_store(
      make_fault_directory(open_posix_directory(top()).take(),
                           parse_fault_plan("set_owner:3:eacces,set_owner:4:eacces").take()),
      {.owner = FileOwner{::geteuid(), ::getegid()}});
  ASSERT_TRUE(denied->put_if_absent("a", bytes_of("x")));  // tmp, a
  EXPECT_EQ(code_of(denied->put_if_absent("b", bytes_of("x"))), ErrorCode::permission);
  EXPECT_EQ(code_of(denied->create("c")), ErrorCode::permission);
  ASSERT_THAT(denied->list("").value(), ElementsAre(ObjectInfo{"a", 1}));
}

TEST_F(PosixObjectStoreTest, FailedSyncIsNotRepeated) {
  use_plan("sync:1:eio");
  EXPECT_EQ(code_of(put("a")), ErrorCode::io);
  EXPECT_EQ(plan().calls("sync"), 1U);
  EXPECT_TRUE(put("a")) << "a new file is written and synced";
}

TEST_F(PosixObjectStoreTest, WriterIsSpentByItsFirstFailure) {
  use_plan("write:1:enospc");
  const auto writer = store().create("a").take();
  const std::string content = support::pattern(1U << 20, 1);
  EXPECT_EQ(code_of(writer->append(bytes_of(content))), ErrorCode::no_space);
  EXPECT_EQ(code_of(writer->append(bytes_of("x"))), ErrorCode::io);
  EXPECT_EQ(code_of(writer->commit()), ErrorCode::io);
  EXPECT_EQ(code_of(store().head("a")), ErrorCode::not_found);
}

TEST_F(PosixObjectStoreTest, WriterWritesWholeMebibytes) {
  const auto writer = store().create("a").take();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(writer->append(bytes_of(support::pattern(512U << 10, 1))));
  }
  EXPECT_EQ(plan().calls("write"), 2U);
  ASSERT_TRUE(writer->commit());
  EXPECT_EQ(plan().calls("write"), 3U);
}

TEST_F(PosixObjectStoreTest, CommittedWriterIsDone) {
  const auto writer = store().create("a").take();
  ASSERT_TRUE(writer->commit());
  EXPECT_DEATH(std::ignore = writer->append(bytes_of("x")), "assertion failed");
}

TEST_F(PosixObjectStoreTest, FailureOfCloseIsReported) {
  use_plan("close:1:eio");
  EXPECT_EQ(code_of(put("a")), ErrorCode::io);
}

TEST_F(PosixObjectStoreTest, FailedReplaceKeepsTheOldObject) {
  ASSERT_TRUE(put("lease"));
  for (const char* rule : {"sync:1:eio", "write:1:enospc", "publish_over:1:eio"}) {
    use_plan(rule);
    EXPECT_FALSE(store().replace("lease", bytes_of("new"))) << rule;
    EXPECT_EQ(read_file(root(), "lease").value(), "hello") << rule;
  }
}

TEST_F(PosixObjectStoreTest, DirectoryWhoseSyncFailedIsNeverCalledDurable) {
  use_plan("sync_directory:1:eio");
  ASSERT_TRUE(put("a/b"));
  EXPECT_EQ(code_of(store().make_durable("a")), ErrorCode::io);
  EXPECT_EQ(code_of(store().make_durable("a")), ErrorCode::io);
  EXPECT_EQ(plan().calls("sync_directory"), 1U);
  EXPECT_TRUE(store().make_durable(""));
}

TEST_F(PosixObjectStoreTest, AncestorWhoseSyncFailedIsNeverCalledDurable) {
  use_plan("sync_directory:2:enospc");
  ASSERT_TRUE(put("a/b"));
  EXPECT_EQ(code_of(store().make_durable("a")), ErrorCode::no_space);
  EXPECT_EQ(code_of(store().make_durable("a")), ErrorCode::io);
}

TEST_F(PosixObjectStoreTest, DirectoryThatCouldNotBeOpenedMayBeTriedAgain) {
  use_plan("sync_directory:1:eacces");
  ASSERT_TRUE(put("a/b"));
  EXPECT_EQ(code_of(store().make_durable("a")), ErrorCode::permission);
  EXPECT_TRUE(store().make_durable("a"));
}

TEST_F(PosixObjectStoreTest, ForeignFileInTheTreeIsCorrupt) {
  ASSERT_TRUE(put("a/b"));
  ASSERT_TRUE(root().make_link("b", "a/link"));
  const auto listed = store().list("a");
  ASSERT_EQ(code_of(listed), ErrorCode::corrupt);
  EXPECT_THAT(listed.error().message(), ::testing::HasSubstr("a/link"));
  const auto names = store().list_names("a");
  ASSERT_EQ(code_of(names), ErrorCode::corrupt);
  EXPECT_THAT(names.error().message(), ::testing::HasSubstr("a/link"));
  EXPECT_EQ(code_of(store().get("a/link", kNoLimit)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(store().head("a/link")), ErrorCode::corrupt);
}

TEST_F(PosixObjectStoreTest, ForeignDirectoryLinkIsCorrupt) {
  ASSERT_TRUE(put("a/b"));
  ASSERT_TRUE(root().make_link("a", "link"));
  EXPECT_EQ(code_of(store().list("")), ErrorCode::corrupt);
  EXPECT_EQ(code_of(store().list("link")), ErrorCode::corrupt);
  EXPECT_EQ(code_of(store().list_names("link")), ErrorCode::corrupt);
  EXPECT_EQ(code_of(store().get("link/b", kNoLimit)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(store().head("link/b")), ErrorCode::corrupt);
  EXPECT_EQ(code_of(store().remove("link/b")), ErrorCode::corrupt);
  EXPECT_TRUE(root().info("a/b"));
}

TEST_F(PosixObjectStoreTest, FailureOfTheDeviceIsNotAbsence) {
  ASSERT_TRUE(put("a/b"));
  use_plan("open:*:eio,open_directory:*:eacces,info:*:eio,remove_file:*:eio");
  EXPECT_EQ(code_of(store().get("a/b", kNoLimit)), ErrorCode::io);
  EXPECT_EQ(code_of(store().list("")), ErrorCode::permission);
  EXPECT_EQ(code_of(store().list_names("")), ErrorCode::permission);
  EXPECT_EQ(code_of(store().head("a/b")), ErrorCode::io);
  EXPECT_EQ(code_of(store().remove("a/b")), ErrorCode::io);
}

TEST_F(PosixObjectStoreTest, FailureWhileListingIsReported) {
  ASSERT_TRUE(put("a/b"));
  use_plan("list:2:eio");
  EXPECT_EQ(code_of(store().list("")), ErrorCode::io);
  use_plan("info:1:eio");
  EXPECT_EQ(code_of(store().list("")), ErrorCode::io);
  use_plan("list:1:eio");
  EXPECT_EQ(code_of(store().list_names("")), ErrorCode::io);
}

TEST_F(PosixObjectStoreTest, WhatVanishesWhileListingIsAbsent) {
  ASSERT_TRUE(put("a/b"));
  ASSERT_TRUE(put("c"));
  use_plan("info:1:enoent");
  EXPECT_THAT(store().list("").value(), ElementsAre(ObjectInfo{"a/b", 5}));
  use_plan("open_directory:2:enoent");
  EXPECT_THAT(store().list("").value(), ElementsAre(ObjectInfo{"c", 5}));
}

TEST_F(PosixObjectStoreTest, ObjectThatShrankIsCorrupt) {
  ASSERT_TRUE(put("a"));
  use_plan("read:1:short");
  const auto got = store().get("a", kNoLimit);
  ASSERT_EQ(code_of(got), ErrorCode::corrupt);
  EXPECT_THAT(got.error().message(), ::testing::HasSubstr("ends at offset 2"));
}

TEST_F(PosixObjectStoreTest, DirectoryMadeByAnotherMeanwhileIsFine) {
  // The first publish finds no directory; by the time this store makes it, another has.
  use_plan("publish:1:enoent");
  ASSERT_TRUE(root().make_directory("a", 0700));
  EXPECT_TRUE(put("a/b"));
}

TEST_F(PosixObjectStoreTest, FileWhereDirectoryIsNeededFails) {
  ASSERT_TRUE(put("a"));
  EXPECT_EQ(code_of(put("a/b")), ErrorCode::not_found);
}

TEST_F(PosixObjectStoreTest, StoreWhoseRootVanishedFails) {
  ASSERT_TRUE(root().make_directory("repository", 0700));
  const auto store = make_posix_object_store(root().open_directory("repository").take(), {});
  ASSERT_TRUE(root().remove_directory("repository"));
  EXPECT_EQ(code_of(store->put_if_absent("a/b", bytes_of("x"))), ErrorCode::not_found);
}

TEST_F(PosixObjectStoreTest, NameIsThatOfTheRoot) { EXPECT_EQ(store().name(), top()); }

}  // namespace
}  // namespace haul::io
