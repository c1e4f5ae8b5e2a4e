// Objects written behind their writers: what reaches the file, in which pieces, and that no failure
// on the way lets anything half-written get a name.

#include "io/internal/write_behind.h"

#include <signal.h>
#include <sys/resource.h>

#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "io/fault_directory.h"
#include "io/fault_ring.h"
#include "io/posix_directory.h"
#include "io/posix_object_store.h"
#include "io/sim_directory.h"
#include "tests/support/file_content.h"
#include "tests/support/temporary_directory.h"

namespace haul::io::internal {
namespace {

using support::code_of;
using support::names_in;
using support::pattern;
using ::testing::IsEmpty;

constexpr std::size_t kBufferBytes = WriteBehind::kBufferSizeBytes;

// A store that writes with rings, files and rings behind one fault plan.
class WriteBehindTest : public ::testing::Test {
 protected:
  WriteBehindTest() : root_(open_posix_directory(top_.path()).take()) { use_plan(""); }

  void use_plan(std::string_view plan) {
    plan_ = parse_fault_plan(plan).take();
    store_ = make_posix_object_store(
        make_fault_directory(open_posix_directory(top_.path()).take(), plan_),
        {.rings = make_fault_rings(open_ring, plan_)});
  }
  ObjectStore& store() { return *store_; }
  Directory& root() { return *root_; }
  FaultPlan& plan() { return *plan_; }

  Status put(const std::string& key, std::string_view content) {
    const auto writer = HAUL_TRY(store().create(key));
    HAUL_TRY(writer->append(bytes_of(content)));
    return writer->commit();
  }
  std::string content_of(const std::string& key) { return support::read_file(root(), key).value(); }
  std::vector<std::string> names(const std::string& directory) {
    return names_in(root(), directory).value();
  }

 private:
  support::TemporaryDirectory top_;
  std::unique_ptr<Directory> root_;
  std::shared_ptr<FaultPlan> plan_;
  std::unique_ptr<ObjectStore> store_;
};

TEST_F(WriteBehindTest, ObjectsOfEverySizeReadBack) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, kBufferBytes - 1, kBufferBytes,
                                 kBufferBytes + 1, 3 * kBufferBytes, 129 * kBufferBytes + 4097}) {
    const std::string key = format("object-{}", size);
    const std::string content = pattern(size, size);
    ASSERT_TRUE(put(key, content));
    EXPECT_TRUE(content_of(key) == content) << key;
    EXPECT_EQ(root().info(key)->size_bytes, size);
  }
}

TEST_F(WriteBehindTest, FullBuffersAreWrittenByTheRingAndTheRestAtTheEnd) {
  ASSERT_TRUE(put("a", pattern(3 * kBufferBytes + 5, 1)));
  EXPECT_EQ(plan().calls("write"), 4U);
  EXPECT_EQ(plan().calls("preallocate"), 1U);
  EXPECT_EQ(plan().calls("resize"), 2U);
  EXPECT_EQ(plan().calls("sync"), 1U);
}

TEST_F(WriteBehindTest, SpaceIsReservedInSteps) {
  ASSERT_TRUE(put("a", pattern(129 * kBufferBytes, 1)));
  EXPECT_EQ(plan().calls("preallocate"), 2U);
  EXPECT_EQ(plan().calls("write"), 129U);
}

TEST_F(WriteBehindTest, SmallObjectReservesNothing) {
  ASSERT_TRUE(put("a", "hello"));
  EXPECT_EQ(content_of("a"), "hello");
  EXPECT_EQ(plan().calls("preallocate"), 0U);
  EXPECT_EQ(plan().calls("resize"), 0U);
  EXPECT_EQ(plan().calls("write"), 1U);
}

TEST_F(WriteBehindTest, FailureOfAnyCallLeavesNoObject) {
  // Four writes of the ring and one of the rest.
  const std::string content = pattern(4 * kBufferBytes + 5, 2);
  std::vector<std::string> rules = {"preallocate:1:eio", "resize:1:eio",  "resize:2:eio",
                                    "sync:1:eio",        "sync:1:enospc", "publish:1:eio"};
  for (int n = 1; n <= 5; ++n) {
    for (const char* action : {"eio", "enospc", "short"}) {
      rules.push_back(format("write:{}:{}", n, action));
    }
  }
  for (const std::string& rule : rules) {
    use_plan(rule);
    const Status written = put("a", content);
    EXPECT_THAT(code_of(written), ::testing::AnyOf(ErrorCode::io, ErrorCode::no_space)) << rule;
    EXPECT_EQ(code_of(store().head("a")), ErrorCode::not_found) << rule;
    EXPECT_THAT(names("tmp"), IsEmpty()) << rule;
  }
  use_plan("");
  ASSERT_TRUE(put("a", content));
  EXPECT_TRUE(content_of("a") == content);
}

