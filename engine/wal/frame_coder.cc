#include "engine/wal/frame_coder.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "base/bytes.h"
#include "base/format.h"

namespace haul::wal {
namespace {

class FrameCoder {
 public:
  FrameCoder(ByteSpan content, EncodedFrames& frames) : content_(content), frames_(frames) {}

  // Takes frames until none is left or one has failed; no exception leaves a thread.
  void work() noexcept {
    Status done = ok();
    try {
      done = encode_rest();
    } catch (const std::exception& exception) {
      done = Error(ErrorCode::io, format("compressing WAL: {}", exception.what()));
    }
    if (done) return;
    const std::scoped_lock lock(mutex_);
    if (!failure_) failure_ = std::move(done).take_error();
    next_ = frames_.entries.size();
  }

  Status status() {
    const std::scoped_lock lock(mutex_);
    if (failure_) return *failure_;
    return ok();
  }

 private:
  Status encode_rest() {
    compress::Compressor compressor = HAUL_TRY(compress::Compressor::open({}));
    compress::Decompressor decompressor;
    std::vector<std::byte> packed(compress::compressed_size_max(kFrameBytes));
    std::vector<std::byte> unpacked(kFrameBytes);
    for (std::size_t number = next_++; number < frames_.entries.size(); number = next_++) {
      const ByteSpan raw =
          content_.subspan(number * kFrameBytes, frame_size(content_.size(), number));
      if (!compress::is_zero(raw)) {
        const compress::Compressed result = HAUL_TRY(compressor.compress(raw, packed));
        const MutableByteSpan back = MutableByteSpan(unpacked).first(raw.size());
        HAUL_TRY(decompressor.decompress(result.codec, result.bytes, back));
        if (!equal_bytes(raw, back)) {
          return Error(ErrorCode::corrupt, "compressed WAL does not decode to what it was");
        }
        frames_.entries[number].codec = result.codec;
        frames_.bytes[number].assign(result.bytes.begin(), result.bytes.end());
      }
      const std::vector<std::byte>& stored = frames_.bytes[number];
      frames_.entries[number].stored_bytes = static_cast<std::uint32_t>(stored.size());
      frames_.entries[number].checksum = compress::checksum(stored);
    }
    return ok();
  }

  const ByteSpan content_;
  EncodedFrames& frames_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;  // guards failure_
  std::optional<Error> failure_;
};

}  // namespace

std::size_t frame_count(std::uint64_t content_bytes) {
  return (content_bytes + kFrameBytes - 1) / kFrameBytes;
}

std::size_t frame_size(std::uint64_t content_bytes, std::size_t number) {
  return std::min<std::uint64_t>(kFrameBytes, content_bytes - number * kFrameBytes);
}

Result<EncodedFrames> encode_frames(ByteSpan content, std::size_t workers,
                                    const std::function<void()>& meanwhile) {
  EncodedFrames frames;
  frames.entries.resize(frame_count(content.size()));
  frames.bytes.resize(frames.entries.size());
  FrameCoder coder(content, frames);
  {
    std::vector<std::jthread> threads;
    const std::size_t others = std::min(workers, frames.entries.size());
    for (std::size_t i = 1; i < others; ++i) threads.emplace_back([&coder] { coder.work(); });
    meanwhile();
    coder.work();
  }
  HAUL_TRY(coder.status());
  return frames;
}

}  // namespace haul::wal
