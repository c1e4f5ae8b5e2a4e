#include "io/internal/uring_ring.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <liburing.h>

#include "base/assert.h"
#include "base/format.h"
#include "io/internal/carry_out.h"
#include "io/internal/posix_calls.h"
#include "io/internal/posix_file.h"
#include "io/internal/registered_buffers.h"
#include "io/unique_fd.h"

namespace haul::io::internal {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

// The best first: completions are run by the owner inside wait() and nowhere else (Linux 6.1), at
// least without an interrupt of the owner (5.19), or as the kernel likes.
constexpr std::array<unsigned, 3> kSetups = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_COOP_TASKRUN, 0};
constexpr std::array<int, 6> kOpcodes = {IORING_OP_READ,       IORING_OP_WRITE,
                                         IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED,
                                         IORING_OP_FSYNC,      IORING_OP_POLL_ADD};
// The kernel's limit is 32768 requests, one of which waits for wake().
constexpr std::size_t kCapacityMax = 16384;

Error unavailable(int error_number) {
  return Error(
      ErrorCode::unsupported, error_from_errno(error_number, "io_uring is not available").message(),
      error_number == ENOMEM ? "raise the limit for locked memory (ulimit -l)"
                             : "a container's profile or kernel.io_uring_disabled may refuse it");
}

// Owner of the kernel's ring; never moves, as liburing keeps pointers into it.
class KernelRing {
 public:
  KernelRing() = default;
  KernelRing(const KernelRing&) = delete;
  KernelRing& operator=(const KernelRing&) = delete;
  ~KernelRing() {
    if (is_open_) ::io_uring_queue_exit(&ring_);
  }

  Status open(std::size_t entries, const UringHooks& hooks);
  io_uring* get() { return &ring_; }

 private:
  int set_up(unsigned entries, unsigned flags, const UringHooks& hooks);
  Status check_opcodes(const UringHooks& hooks);

  io_uring ring_{};
  bool is_open_ = false;
};

int KernelRing::set_up(unsigned entries, unsigned flags, const UringHooks& hooks) {
  const int refusal = hooks.refuse_setup ? hooks.refuse_setup(flags) : 0;
  return refusal != 0 ? -refusal : ::io_uring_queue_init(entries, &ring_, flags);
}

Status KernelRing::open(std::size_t entries, const UringHooks& hooks) {
  int answer = -EINVAL;
  for (const unsigned flags : kSetups) {
    answer = set_up(static_cast<unsigned>(entries), flags, hooks);
    if (answer != -EINVAL) break;
  }
  if (answer < 0) return unavailable(-answer);
  is_open_ = true;
  // Without it (before Linux 5.11) a wait with a timeout would need requests of its own.
  if ((ring_.features & IORING_FEAT_EXT_ARG) == 0) return unavailable(EOPNOTSUPP);
  return check_opcodes(hooks);
}

Status KernelRing::check_opcodes(const UringHooks& hooks) {
  const std::unique_ptr<io_uring_probe, void (*)(io_uring_probe*)> probe(
      ::io_uring_get_probe_ring(&ring_), &::io_uring_free_probe);
  for (const int opcode : kOpcodes) {
    if (probe != nullptr && ::io_uring_opcode_supported(probe.get(), opcode) != 0 &&
        !(hooks.is_missing && hooks.is_missing(opcode))) {
      continue;
    }
    return unavailable(EOPNOTSUPP);
  }
  return ok();
}

std::string_view verb_of(RingOperation::Kind kind) {
  return kind == RingOperation::Kind::read ? "read" : "write";
}

// One operation on its way: a request to the kernel at a time, as many as it takes.
struct Slot {
  RingOperation operation;
  PosixFile* file = nullptr;
  std::optional<unsigned> buffer;  // the registered buffer that its bytes lie in
  std::size_t start = 0;           // where in the bytes the present request begins
  std::size_t done = 0;            // how far earlier ones came
};

class UringRing final : public Ring {
 public:
  UringRing(std::size_t capacity, UringHooks hooks);
  ~UringRing() override;

  // Before anything else.
  Status open(std::span<const MutableByteSpan> buffers);

  std::size_t capacity() const override { return slots_.size(); }
  std::size_t in_flight() const override { return in_flight_; }
  void submit(const RingOperation& operation) override;
  std::span<RingCompletion> wait(std::optional<nanoseconds> timeout, Idle idle) override;
  void wake() override;
  std::string backend() const override { return "uring" + buffers_.report(); }

