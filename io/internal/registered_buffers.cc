#include "io/internal/registered_buffers.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include <liburing.h>

#include "base/format.h"

namespace haul::io::internal {
namespace {

// The kernel's limit (Linux 5.13).
constexpr std::size_t kBuffersMax = 16384;

bool register_first(io_uring& ring, const std::vector<iovec>& buffers, std::size_t count) {
  int answer = 0;
  do {
    answer = ::io_uring_register_buffers(&ring, buffers.data(), static_cast<unsigned>(count));
  } while (answer == -EINTR);
  return answer == 0;
}

// How many can be registered, by bisection: the kernel takes all that it is shown or nothing. None
// is registered afterwards.
std::size_t count_registrable(io_uring& ring, const std::vector<iovec>& buffers) {
  std::size_t possible = 0;
  std::size_t impossible = buffers.size();
  while (impossible - possible > 1) {
    const std::size_t count = possible + (impossible - possible) / 2;
    if (register_first(ring, buffers, count)) {
      possible = count;
      ::io_uring_unregister_buffers(&ring);
    } else {
      impossible = count;
    }
  }
  return possible;
}

}  // namespace

RegisteredBuffers::~RegisteredBuffers() {
  // The end of a ring gives locked memory back some time later; this does at once.
  if (!ranges_.empty()) ::io_uring_unregister_buffers(ring_);
}

void RegisteredBuffers::open(io_uring& ring, std::span<const MutableByteSpan> buffers) {
  ring_ = &ring;
  wanted_ = buffers.size();
  std::vector<iovec> vectors;
  for (const MutableByteSpan buffer : buffers.first(std::min(buffers.size(), kBuffersMax))) {
    vectors.push_back({buffer.data(), buffer.size()});
  }
  if (vectors.empty()) return;
  std::size_t count = vectors.size();
  if (!register_first(ring, vectors, count)) {
    count = count_registrable(ring, vectors);
    if (count == 0 || !register_first(ring, vectors, count)) return;
  }
  for (unsigned index = 0; index < count; ++index) {
    const MutableByteSpan buffer = buffers[index];
    ranges_.push_back({buffer.data(), buffer.data() + buffer.size(), index});
  }
  std::ranges::sort(ranges_, std::less<>(), &Range::begin);
}

std::optional<unsigned> RegisteredBuffers::index_of(ByteSpan bytes) const {
  // std::less orders any two pointers, operator< only those into one array.
  const std::less<const std::byte*> before;
  const auto after = std::ranges::upper_bound(ranges_, bytes.data(), before, &Range::begin);
  if (after == ranges_.begin()) return std::nullopt;
  const Range& range = *std::prev(after);
  if (before(range.end, bytes.data() + bytes.size())) return std::nullopt;
  return range.index;
}

std::string RegisteredBuffers::report() const {
  if (ranges_.size() == wanted_) return "";
  if (ranges_.empty()) return ", unregistered";
  return format(", {} of {} buffers registered", ranges_.size(), wanted_);
}

}  // namespace haul::io::internal
