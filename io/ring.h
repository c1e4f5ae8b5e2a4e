// Many reads and writes in flight at once, completed in any order: io_uring's model, whatever
// carries it.
//
// The owner submits operations and collects completions; files and memory named by an operation
// stay alive and unmoved until its completion was collected. Short reads and interrupted calls are
// continued by the ring, so that a completed read is short only at the end of the file. A file has
// at most one sync in flight, and no sync that failed is repeated.
//
// Units:    offsets and sizes are bytes.
// Memory:   a fixed number of slots, sized when opened.
// Threads:  one owner, the thread that opened it; wake() from any thread.
// Errors:   per operation in its completion; submit never fails for reasons of one file.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/file.h"

namespace haul::io {

struct RingOperation {
  enum class Kind : std::uint8_t { read, write, sync } kind = Kind::read;
  File* file = nullptr;
  std::uint64_t offset = 0;
  MutableByteSpan bytes;  // read into, or written from (then never modified); empty for sync
  std::uint64_t tag = 0;  // comes back in the completion
};

struct RingCompletion {
  std::uint64_t tag = 0;
  Result<std::size_t> outcome;  // bytes transferred
};

class Ring {
 public:
  // Waits for all operations in flight, discarding their outcomes.
  virtual ~Ring() = default;

  virtual std::size_t capacity() const = 0;
  virtual std::size_t in_flight() const = 0;
  // Asserts in_flight() < capacity(). The device sees it with the next wait() at the latest.
  virtual void submit(const RingOperation& operation) = 0;
  // Blocks until at least one operation is complete, wake() was called, or `timeout` has passed;
  // returns the completions that are there, none after the latter two. Asserts that there is
  // something to wait for: in_flight() > 0, a timeout, or `Idle::allowed` where another thread will
  // wake the owner. The completions stay valid until the next call.
  enum class Idle : std::uint8_t { refused, allowed };
  virtual std::span<RingCompletion> wait(std::optional<std::chrono::nanoseconds> timeout = {},
                                         Idle idle = Idle::refused) = 0;
  // Ends the present wait() or, when there is none, makes the next one return at once. Calls before
  // that wait() count as one.
  virtual void wake() = 0;

  // What the run reports: "uring", "uring, unregistered" (the limit for locked memory took none of
  // the buffers), "uring, 12 of 64 buffers registered", "threads".
  virtual std::string backend() const = 0;
};

enum class RingBackend : std::uint8_t {
  automatic,  // io_uring where the kernel allows it, else threads
  uring,      // `unsupported` where it does not
  threads,
};

struct RingOptions {
  RingBackend backend = RingBackend::automatic;
  std::size_t capacity = 64;
  // Memory that operations will use; registered with the kernel as far as its limit for locked
  // memory lets. Operations may use other memory as well. Alive until the ring is gone.
  std::vector<MutableByteSpan> buffers = {};
  std::size_t threads = 4;  // of the thread back end
};

// The calling thread becomes the owner. Fails only for an explicit RingBackend::uring.
Result<std::unique_ptr<Ring>> open_ring(const RingOptions& options);

// How code that needs rings gets them; tests bring faults in here.
using RingFactory = std::function<Result<std::unique_ptr<Ring>>(const RingOptions& options)>;

// The rings of `rings`, whatever is asked of them on this back end.
RingFactory rings_on(RingBackend backend, RingFactory rings);

// pread and pwrite on `threads` threads of its own; works everywhere.
std::unique_ptr<Ring> make_thread_ring(std::size_t capacity, std::size_t threads);

}  // namespace haul::io
