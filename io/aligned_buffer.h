// Memory fit for O_DIRECT, and a bounded pool of it.
//
// Units:    sizes are bytes; every buffer starts at, and is rounded up to, kDirectAlignment.
// Memory:   a pool allocates all its buffers at start and nothing later.
// Threads:  a pool from any thread; a buffer one owner at a time.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <stop_token>
#include <utility>
#include <vector>

#include "base/types.h"

namespace haul::io {

inline constexpr std::size_t kDirectAlignment = 4096;

// Rounded up to what a direct transfer takes.
constexpr std::size_t whole_blocks(std::size_t size_bytes) {
  return (size_bytes + kDirectAlignment - 1) / kDirectAlignment * kDirectAlignment;
}

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  // Zeroed; a large one takes memory only where it is used. Running out of memory ends the program,
  // as everywhere.
  explicit AlignedBuffer(std::size_t size_bytes);
  // What was moved from is empty.
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;

  MutableByteSpan bytes() { return {data_.get(), size_bytes_}; }
  ByteSpan bytes() const { return {data_.get(), size_bytes_}; }
  std::size_t size_bytes() const { return size_bytes_; }

 private:
  struct Free {
    std::size_t size_bytes;
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t size_bytes_ = 0;
};

class BufferPool {
 public:
  // A buffer on loan; returns itself when destroyed. Must not outlive the pool.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease();

    explicit operator bool() const { return pool_ != nullptr; }
    MutableByteSpan bytes() { return buffer_.bytes(); }
    ByteSpan bytes() const { return buffer_.bytes(); }

   private:
    friend class BufferPool;
    Lease(BufferPool* pool, AlignedBuffer buffer) : pool_(pool), buffer_(std::move(buffer)) {}

    BufferPool* pool_ = nullptr;
    AlignedBuffer buffer_;
  };

  BufferPool(std::size_t buffers, std::size_t buffer_size_bytes);
  ~BufferPool();  // asserts that every buffer came back
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  std::size_t buffer_size_bytes() const { return buffer_size_bytes_; }
  // Blocks until a buffer is free; an empty lease when `stop` was requested first.
  Lease acquire(std::stop_token stop);
  // An empty lease when none is free.
  Lease try_acquire();

 private:
  void give_back(AlignedBuffer buffer);

  const std::size_t buffers_;
  const std::size_t buffer_size_bytes_;
  std::mutex mutex_;  // guards free_
  std::condition_variable_any returned_;
  std::vector<AlignedBuffer> free_;
};

}  // namespace haul::io
