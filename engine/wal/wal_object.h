// How a WAL file is stored: a header, a table of frames, the frames.
//
// A frame is 1 MiB of the content, compressed by itself, so that frames are packed and unpacked
// side by side; one of zeros takes no bytes at all. The header holds checksum and digest of the
// whole content and is bound to the object's key by its own checksum.
//
// Units:    sizes are bytes.
// Memory:   encoding: the content and its frames; decoding: the object and the content. Both are
//           bounded, and checked before anything is allocated.
// Threads:  functions over values; encode_wal_object() uses up to `workers` threads of its own.
// Errors:   corrupt, unsupported.
// Format:   docs/format.md, "WAL objects".
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "compress/checksum.h"
#include "compress/codec.h"
#include "engine/repository/cluster.h"
#include "engine/wal/wal_content.h"
#include "engine/wal/wal_layout.h"

namespace haul::wal {

inline constexpr std::size_t kFrameBytes = std::size_t{1} << 20;
inline constexpr std::size_t kWalHeaderBytes = 144;
inline constexpr std::size_t kFrameEntryBytes = 24;
inline constexpr std::size_t kWalFramesMax = kWalSegmentBytesMax / kFrameBytes;
// A frame is never larger than what it holds.
inline constexpr std::uint64_t kWalObjectBytesMax =
    kWalHeaderBytes + kWalFramesMax * kFrameEntryBytes + kWalSegmentBytesMax;

struct StoredFrame {
  std::uint32_t stored_bytes = 0;  // 0: zeros
  compress::Codec codec = compress::Codec::none;
  compress::Checksum checksum;  // of the stored bytes
};

struct WalHeader {
  std::uint64_t system_identifier = 0;
  TimelineId timeline;
  WalFacts facts;  // as examine_content() finds them; its system identifier is the one above, or 0
  std::uint64_t content_bytes = 0;
  compress::Checksum content_checksum;
  compress::Digest content_digest;
  std::vector<StoredFrame> frames;

  std::uint64_t object_bytes() const;
};

// A content that was examined, ready to be stored.
struct WalSource {
  WalKey key;
  WalFacts facts;
  ByteSpan content;
};

struct EncodedWal {
  std::vector<std::byte> head;  // header and table
  std::vector<std::vector<std::byte>> frames;
};

// Every frame is decoded again and compared with the content before this returns.
Result<EncodedWal> encode_wal_object(const repository::Cluster& cluster, const WalSource& source,
                                     std::size_t workers);

// Header and table of the object of this name; not_found when there is none.
Result<WalHeader> read_wal_header(const repository::Cluster& cluster, const WalKey& key);
// The content, every byte of the object checked, and that it is what its name says.
Result<std::vector<std::byte>> read_wal_content(const repository::Cluster& cluster,
                                                const WalKey& key);

// An object frame by frame, for whoever needs a part of it, or not all of it at once. The checksums
// of header and frames are verified, those of the whole content are not.
class WalFrames {
 public:
  // not_found when there is no such object.
  static Result<WalFrames> open(const repository::Cluster& cluster, const WalKey& key);

  const WalHeader& header() const { return header_; }
  std::size_t count() const { return header_.frames.size(); }
  // The content of one frame, valid until the next call.
  Result<ByteSpan> read(std::size_t number);

 private:
  WalFrames(std::string name, std::unique_ptr<io::ObjectReader> object)
      : name_(std::move(name)), object_(std::move(object)) {}

  std::string name_;
  std::unique_ptr<io::ObjectReader> object_;
  WalHeader header_;
  std::vector<std::uint64_t> offsets_;  // of the frames in the object
  std::vector<std::byte> stored_;
  std::vector<std::byte> content_;
  compress::Decompressor decompressor_;
};

}  // namespace haul::wal
