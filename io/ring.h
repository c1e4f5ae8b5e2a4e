// Many reads and writes in flight at once, completed in any order: io_uring's model, whatever
// carries it.
//
// The owner submits operations and collects completions; files and memory named by an operation
// stay alive and unmoved until its completion was collected. Short reads and interrupted calls are
// continued by the ring, so that a completed read is short only at the end of the file.
//
// Units:    offsets and sizes are bytes.
// Memory:   a fixed number of slots, sized when opened.
// Threads:  one owner at a time.
// Errors:   per operation in its completion; submit never fails for reasons of one file.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

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
  // Asserts in_flight() < capacity().
  virtual void submit(const RingOperation& operation) = 0;
  // Blocks until at least one operation is complete, then returns as many as are and fit. Asserts
  // in_flight() > 0. The completions stay valid until the next call.
  virtual std::span<RingCompletion> wait() = 0;

  // "uring", "uring, unregistered" or "threads": what the run reports.
  virtual std::string_view backend() const = 0;
};

// pread and pwrite on `threads` threads of its own; works everywhere.
std::unique_ptr<Ring> make_thread_ring(std::size_t capacity, std::size_t threads);

}  // namespace haul::io
