// A bounded queue between threads.
//
// Memory:   at most `capacity` items, but for push_now().
// Threads:  every function from any thread; push() and pop() block, so never on a oneTBB worker.
// Errors:   none; a stop ends every wait.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include "base/assert.h"

namespace haul::flow {

template <typename T>
class Channel {
 public:
  // Waits end when `stop` is requested.
  Channel(std::size_t capacity, std::stop_token stop)
      : capacity_(capacity), stop_(std::move(stop)) {
    HAUL_ASSERT(capacity > 0);
  }

  // Blocks while the channel is full; false when stopped, and the item is gone.
  bool push(T item) {
    std::unique_lock lock(mutex_);
    if (!room_.wait(lock, stop_, [this] { return items_.size() < capacity_; })) return false;
    HAUL_ASSERT(!closed_);
    items_.push_back(std::move(item));
    lock.unlock();
    filled_.notify_one();
    return true;
  }

  // Never blocks, full or not: for oneTBB workers, whose items are bounded by what they hold.
  void push_now(T item) {
    {
      const std::scoped_lock lock(mutex_);
      HAUL_ASSERT(!closed_);
      items_.push_back(std::move(item));
    }
    filled_.notify_one();
  }

  // Blocks while the channel is empty; nothing when it is closed and empty, or stopped.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    if (!filled_.wait(lock, stop_, [this] { return !items_.empty() || closed_; })) return {};
    return take(lock);
  }

  // Never blocks; nothing when there is nothing.
  std::optional<T> try_pop() {
    std::unique_lock lock(mutex_);
    return take(lock);
  }

  // No more will be pushed.
  void close() {
    {
      const std::scoped_lock lock(mutex_);
      closed_ = true;
    }
    filled_.notify_all();
  }

  // Closed, and everything was popped.
  bool exhausted() const {
    const std::scoped_lock lock(mutex_);
    return closed_ && items_.empty();
  }

 private:
  std::optional<T> take(std::unique_lock<std::mutex>& lock) {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    lock.unlock();
    room_.notify_one();
    return item;
  }

  const std::size_t capacity_;
  const std::stop_token stop_;
  mutable std::mutex mutex_;  // guards everything below
  std::deque<T> items_;
  bool closed_ = false;
  std::condition_variable_any filled_;
  std::condition_variable_any room_;
};

}  // namespace haul::flow
