#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "io/internal/carry_out.h"
#include "io/ring.h"

namespace haul::io {
namespace {

class ThreadRing final : public Ring {
 public:
  ThreadRing(std::size_t capacity, std::size_t threads) : capacity_(capacity) {
    HAUL_ASSERT(capacity > 0 && threads > 0);
    completed_.reserve(capacity);
    collected_.reserve(capacity);
    threads_.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) {
      threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    }
  }

  std::size_t capacity() const override { return capacity_; }
  std::size_t in_flight() const override { return in_flight_; }
  std::string backend() const override { return "threads"; }

  void submit(const RingOperation& operation) override {
    HAUL_ASSERT(in_flight_ < capacity_);
    ++in_flight_;
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(operation);
    }
    submitted_.notify_one();
  }

  std::span<RingCompletion> wait(std::optional<std::chrono::nanoseconds> timeout,
                                 Idle idle) override {
    HAUL_ASSERT(in_flight_ > 0 || timeout.has_value() || idle == Idle::allowed);
    collected_.clear();
    {
      std::unique_lock lock(mutex_);
      const auto ready = [this] { return !completed_.empty() || woken_; };
      if (timeout) {
        done_.wait_for(lock, *timeout, ready);
      } else {
        done_.wait(lock, ready);
      }
      woken_ = false;
      collected_.swap(completed_);
    }
    in_flight_ -= collected_.size();
    return collected_;
  }

  void wake() override {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    done_.notify_one();
  }

 private:
  void work(const std::stop_token& stop) {
    for (;;) {
      std::unique_lock lock(mutex_);
      // Stopped, it still carries out what is waiting: the ring's destruction waits for that.
      if (!submitted_.wait(lock, stop, [this] { return !waiting_.empty(); })) return;
      const RingOperation operation = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      Result<std::size_t> outcome = internal::carry_out(operation);
      lock.lock();
      completed_.push_back({operation.tag, std::move(outcome)});
      lock.unlock();
      done_.notify_one();
    }
  }

  const std::size_t capacity_;
  std::size_t in_flight_ = 0;              // the owner's
  std::vector<RingCompletion> collected_;  // the owner's

  std::mutex mutex_;                       // guards waiting_, completed_ and woken_
  std::deque<RingOperation> waiting_;      // never more than capacity_
  std::vector<RingCompletion> completed_;  // never more than capacity_
  bool woken_ = false;
  std::condition_variable_any submitted_;
  std::condition_variable done_;

  std::vector<std::jthread> threads_;  // last: they use all of the above, and end first
};

}  // namespace

std::unique_ptr<Ring> make_thread_ring(std::size_t capacity, std::size_t threads) {
  return std::make_unique<ThreadRing>(capacity, threads);
}

}  // namespace haul::io
