#include "io/aligned_buffer.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace haul::io {

AlignedBuffer::AlignedBuffer(std::size_t size_bytes) : size_bytes_(whole_blocks(size_bytes)) {
  if (size_bytes_ == 0) return;
  auto* bytes = static_cast<std::byte*>(std::aligned_alloc(kDirectAlignment, size_bytes_));
  HAUL_ASSERT(bytes != nullptr);
  std::memset(bytes, 0, size_bytes_);
  data_.reset(bytes);
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::move(other.data_)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  data_ = std::move(other.data_);
  size_bytes_ = std::exchange(other.size_bytes_, 0);
  return *this;
}

void AlignedBuffer::Free::operator()(std::byte* p) const { std::free(p); }

BufferPool::Lease::Lease(Lease&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)), buffer_(std::move(other.buffer_)) {}

BufferPool::Lease& BufferPool::Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    if (pool_ != nullptr) pool_->give_back(std::move(buffer_));
    pool_ = std::exchange(other.pool_, nullptr);
    buffer_ = std::move(other.buffer_);
  }
  return *this;
}

BufferPool::Lease::~Lease() {
  if (pool_ != nullptr) pool_->give_back(std::move(buffer_));
}

BufferPool::BufferPool(std::size_t buffers, std::size_t buffer_size_bytes)
    : buffers_(buffers), buffer_size_bytes_(whole_blocks(buffer_size_bytes)) {
  HAUL_ASSERT(buffers > 0);
  free_.reserve(buffers);
  for (std::size_t i = 0; i < buffers; ++i) free_.emplace_back(buffer_size_bytes_);
}

BufferPool::~BufferPool() { HAUL_ASSERT(free_.size() == buffers_); }

BufferPool::Lease BufferPool::acquire(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  if (!returned_.wait(lock, std::move(stop), [this] { return !free_.empty(); })) return {};
  AlignedBuffer buffer = std::move(free_.back());
  free_.pop_back();
  return Lease(this, std::move(buffer));
}

BufferPool::Lease BufferPool::try_acquire() {
  const std::lock_guard lock(mutex_);
  if (free_.empty()) return {};
  AlignedBuffer buffer = std::move(free_.back());
  free_.pop_back();
  return Lease(this, std::move(buffer));
}

void BufferPool::give_back(AlignedBuffer buffer) {
  {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(buffer));
  }
  returned_.notify_one();
}

}  // namespace haul::io
