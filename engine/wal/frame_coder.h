// Packs the frames of a content side by side.
//
// Memory:   the frames, and per worker twice a frame.
// Threads:  blocks its caller, which is one of the workers; the others end before it returns.
// Errors:   usage and corrupt, of the codec: bugs, found by decoding what was just encoded.
#pragma once

#include <functional>
#include <vector>

#include "engine/wal/wal_object.h"

namespace haul::wal {

struct EncodedFrames {
  std::vector<StoredFrame> entries;
  std::vector<std::vector<std::byte>> bytes;
};

// `meanwhile` runs on the calling thread before it joins the work.
Result<EncodedFrames> encode_frames(ByteSpan content, std::size_t workers,
                                    const std::function<void()>& meanwhile);

// The content of frame `number` of `content_bytes` in all.
std::size_t frame_size(std::uint64_t content_bytes, std::size_t number);
std::size_t frame_count(std::uint64_t content_bytes);

}  // namespace haul::wal
