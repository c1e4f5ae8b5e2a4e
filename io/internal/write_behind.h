// Writes files behind their writers' backs: full buffers go to a ring on a thread of its own, and
// their writers go on filling others.
//
// Units:    sizes are bytes; every write is a whole buffer at a multiple of its size.
// Memory:   kBuffers buffers, registered with the ring as far as that goes; each writer beyond that
//           many has one of its own.
// Threads:  streams may be opened and used from any thread, each by one owner at a time.
// Errors:   those of the files, reported by the stream that had them.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "io/aligned_buffer.h"
#include "io/file.h"
#include "io/internal/byte_sink.h"
#include "io/ring.h"

namespace haul::io::internal {

class WriteBehind {
 public:
  static constexpr std::size_t kBuffers = 64;
  // A server's own flush waits for the write that the device is at: it should be short.
  static constexpr std::size_t kBufferSizeBytes = 256 * 1024;

  // Starts the thread, which opens the ring; fails as `rings` does.
  static Result<std::unique_ptr<WriteBehind>> open(const RingFactory& rings);
  WriteBehind(const WriteBehind&) = delete;
  WriteBehind& operator=(const WriteBehind&) = delete;
  // All streams are gone by then.
  ~WriteBehind();

  // Writes to `file`, which was opened direct and is empty. Both outlive the stream.
  std::unique_ptr<ByteSink> write_to(File& file);

 private:
  class Stream;
  struct Buffer {
    MutableByteSpan bytes;  // none: not a buffer
    AlignedBuffer own;      // where it does not belong to the pool
  };
  struct Write {
    Stream* stream = nullptr;
    Buffer buffer;
    std::uint64_t offset = 0;
  };

  WriteBehind();

  Buffer acquire();
  void post(Write write);
  void give_back(Buffer buffer);  // with the lock held

  std::vector<MutableByteSpan> pooled_buffers();
  void run(const RingFactory& rings);
  void serve(Ring& ring);
  bool submit_posted(Ring& ring);
  void take(RingCompletion& completion);

  AlignedBuffer memory_;

  std::mutex mutex_;  // guards what follows, and what a stream shares with the thread
  std::condition_variable changed_;
  Ring* ring_ = nullptr;             // from its opening to its end, for wake()
  std::optional<Error> not_opened_;  // why there is no ring
  bool is_ending_ = false;
  std::vector<Buffer> free_;
  std::deque<Write> posted_;      // not yet submitted
  std::size_t on_their_way_ = 0;  // posted and not complete

  std::array<Write, kBuffers> submitted_;  // the thread's; by tag

  std::jthread thread_;  // last: it uses all of the above, and ends first
};

}  // namespace haul::io::internal
