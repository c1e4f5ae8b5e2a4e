// Lets other threads wake the owner of a ring exactly as long as there is one: the ring belongs to
// a thread that opens and destroys it on its own.
//
// Threads:  wake() from any thread; an Attached belongs to the ring's owner.
// Errors:   none; without a ring there is nobody to wake.
#pragma once

#include <mutex>

#include "io/ring.h"

namespace haul::io {

class RingWaker {
 public:
  // While it lives, wake() reaches the ring. It goes before the ring does.
  class Attached {
   public:
    Attached(RingWaker& waker, Ring& ring) : waker_(waker) { waker_.set(&ring); }
    ~Attached() { waker_.set(nullptr); }
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;

   private:
    RingWaker& waker_;
  };

  void wake() {
    const std::scoped_lock lock(mutex_);
    if (ring_ != nullptr) ring_->wake();
  }

 private:
  void set(Ring* ring) {
    const std::scoped_lock lock(mutex_);
    ring_ = ring;
  }

  std::mutex mutex_;  // guards ring_
  Ring* ring_ = nullptr;
};

}  // namespace haul::io
