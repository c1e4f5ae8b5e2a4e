#include "io/internal/write_behind.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"

namespace haul::io::internal {
namespace {

// Space is reserved and the file lengthened this far ahead: writes that lengthen a file exclude
// each other in the kernel, and each of them would be a change of metadata.
constexpr std::uint64_t kReserveSizeBytes = 128 * WriteBehind::kBufferSizeBytes;

}  // namespace

class WriteBehind::Stream final : public ByteSink {
 public:
  Stream(WriteBehind& behind, File& file) : behind_(behind), file_(file) {}
  ~Stream() override;

  Status append(ByteSpan bytes) override;
  Status finish() override;

 private:
  friend class WriteBehind;

  Status post();
  Status reserve();
  Status check();
  Status wait_for_posted();

  WriteBehind& behind_;
  File& file_;
  Buffer buffer_;  // being filled
  std::size_t filled_bytes_ = 0;
  std::uint64_t posted_bytes_ = 0;
  std::uint64_t reserved_bytes_ = 0;

  // Guarded by the mutex of behind_.
  std::size_t on_their_way_ = 0;
  std::optional<Error> failure_;  // the first
};

WriteBehind::Stream::~Stream() {
  std::ignore = wait_for_posted();
  const std::lock_guard lock(behind_.mutex_);
  behind_.give_back(std::move(buffer_));
}

Status WriteBehind::Stream::append(ByteSpan bytes) {
  while (!bytes.empty()) {
    if (buffer_.bytes.empty()) buffer_ = behind_.acquire();
    const std::size_t count = std::min(bytes.size(), kBufferSizeBytes - filled_bytes_);
    copy_bytes(bytes.first(count), buffer_.bytes.subspan(filled_bytes_, count));
    filled_bytes_ += count;
    bytes = bytes.subspan(count);
    if (filled_bytes_ == kBufferSizeBytes) HAUL_TRY(post());
  }
  return ok();
}

Status WriteBehind::Stream::post() {
  HAUL_TRY(check());
  HAUL_TRY(reserve());
  behind_.post({this, std::exchange(buffer_, {}), posted_bytes_});
  posted_bytes_ += kBufferSizeBytes;
  filled_bytes_ = 0;
  return ok();
}

Status WriteBehind::Stream::reserve() {
  if (posted_bytes_ < reserved_bytes_) return ok();
  reserved_bytes_ += kReserveSizeBytes;
  Status reserved = file_.preallocate(reserved_bytes_);
  if (reserved) reserved = file_.resize(reserved_bytes_);
  // The object may be smaller: whether there is room for it is for its writes to find out.
  if (!reserved && reserved.error().code() == ErrorCode::no_space) return ok();
  return reserved;
}

Status WriteBehind::Stream::check() {
  const std::lock_guard lock(behind_.mutex_);
  return failure_ ? Status(*failure_) : ok();
}

Status WriteBehind::Stream::wait_for_posted() {
  std::unique_lock lock(behind_.mutex_);
  behind_.changed_.wait(lock, [this] { return on_their_way_ == 0; });
  return failure_ ? Status(*failure_) : ok();
}

Status WriteBehind::Stream::finish() {
  HAUL_TRY(wait_for_posted());
  // The rest need not be whole blocks.
  HAUL_TRY(file_.end_direct());
  if (filled_bytes_ > 0) {
    HAUL_TRY(file_.write_at(posted_bytes_, buffer_.bytes.first(filled_bytes_)));
  }
  if (reserved_bytes_ > 0) HAUL_TRY(file_.resize(posted_bytes_ + filled_bytes_));
  return ok();
}

WriteBehind::WriteBehind() : memory_(kBuffers * kBufferSizeBytes) {
  for (const MutableByteSpan bytes : pooled_buffers()) free_.push_back({.bytes = bytes, .own = {}});
}

Result<std::unique_ptr<WriteBehind>> WriteBehind::open(const RingFactory& rings) {
  std::unique_ptr<WriteBehind> behind(new WriteBehind);
  // The thread opens the ring, whose owner it is to be.
  behind->thread_ = std::jthread([self = behind.get(), rings] { self->run(rings); });
  std::unique_lock lock(behind->mutex_);
  behind->changed_.wait(lock, [&] { return behind->ring_ != nullptr || behind->not_opened_; });
  if (behind->not_opened_) return *behind->not_opened_;
  lock.unlock();
  return behind;
}

WriteBehind::~WriteBehind() {
  const std::lock_guard lock(mutex_);
  is_ending_ = true;
  if (ring_ != nullptr) ring_->wake();
}

std::unique_ptr<ByteSink> WriteBehind::write_to(File& file) {
  return std::make_unique<Stream>(*this, file);
}

std::vector<MutableByteSpan> WriteBehind::pooled_buffers() {
  std::vector<MutableByteSpan> buffers;
  for (std::size_t i = 0; i < kBuffers; ++i) {
    buffers.push_back(memory_.bytes().subspan(i * kBufferSizeBytes, kBufferSizeBytes));
  }
  return buffers;
}

WriteBehind::Buffer WriteBehind::acquire() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !free_.empty() || on_their_way_ == 0; });
  if (free_.empty()) {
    // Writers hold all of them, and none of these may ever go on: waiting could last for ever.
    AlignedBuffer own(kBufferSizeBytes);
    const MutableByteSpan bytes = own.bytes();
    return {.bytes = bytes, .own = std::move(own)};
  }
  Buffer buffer = std::move(free_.back());
  free_.pop_back();
  return buffer;
}