TEST_F(WriteBehindTest, FailureOfTheWriteIsWhatCommitReports) {
  use_plan("write:2:enospc");
  const Status written = put("a", pattern(2 * kBufferBytes, 3));
  ASSERT_EQ(code_of(written), ErrorCode::no_space);
  EXPECT_THAT(written.error().message(), ::testing::HasSubstr("No space left on device"));
  EXPECT_EQ(plan().calls("sync"), 0U);
}

TEST_F(WriteBehindTest, FirstOfSeveralFailuresIsReported) {
  use_plan("write:1:enospc,write:2+:eio");
  EXPECT_EQ(code_of(put("a", pattern(2 * kBufferBytes, 3))), ErrorCode::no_space);
}

TEST_F(WriteBehindTest, FailedWriteSpendsTheWriter) {
  use_plan("write:1+:eio");
  const auto writer = store().create("a").take();
  const std::string content = pattern(kBufferBytes, 4);
  // The failure is known at the latest when buffers have to come back.
  Status appended = ok();
  for (std::size_t i = 0; appended && i < 2 * WriteBehind::kBuffers; ++i) {
    appended = writer->append(bytes_of(content));
  }
  EXPECT_EQ(code_of(appended), ErrorCode::io);
  EXPECT_EQ(code_of(writer->append(bytes_of("x"))), ErrorCode::io);
  EXPECT_EQ(code_of(writer->commit()), ErrorCode::io);
}

TEST_F(WriteBehindTest, FailureOfOneWriterLeavesTheOthersAlone) {
  use_plan("write:1:eio");
  const auto bad = store().create("bad").take();
  const auto good = store().create("good").take();
  const std::string content = pattern(2 * kBufferBytes, 5);
  std::ignore = bad->append(bytes_of(content));
  ASSERT_TRUE(good->append(bytes_of(content)));
  ASSERT_TRUE(good->commit());
  EXPECT_EQ(code_of(bad->commit()), ErrorCode::io);
  EXPECT_TRUE(content_of("good") == content);
}

TEST_F(WriteBehindTest, ReservationThatDoesNotFitIsNoFailure) {
  for (const char* rule : {"preallocate:1:enospc", "resize:1:enospc"}) {
    use_plan(rule);
    const std::string content = pattern(2 * kBufferBytes + 5, 6);
    ASSERT_TRUE(put(rule, content));
    EXPECT_TRUE(content_of(rule) == content);
  }
}

TEST_F(WriteBehindTest, AbandonedWriterWaitsForItsWritesAndLeavesNothing) {
  {
    const auto writer = store().create("a").take();
    ASSERT_TRUE(writer->append(bytes_of(pattern(8 * kBufferBytes + 5, 7))));
  }
  EXPECT_EQ(plan().calls("write"), 8U);
  EXPECT_THAT(names("tmp"), IsEmpty());
}

TEST_F(WriteBehindTest, MoreWritersThanBuffersAllGoOn) {
  constexpr std::size_t kWriters = WriteBehind::kBuffers + 3;
  std::vector<std::unique_ptr<ObjectWriter>> writers;
  for (std::size_t i = 0; i < kWriters; ++i) {
    writers.push_back(store().create(format("object-{}", i)).take());
    ASSERT_TRUE(writers.back()->append(bytes_of("x")));
  }
  for (std::size_t i = 0; i < kWriters; ++i) {
    ASSERT_TRUE(writers[i]->append(bytes_of(pattern(2 * kBufferBytes, i))));
  }
  for (std::size_t i = 0; i < kWriters; ++i) {
    ASSERT_TRUE(writers[i]->commit());
    EXPECT_TRUE(content_of(format("object-{}", i)) == "x" + pattern(2 * kBufferBytes, i)) << i;
  }
}

TEST_F(WriteBehindTest, WritersOfManyThreadsShareTheBuffers) {
  constexpr std::size_t kThreads = 4;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([this, i] {
        for (std::size_t n = 0; n < 3; ++n) {
          EXPECT_TRUE(put(format("{}-{}", i, n), pattern(7 * kBufferBytes + i, i + n)));
        }
      });
    }
  }
  for (std::size_t i = 0; i < kThreads; ++i) {
    for (std::size_t n = 0; n < 3; ++n) {
      EXPECT_TRUE(content_of(format("{}-{}", i, n)) == pattern(7 * kBufferBytes + i, i + n));
    }
  }
}