 private:
  io_uring_sqe* next_request();
  void start(std::size_t index);
  void enter(std::optional<nanoseconds> waits_for_at_most);
  void reap();
  void watch_wakes();
  void take_wake();
  void take_result(std::size_t index, int result);
  void take_count(std::size_t index, std::size_t count);
  void complete(std::size_t index, Result<std::size_t> outcome);

  std::uint64_t wake_user_data() const { return slots_.size(); }

  const UringHooks hooks_;
  UniqueFd wakes_;  // an eventfd
  KernelRing ring_;
  RegisteredBuffers buffers_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> free_slots_;
  std::size_t in_flight_ = 0;  // completions that wait() has not returned
  bool is_woken_ = false;
  std::vector<RingCompletion> ready_;      // for the next return of wait()
  std::vector<RingCompletion> collected_;  // what the last one returned
};

UringRing::UringRing(std::size_t capacity, UringHooks hooks)
    : hooks_(std::move(hooks)), slots_(capacity) {
  HAUL_ASSERT(capacity > 0 && capacity <= kCapacityMax);
  free_slots_.reserve(capacity);
  for (std::size_t index = capacity; index > 0; --index) free_slots_.push_back(index - 1);
  ready_.reserve(capacity);
  collected_.reserve(capacity);
}

UringRing::~UringRing() {
  while (in_flight_ > 0) std::ignore = wait({}, Idle::refused);
}

Status UringRing::open(std::span<const MutableByteSpan> buffers) {
  wakes_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wakes_) return unavailable(errno);
  // A request for each slot and one for the wakes: neither queue can run over.
  HAUL_TRY(ring_.open(slots_.size() + 1, hooks_));
  buffers_.open(*ring_.get(), buffers);
  watch_wakes();
  return ok();
}

io_uring_sqe* UringRing::next_request() {
  io_uring_sqe* request = ::io_uring_get_sqe(ring_.get());
  HAUL_ASSERT(request != nullptr);
  return request;
}

void UringRing::submit(const RingOperation& operation) {
  HAUL_ASSERT(in_flight_ < capacity());
  ++in_flight_;
  auto* file = dynamic_cast<PosixFile*>(operation.file);
  const bool is_sync = operation.kind == RingOperation::Kind::sync;
  if (file == nullptr || (!is_sync && !file->takes_ring_transfers())) {
    ready_.push_back({operation.tag, carry_out(operation)});
    return;
  }
  const std::size_t index = free_slots_.back();
  free_slots_.pop_back();
  slots_[index] = {operation, file, buffers_.index_of(operation.bytes)};
  if (operation.kind == RingOperation::Kind::sync) {
    // A file whose sync failed before has its answer.
    if (Status before = file->note_sync(0); !before) {
      complete(index, std::move(before).take_error());
      return;
    }
  } else if (operation.bytes.empty()) {
    complete(index, std::size_t{0});
    return;
  }
  start(index);
}

void UringRing::start(std::size_t index) {
  const Slot& slot = slots_[index];
  const RingOperation& operation = slot.operation;
  const int fd = *slot.file->descriptor();
  const MutableByteSpan bytes = operation.bytes.subspan(slot.start);
  const auto size = static_cast<unsigned>(std::min(bytes.size(), hooks_.transfer_max_bytes));
  const std::uint64_t offset = operation.offset + slot.start;
  io_uring_sqe* request = next_request();
  switch (operation.kind) {
    case RingOperation::Kind::read:
      if (slot.buffer) {
        ::io_uring_prep_read_fixed(request, fd, bytes.data(), size, offset,
                                   static_cast<int>(*slot.buffer));
      } else {
        ::io_uring_prep_read(request, fd, bytes.data(), size, offset);
      }
      break;
    case RingOperation::Kind::write:
      if (slot.buffer) {
        ::io_uring_prep_write_fixed(request, fd, bytes.data(), size, offset,
                                    static_cast<int>(*slot.buffer));
      } else {
        ::io_uring_prep_write(request, fd, bytes.data(), size, offset);
      }
      break;
    case RingOperation::Kind::sync: ::io_uring_prep_fsync(request, fd, 0); break;
  }
  ::io_uring_sqe_set_data64(request, index);
}

std::span<RingCompletion> UringRing::wait(std::optional<nanoseconds> timeout, Idle idle) {
  HAUL_ASSERT(in_flight_ > 0 || timeout.has_value() || idle == Idle::allowed);
  const steady_clock::time_point begin = steady_clock::now();
  std::optional<nanoseconds> left = timeout;
  for (;;) {
    const bool may_block = ready_.empty() && !is_woken_ && (!left || *left > nanoseconds::zero());
    enter(may_block ? left : nanoseconds::zero());
    reap();
    if (!may_block || !ready_.empty() || is_woken_) break;
    if (timeout) left = *timeout - (steady_clock::now() - begin);
  }
  is_woken_ = false;
  collected_.clear();
  collected_.swap(ready_);
  in_flight_ -= collected_.size();
  return collected_;
}