void WriteBehind::give_back(Buffer buffer) {
  const bool is_pooled = !buffer.bytes.empty() && buffer.own.size_bytes() == 0;
  if (is_pooled) free_.push_back(std::move(buffer));
  changed_.notify_all();
}

void WriteBehind::post(Write write) {
  const std::lock_guard lock(mutex_);
  ++write.stream->on_their_way_;
  ++on_their_way_;
  posted_.push_back(std::move(write));
  ring_->wake();
}

void WriteBehind::run(const RingFactory& rings) {
  Result<std::unique_ptr<Ring>> ring =
      rings({.capacity = kBuffers, .buffers = pooled_buffers(), .threads = 2});
  {
    const std::lock_guard lock(mutex_);
    if (ring) {
      ring_ = ring->get();
    } else {
      not_opened_ = std::move(ring).take_error();
    }
    changed_.notify_all();
  }
  if (ring) serve(**ring);
}

void WriteBehind::serve(Ring& ring) {
  while (submit_posted(ring)) {
    for (RingCompletion& completion : ring.wait({}, Ring::Idle::allowed)) take(completion);
  }
}

// False when there is nothing left to do.
bool WriteBehind::submit_posted(Ring& ring) {
  const std::lock_guard lock(mutex_);
  for (std::size_t tag = 0; tag < kBuffers && !posted_.empty(); ++tag) {
    Write& write = submitted_[tag];
    if (write.stream != nullptr) continue;
    write = std::move(posted_.front());
    posted_.pop_front();
    ring.submit(
        {RingOperation::Kind::write, &write.stream->file_, write.offset, write.buffer.bytes, tag});
  }
  if (!is_ending_) return true;
  HAUL_ASSERT(on_their_way_ == 0);
  ring_ = nullptr;
  return false;
}

void WriteBehind::take(RingCompletion& completion) {
  const std::lock_guard lock(mutex_);
  Write write = std::exchange(submitted_[completion.tag], {});
  Stream& stream = *write.stream;
  if (!completion.outcome && !stream.failure_) {
    stream.failure_ = std::move(completion.outcome).take_error();
  }
  --stream.on_their_way_;
  --on_their_way_;
  give_back(std::move(write.buffer));
}

}  // namespace haul::io::internal