TEST_F(WriteBehindTest, FileSizeLimitIsNoSpaceOnlyForWhatDoesNotFit) {
  const auto signal_before = ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit limit = before;
  limit.rlim_cur = 3 * kBufferBytes;
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const Status fits = put("fits", pattern(3 * kBufferBytes, 8));
  const Status too_large = put("too-large", pattern(4 * kBufferBytes, 8));
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, signal_before);
  EXPECT_TRUE(fits);
  EXPECT_EQ(code_of(too_large), ErrorCode::no_space);
  EXPECT_EQ(code_of(store().head("too-large")), ErrorCode::not_found);
}

// Writes an object, and cuts the power at every operation in turn until it is durable before the
// cut. Whether, whatever the disk then kept, a name had its content and what was durable its name.
bool survives_every_power_loss(SimBreakage breakage) {
  const std::string content = pattern(kBufferBytes + 5, 9);
  const RingFactory rings = [](const RingOptions& options) -> Result<std::unique_ptr<Ring>> {
    return make_thread_ring(options.capacity, options.threads);
  };
  bool is_durable = false;
  for (std::uint64_t at = 1; !is_durable; ++at) {
    SimDisk disk;
    disk.set_breakage(breakage);
    disk.set_fault({.at_operation = at});
    {
      const auto store = make_posix_object_store(disk.open("").take(), {.rings = rings});
      const auto put = [&]() -> Status {
        const auto writer = HAUL_TRY(store->create("a/b"));
        HAUL_TRY(writer->append(bytes_of(content)));
        HAUL_TRY(writer->commit());
        return store->make_durable("a");
      };
      is_durable = put().has_value();
    }
    disk.crash(at);
    const auto root = disk.open("").take();
    const Result<std::string> kept = support::read_file(*root, "a/b");
    if (kept ? *kept != content : is_durable) return false;
  }
  return true;
}

TEST(WriteBehindPowerLoss, NameNeverLeadsToAnythingHalfWritten) {
  EXPECT_TRUE(survives_every_power_loss({}));
}

TEST(WriteBehindPowerLoss, DiskThatIgnoresSyncsIsNoticed) {
  EXPECT_FALSE(survives_every_power_loss({SimBreakage::Kind::file_sync_is_ignored}));
}

TEST_F(WriteBehindTest, RingsThatCannotBeOpenedFailTheWriter) {
  bool refuses = true;
  const auto store = make_posix_object_store(
      root().open_directory("").take(),
      {.rings = [&](const RingOptions& options) -> Result<std::unique_ptr<Ring>> {
        if (refuses) return Error(ErrorCode::unsupported, "no rings here");
        return open_ring(options);
      }});
  const auto refused = store->create("a");
  ASSERT_EQ(code_of(refused), ErrorCode::unsupported);
  EXPECT_EQ(refused.error().message(), "no rings here");
  EXPECT_THAT(names(""), IsEmpty());
  refuses = false;
  EXPECT_TRUE(store->create("a").take()->commit());
}

TEST_F(WriteBehindTest, RingGetsTheBuffersToRegister) {
  RingOptions asked;
  const auto store = make_posix_object_store(root().open_directory("").take(),
                                             {.rings = [&](const RingOptions& options) {
                                               asked = options;
                                               return open_ring(options);
                                             }});
  ASSERT_TRUE(store->create("a"));
  EXPECT_EQ(asked.capacity, WriteBehind::kBuffers);
  ASSERT_EQ(asked.buffers.size(), WriteBehind::kBuffers);
  for (const MutableByteSpan buffer : asked.buffers) EXPECT_EQ(buffer.size(), kBufferBytes);
}

TEST_F(WriteBehindTest, RingIsOpenedOnceAndOnlyForWriters) {
  int opened = 0;
  const auto store = make_posix_object_store(root().open_directory("").take(),
                                             {.rings = [&](const RingOptions& options) {
                                               ++opened;
                                               return open_ring(options);
                                             }});
  ASSERT_TRUE(store->put_if_absent("a", bytes_of("x")));
  EXPECT_EQ(opened, 0);
  ASSERT_TRUE(store->create("b"));
  ASSERT_TRUE(store->create("c"));
  EXPECT_EQ(opened, 1);
}

}  // namespace
}  // namespace haul::io::internal
