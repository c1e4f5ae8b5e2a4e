#include "io/aligned_buffer.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace haul::io {

namespace {

// Pages that the kernel gives are zeros without being touched.
constexpr std::size_t kMappedBytesMin = 128 * 1024;

std::byte* allocate(std::size_t size_bytes) {
  if (size_bytes < kMappedBytesMin) {
    void* const bytes = std::aligned_alloc(kDirectAlignment, size_bytes);
    HAUL_ASSERT(bytes != nullptr);
    return static_cast<std::byte*>(std::memset(bytes, 0, size_bytes));
  }
  void* const bytes =
      ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  HAUL_ASSERT(bytes != MAP_FAILED);
  return static_cast<std::byte*>(bytes);
}

}  // namespace

AlignedBuffer::AlignedBuffer(std::size_t size_bytes) : size_bytes_(whole_blocks(size_bytes)) {
  if (size_bytes_ == 0) return;
  data_ = {allocate(size_bytes_), Free{size_bytes_}};
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::move(other.data_)), size_bytes_(std::exchange(other.size_bytes_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  data_ = std::move(other.data_);
  size_bytes_ = std::exchange(other.size_bytes_, 0);
  return *this;
}

void AlignedBuffer::Free::operator()(std::byte* p) const {
  if (size_bytes < kMappedBytesMin) {
    std::free(p);
  } else {
    HAUL_ASSERT(::munmap(p, size_bytes) == 0);
  }
}

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
