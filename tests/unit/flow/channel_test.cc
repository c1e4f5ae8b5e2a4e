#include "engine/flow/channel.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace haul::flow {
namespace {

TEST(Channel, ItemsComeInOrder) {
  Channel<int> channel(3, {});
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(channel.push(i));
  EXPECT_EQ(channel.pop(), 1);
  EXPECT_EQ(channel.pop(), 2);
  EXPECT_EQ(channel.try_pop(), 3);
  EXPECT_EQ(channel.try_pop(), std::nullopt);
}

TEST(Channel, TakesWhatCanOnlyBeMoved) {
  Channel<std::unique_ptr<int>> channel(1, {});
  EXPECT_TRUE(channel.push(std::make_unique<int>(7)));
  EXPECT_EQ(**channel.pop(), 7);
}

TEST(Channel, ClosedGivesWhatItHoldsAndThenNothing) {
  Channel<int> channel(2, {});
  EXPECT_TRUE(channel.push(1));
  channel.close();
  EXPECT_FALSE(channel.exhausted());
  EXPECT_EQ(channel.pop(), 1);
  EXPECT_TRUE(channel.exhausted());
  EXPECT_EQ(channel.pop(), std::nullopt);
}

TEST(Channel, OpenAndEmptyIsNotExhausted) {
  const Channel<int> channel(1, {});
  EXPECT_FALSE(channel.exhausted());
}

TEST(Channel, ClosingEndsAWaitingPop) {
  Channel<int> channel(1, {});
  std::optional<int> popped = 1;
  std::jthread reader([&] { popped = channel.pop(); });
  channel.close();
  reader.join();
  EXPECT_EQ(popped, std::nullopt);
}

TEST(Channel, StopEndsAWaitingPopAndLeavesTheItem) {
  std::stop_source stop;
  Channel<int> channel(1, stop.get_token());
  std::optional<int> popped = 1;
  std::jthread reader([&] { popped = channel.pop(); });
  stop.request_stop();
  reader.join();
  EXPECT_EQ(popped, std::nullopt);
}

TEST(Channel, StopEndsAWaitingPush) {
  std::stop_source stop;
  Channel<int> channel(1, stop.get_token());
  EXPECT_TRUE(channel.push(1));
  bool pushed = true;
  std::jthread writer([&] { pushed = channel.push(2); });
  stop.request_stop();
  writer.join();
  EXPECT_FALSE(pushed);
  EXPECT_EQ(channel.try_pop(), 1);
  EXPECT_EQ(channel.try_pop(), std::nullopt);
}

TEST(Channel, PushNowGoesBeyondTheCapacity) {
  Channel<int> channel(1, {});
  channel.push_now(1);
  channel.push_now(2);
  EXPECT_EQ(channel.pop(), 1);
  EXPECT_EQ(channel.pop(), 2);
}

TEST(Channel, EveryItemArrivesOnceThroughANarrowChannel) {
  constexpr int kItems = 20'000;
  Channel<int> channel(2, {});
  std::vector<std::vector<int>> got(3);
  {
    std::vector<std::jthread> readers;
    for (auto& mine : got) {
      readers.emplace_back([&] {
        while (const auto item = channel.pop()) mine.push_back(*item);
      });
    }
    {
      std::vector<std::jthread> writers;
      for (int w = 0; w < 2; ++w) {
        writers.emplace_back([&channel, w] {
          for (int i = w; i < kItems; i += 2) EXPECT_TRUE(channel.push(i));
        });
      }
    }
    channel.close();
  }
  std::vector<int> all;
  for (const auto& mine : got) all.insert(all.end(), mine.begin(), mine.end());
  std::ranges::sort(all);
  std::vector<int> expected(kItems);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(all, expected);
}

}  // namespace
}  // namespace haul::flow
