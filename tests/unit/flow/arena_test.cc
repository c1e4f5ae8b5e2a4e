#include "engine/flow/arena.h"

#include <atomic>
#include <barrier>
#include <set>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace haul::flow {
namespace {

using testing::HasSubstr;

TEST(Arena, EveryTaskRunsBeforeWaitReturns) {
  FirstError first_error({});
  Arena arena(2, first_error);
  std::atomic<int> ran = 0;
  for (int i = 0; i < 1000; ++i) {
    arena.run([&ran](std::size_t) -> Status {
      ++ran;
      return ok();
    });
  }
  arena.wait();
  EXPECT_EQ(ran, 1000);
  EXPECT_TRUE(first_error.status());
}

TEST(Arena, TasksStartedByTasksAreWaitedFor) {
  FirstError first_error({});
  Arena arena(2, first_error);
  std::atomic<int> ran = 0;
  arena.run([&](std::size_t) -> Status {
    for (int i = 0; i < 10; ++i) {
      arena.run([&](std::size_t) -> Status {
        ++ran;
        return ok();
      });
    }
    return ok();
  });
  arena.wait();
  EXPECT_EQ(ran, 10);
}

// Each waits for the other: with one worker less this test would not end.
TEST(Arena, AsManyTasksRunAtOnceAsThereAreWorkers) {
  constexpr std::size_t kWorkers = 3;
  FirstError first_error({});
  Arena arena(kWorkers, first_error);
  EXPECT_EQ(arena.workers(), kWorkers);
  std::barrier all_here(kWorkers);
  std::atomic<unsigned> numbers = 0;
  for (std::size_t i = 0; i < kWorkers; ++i) {
    arena.run([&](std::size_t worker) -> Status {
      numbers |= 1U << worker;
      all_here.arrive_and_wait();
      return ok();
    });
  }
  arena.wait();
  EXPECT_EQ(numbers, 0b111U);  // and each had a number of its own
}

TEST(Arena, FirstFailureIsRecordedAndLaterTasksAreLeftOut) {
  FirstError first_error({});
  Arena arena(1, first_error);
  std::atomic<bool> ran = false;
  arena.run([](std::size_t) -> Status { return Error(ErrorCode::no_space, "full"); });
  arena.wait();
  arena.run([&ran](std::size_t) -> Status {
    ran = true;
    return ok();
  });
  arena.wait();
  EXPECT_FALSE(ran);
  ASSERT_FALSE(first_error.status());
  EXPECT_EQ(first_error.status().error().message(), "full");
}

TEST(Arena, ExceptionBecomesAFailure) {
  FirstError first_error({});
  Arena arena(1, first_error);
  arena.run([](std::size_t) -> Status { throw std::runtime_error("no luck"); });
  arena.wait();
  ASSERT_FALSE(first_error.status());
  EXPECT_EQ(first_error.status().error().code(), ErrorCode::io);
  EXPECT_THAT(first_error.status().error().message(), HasSubstr("no luck"));
}

TEST(Arena, WhatATaskHoldsIsFreedBeforeWaitReturns) {
  FirstError first_error({});
  Arena arena(2, first_error);
  const auto held = std::make_shared<int>(1);
  for (int i = 0; i < 100; ++i) {
    arena.run([held](std::size_t) -> Status { return ok(); });
  }
  arena.wait();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(Arena, DestructionWaits) {
  FirstError first_error({});
  std::atomic<int> ran = 0;
  {
    Arena arena(2, first_error);
    for (int i = 0; i < 100; ++i) {
      arena.run([&ran](std::size_t) -> Status {
        ++ran;
        return ok();
      });
    }
  }
  EXPECT_EQ(ran, 100);
}

TEST(Arena, OuterStopLeavesTasksOut) {
  std::stop_source outer;
  FirstError first_error(outer.get_token());
  Arena arena(1, first_error);
  outer.request_stop();
  std::atomic<bool> ran = false;
  arena.run([&ran](std::size_t) -> Status {
    ran = true;
    return ok();
  });
  arena.wait();
  EXPECT_FALSE(ran);
  EXPECT_EQ(first_error.status().error().code(), ErrorCode::interrupted);
}

TEST(Arena, MissingLibraryIsTheFirstFailureAndNoTaskRuns) {
  FirstError first_error({});
  Arena arena(1, first_error, Error(ErrorCode::io, "cannot load it"));
  const auto held = std::make_shared<int>(0);
  arena.run([held](std::size_t) -> Status {
    ++*held;
    return ok();
  });
  arena.wait();
  EXPECT_EQ(*held, 0);
  EXPECT_EQ(held.use_count(), 1);
  ASSERT_FALSE(first_error.status());
  EXPECT_EQ(first_error.status().error().message(), "cannot load it");
}

}  // namespace
}  // namespace haul::flow