// Hands over what was prepared and waits for a completion, no longer than asked. Whether that
// succeeded shows in what reap() finds: a kernel that had no memory for a request, or took only
// some, leaves the rest for the next call, and so does a signal.
void UringRing::enter(std::optional<nanoseconds> waits_for_at_most) {
  int answer = 0;
  if (!waits_for_at_most) {
    answer = ::io_uring_submit_and_wait(ring_.get(), 1);
  } else if (*waits_for_at_most == nanoseconds::zero()) {
    answer = ::io_uring_submit_and_get_events(ring_.get());
  } else {
    constexpr std::int64_t kSecondNs = 1'000'000'000;
    __kernel_timespec limit{.tv_sec = waits_for_at_most->count() / kSecondNs,
                            .tv_nsec = waits_for_at_most->count() % kSecondNs};
    io_uring_cqe* first = nullptr;
    answer = ::io_uring_submit_and_wait_timeout(ring_.get(), &first, 1, &limit, nullptr);
  }
  if (answer == -EAGAIN || answer == -EBUSY) std::this_thread::yield();
  HAUL_ASSERT(answer >= 0 || answer == -EAGAIN || answer == -EBUSY || answer == -EINTR ||
              answer == -ETIME);
}

void UringRing::reap() {
  unsigned head = 0;
  unsigned count = 0;
  io_uring_cqe* result = nullptr;
  io_uring_for_each_cqe(ring_.get(), head, result) {
    ++count;
    if (result->user_data == wake_user_data()) {
      take_wake();
    } else {
      take_result(result->user_data,
                  hooks_.on_result ? hooks_.on_result(result->res) : result->res);
    }
  }
  ::io_uring_cq_advance(ring_.get(), count);
}

// A poll and not a read: nothing of it outlives the ring in the kernel's hands.
void UringRing::watch_wakes() {
  io_uring_sqe* request = next_request();
  ::io_uring_prep_poll_add(request, wakes_.get(), POLLIN);
  ::io_uring_sqe_set_data64(request, wake_user_data());
}

void UringRing::take_wake() {
  is_woken_ = true;
  std::uint64_t count = 0;  // of the calls: they are one
  std::ignore = uninterrupted([&] { return ::read(wakes_.get(), &count, sizeof count); });
  watch_wakes();
}

void UringRing::wake() {
  const std::uint64_t one = 1;
  // Fails only with the counter full, that is, with a wake on its way.
  std::ignore = uninterrupted([&] { return ::write(wakes_.get(), &one, sizeof one); });
}

void UringRing::take_result(std::size_t index, int result) {
  const Slot& slot = slots_[index];
  if (slot.operation.kind == RingOperation::Kind::sync) {
    // Whatever the reason, a failed sync is not repeated.
    if (Status synced = slot.file->note_sync(std::max(-result, 0)); !synced) {
      return complete(index, std::move(synced).take_error());
    }
    return complete(index, std::size_t{0});
  }
  if (result == -EINTR || result == -EAGAIN) return start(index);
  if (result >= 0) return take_count(index, static_cast<std::size_t>(result));
  complete(index, slot.file->transfer_error(-result, verb_of(slot.operation.kind),
                                            slot.operation.offset + slot.start));
}

void UringRing::take_count(std::size_t index, std::size_t count) {
  Slot& slot = slots_[index];
  const std::size_t reached = slot.start + count;
  if (reached <= slot.done) {
    // No further than before: the end of the file, or of the space.
    if (slot.operation.kind == RingOperation::Kind::read) return complete(index, slot.done);
    return complete(index,
                    slot.file->transfer_error(ENOSPC, "write", slot.operation.offset + slot.done));
  }
  slot.done = reached;
  if (slot.done == slot.operation.bytes.size()) return complete(index, slot.done);
  slot.start = slot.file->resume_point(slot.done);
  start(index);
}

void UringRing::complete(std::size_t index, Result<std::size_t> outcome) {
  ready_.push_back({slots_[index].operation.tag, std::move(outcome)});
  free_slots_.push_back(index);
}

}  // namespace

Result<std::unique_ptr<Ring>> open_uring_ring(const RingOptions& options, UringHooks hooks) {
  auto ring = std::make_unique<UringRing>(options.capacity, std::move(hooks));
  HAUL_TRY(ring->open(options.buffers));
  return ring;
}

}  // namespace haul::io::internal
