#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/assert.h"
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
  std::string_view backend() const override { return "threads"; }

  void submit(const RingOperation& operation) override {
    HAUL_ASSERT(in_flight_ < capacity_);
    ++in_flight_;
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back(operation);
    }
    submitted_.notify_one();
  }

  std::span<RingCompletion> wait() override {
    HAUL_ASSERT(in_flight_ > 0);
    collected_.clear();
    {
      std::unique_lock lock(mutex_);
      done_.wait(lock, [this] { return !completed_.empty(); });
      collected_.swap(completed_);
    }
    in_flight_ -= collected_.size();
    return collected_;
  }

 private:
  static Result<std::size_t> carry_out(const RingOperation& operation) {
    switch (operation.kind) {
      case RingOperation::Kind::read:
        return operation.file->read_at(operation.offset, operation.bytes);
      case RingOperation::Kind::write:
        HAUL_TRY(operation.file->write_at(operation.offset, operation.bytes));
        return operation.bytes.size();
      case RingOperation::Kind::sync: HAUL_TRY(operation.file->sync()); return std::size_t{0};
    }
    HAUL_ASSERT(false);
  }

  void work(const std::stop_token& stop) {
    for (;;) {
      std::unique_lock lock(mutex_);
      // Stopped, it still carries out what is waiting: the ring's destruction waits for that.
      if (!submitted_.wait(lock, stop, [this] { return !waiting_.empty(); })) return;
      const RingOperation operation = waiting_.front();
      waiting_.pop_front();
      lock.unlock();
      Result<std::size_t> outcome = carry_out(operation);
      lock.lock();
      completed_.push_back({operation.tag, std::move(outcome)});
      lock.unlock();
      done_.notify_one();
    }
  }

  const std::size_t capacity_;
  std::size_t in_flight_ = 0;              // the owner's
  std::vector<RingCompletion> collected_;  // the owner's

  std::mutex mutex_;                       // guards waiting_ and completed_
  std::deque<RingOperation> waiting_;      // never more than capacity_
  std::vector<RingCompletion> completed_;  // never more than capacity_
  std::condition_variable_any submitted_;
  std::condition_variable done_;

  std::vector<std::jthread> threads_;  // last: they use all of the above, and end first
};

}  // namespace

std::unique_ptr<Ring> make_thread_ring(std::size_t capacity, std::size_t threads) {
  return std::make_unique<ThreadRing>(capacity, threads);
}

}  // namespace haul::io
