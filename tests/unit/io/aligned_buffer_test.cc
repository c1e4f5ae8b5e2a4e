#include "io/aligned_buffer.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

namespace haul::io {
namespace {

bool is_aligned(ByteSpan bytes) {
  return reinterpret_cast<std::uintptr_t>(bytes.data()) % kDirectAlignment == 0;
}

TEST(AlignedBuffer, SizeIsRoundedUp) {
  EXPECT_EQ(AlignedBuffer(1).size_bytes(), 4096U);
  EXPECT_EQ(AlignedBuffer(4096).size_bytes(), 4096U);
  EXPECT_EQ(AlignedBuffer(4097).size_bytes(), 8192U);
  EXPECT_EQ(AlignedBuffer(0).size_bytes(), 0U);
}

TEST(AlignedBuffer, IsAlignedAndZeroed) {
  const AlignedBuffer buffer(8192);
  EXPECT_TRUE(is_aligned(buffer.bytes()));
  EXPECT_TRUE(std::ranges::all_of(buffer.bytes(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST(AlignedBuffer, MovedFromIsEmpty) {
  AlignedBuffer first(4096);
  first.bytes()[0] = std::byte{7};
  AlignedBuffer second(std::move(first));
  EXPECT_EQ(second.bytes()[0], std::byte{7});
  EXPECT_EQ(first.size_bytes(), 0U);  // NOLINT(bugprone-use-after-move)
  first = std::move(second);
  EXPECT_EQ(first.size_bytes(), 4096U);
  EXPECT_EQ(second.size_bytes(), 0U);  // NOLINT(bugprone-use-after-move)
}

TEST(BufferPool, LendsAsManyAsItHas) {
  BufferPool pool(2, 5000);
  EXPECT_EQ(pool.buffer_size_bytes(), 8192U);
  const BufferPool::Lease first = pool.try_acquire();
  const BufferPool::Lease second = pool.try_acquire();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first.bytes().size(), 8192U);
  EXPECT_TRUE(is_aligned(first.bytes()));
  EXPECT_NE(first.bytes().data(), second.bytes().data());
  EXPECT_FALSE(pool.try_acquire());
}

TEST(BufferPool, ReturnedBufferIsLentAgain) {
  BufferPool pool(1, 4096);
  {
    EXPECT_TRUE(pool.try_acquire());
  }
  EXPECT_TRUE(pool.try_acquire());
}

TEST(BufferPool, MovedLeaseReturnsOnce) {
  BufferPool pool(2, 4096);
  {
    BufferPool::Lease first = pool.try_acquire();
    BufferPool::Lease second = pool.try_acquire();
    first = std::move(second);
    EXPECT_FALSE(second);  // NOLINT(bugprone-use-after-move)
    BufferPool::Lease again = pool.try_acquire();
    EXPECT_TRUE(again) << "the lease that was overwritten did not return its buffer";
    const BufferPool::Lease third(std::move(again));
    EXPECT_FALSE(pool.try_acquire());
  }
  const BufferPool::Lease first = pool.try_acquire();
  const BufferPool::Lease second = pool.try_acquire();
  EXPECT_TRUE(first && second);
}

TEST(BufferPool, AcquireWaitsForReturn) {
  BufferPool pool(1, 4096);
  std::optional<BufferPool::Lease> held = pool.try_acquire();
  bool acquired = false;
  std::jthread waiter([&](const std::stop_token&) {
    acquired = static_cast<bool>(pool.acquire(std::stop_token()));
  });
  held.reset();
  waiter.join();
  EXPECT_TRUE(acquired);
}

TEST(BufferPool, AcquireEndsEmptyWhenStopped) {
  BufferPool pool(1, 4096);
  const BufferPool::Lease held = pool.try_acquire();
  std::stop_source stop;
  bool acquired = true;
  std::jthread waiter([&] { acquired = static_cast<bool>(pool.acquire(stop.get_token())); });
  stop.request_stop();
  waiter.join();
  EXPECT_FALSE(acquired);
}

TEST(BufferPoolDeathTest, OutlivingLeaseIsBug) {
  const auto outlive = [] {
    BufferPool::Lease lease;
    BufferPool pool(1, 4096);
    lease = pool.try_acquire();
  };
  EXPECT_DEATH(outlive(), "assertion failed");
}

}  // namespace
}  // namespace haul::io
