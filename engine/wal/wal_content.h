// Is a file what its name says? Asked before it is archived and again before it is handed out.
//
// A segment's pages bear their own addresses, from the first one on, to the end or to where writing
// ended: behind that a server leaves zeros (after a switch) or what the file held before it was
// reused. Reused pages have other addresses. A page that belongs here after one that does not is
// damage: what should lie between was lost.
//
// Units:    sizes are bytes.
// Threads:  functions over values.
// Errors:   corrupt (another content than the name demands), unsupported (WAL of a release that is
//           not known).
#pragma once

#include "base/result.h"
#include "base/types.h"
#include "engine/wal/wal_name.h"

namespace haul::wal {

inline constexpr std::size_t kWalTextBytesMax = std::size_t{1} << 20;
inline constexpr std::size_t kWalSegmentBytesMax = std::size_t{1} << 30;

// The largest content that a file of this kind can have.
inline std::size_t content_bytes_max(const WalName& name) {
  return name.holds_pages() ? kWalSegmentBytesMax : kWalTextBytesMax;
}

// What the content tells of itself; histories tell nothing of this.
struct WalFacts {
  std::uint64_t system_identifier = 0;
  std::uint64_t segment_number = 0;
  std::uint32_t segment_size_bytes = 0;
  std::uint16_t server_major = 0;

  bool operator==(const WalFacts&) const = default;
};

Result<WalFacts> examine_content(const WalName& name, ByteSpan content);

}  // namespace haul::wal
