#include "engine/wal/wal_object.h"

#include <algorithm>
#include <numeric>
#include <span>

#include "base/format.h"
#include "engine/postgres/wal_segment.h"
#include "engine/repository/byte_io.h"
#include "engine/wal/frame_coder.h"

namespace haul::wal {
namespace {

using repository::ByteReader;
using repository::ByteWriter;
using repository::Cluster;
using repository::ObjectKind;

constexpr std::size_t kChecksumAt = 128;
constexpr std::size_t kReservedBytes = 6;
constexpr std::size_t kFrameReservedBytes = 3;

ObjectKind kind_of(const WalName& name) {
  return name.kind == WalFileKind::segment ? ObjectKind::wal_segment : ObjectKind::wal_file;
}

std::string key_of(const Cluster& cluster, const WalKey& key) {
  return WalLayout(cluster.layout, key.system_identifier).key(key.name);
}

// `head` is header and table.
compress::Checksum head_checksum(const std::string& key, ByteSpan head) {
  compress::Checksummer sum;
  sum.update(bytes_of(key)).update(head.first(kChecksumAt)).update(head.subspan(kWalHeaderBytes));
  return sum.finish();
}

struct ContentSums {
  compress::Checksum checksum;
  compress::Digest digest;
};

ContentSums sums_of(const Cluster& cluster, ByteSpan content) {
  return {compress::checksum(content), cluster.identity->wal_digest(content)};
}

std::vector<std::byte> encode_head(const Cluster& cluster, const WalSource& source,
                                   const ContentSums& sums, std::span<const StoredFrame> frames) {
  ByteWriter out;
  repository::write_object_header(out, kind_of(source.key.name), cluster.repository);
  out.u64(source.content.size());
  out.u64(source.key.system_identifier);
  out.u64(source.facts.segment_number);
  out.u32(source.key.name.timeline.value);
  out.u32(source.facts.segment_size_bytes);
  out.u32(static_cast<std::uint32_t>(kFrameBytes));
  out.u32(static_cast<std::uint32_t>(frames.size()));
  out.u16(source.facts.server_major);
  out.zeros(kReservedBytes);
  out.bytes(sums.checksum.bytes);
  out.bytes(sums.digest.bytes);
  HAUL_ASSERT(out.size() == kChecksumAt);
  out.zeros(kWalHeaderBytes - kChecksumAt);
  for (const StoredFrame& frame : frames) {
    out.u32(frame.stored_bytes);
    out.u8(static_cast<std::uint8_t>(frame.codec));
    out.zeros(kFrameReservedBytes);
    out.bytes(frame.checksum.bytes);
  }
  out.patch(kChecksumAt, head_checksum(key_of(cluster, source.key), out.view()).bytes);
  return std::move(out).take();
}

// The number of the segment is the one of its name, given its size.
bool is_that_segment(const WalHeader& header, const WalName& name) {
  const std::uint32_t size = header.facts.segment_size_bytes;
  if (size != header.content_bytes || !postgres::is_valid_wal_segment_size(size)) return false;
  const auto segment = postgres::parse_wal_segment_name(name.segment(), size);
  return segment && segment->number == header.facts.segment_number;
}

// What a header may say in this place, whoever wrote it.
bool is_plausible(const WalHeader& header, const WalKey& key, std::uint32_t frame_bytes,
                  std::uint32_t frames) {
  return header.system_identifier == key.system_identifier &&
         header.timeline == key.name.timeline && frame_bytes == kFrameBytes &&
         header.content_bytes <= content_bytes_max(key.name) &&
         frames == frame_count(header.content_bytes) &&
         (!key.name.holds_pages() || is_that_segment(header, key.name));
}

struct Head {
  WalHeader header;
  std::uint32_t frames = 0;
};

// The first kWalHeaderBytes; their checksum waits for the table.
Result<Head> parse_header(const Cluster& cluster, const WalKey& key, ByteSpan bytes) {
  const std::string name = key_of(cluster, key);
  ByteReader in(bytes);
  const auto repository = HAUL_TRY(repository::read_object_header(in, kind_of(key.name), name));
  if (repository != cluster.repository) {
    return Error(ErrorCode::corrupt, format("{}: belongs to another repository", name));
  }
  Head head;
  WalHeader& header = head.header;
  header.content_bytes = in.u64();
  header.system_identifier = in.u64();
  header.facts.segment_number = in.u64();
  header.timeline = TimelineId{in.u32()};
  header.facts.segment_size_bytes = in.u32();
  const std::uint32_t frame_bytes = in.u32();
  head.frames = in.u32();
  header.facts.server_major = in.u16();
  in.zeros(kReservedBytes);
  header.content_checksum = {in.array<16>()};
  header.content_digest = {in.array<32>()};
  if (key.name.holds_pages()) header.facts.system_identifier = header.system_identifier;
  if (!in.ok() || !is_plausible(header, key, frame_bytes, head.frames)) {
    return Error(ErrorCode::corrupt, format("{}: header is not valid", name));
  }
  return head;
}

// Reads the table behind the header, whose number of frames was bounded before.
Status parse_table(const Cluster& cluster, const WalKey& key, ByteSpan head, WalHeader& header) {
  const std::string name = key_of(cluster, key);
  const compress::Checksum sum = head_checksum(name, head);
  ByteReader in(head.subspan(kChecksumAt));
  if (in.array<16>() != sum.bytes) {
    return Error(ErrorCode::corrupt, format("{}: checksum of the header does not match", name));
  }
  while (in.remaining() > 0) {
    StoredFrame frame;
    frame.stored_bytes = in.u32();
    auto codec = compress::codec_from_byte(in.u8());
    if (!codec) return std::move(codec).take_error().with_context(name);
    frame.codec = *codec;
    in.zeros(kFrameReservedBytes);
    frame.checksum = {in.array<16>()};
    const std::size_t raw = frame_size(header.content_bytes, header.frames.size());
    const bool plain = frame.codec == compress::Codec::none;
    const bool fits = plain ? frame.stored_bytes == 0 || frame.stored_bytes == raw
                            : frame.stored_bytes > 0 && frame.stored_bytes < raw;
    if (!in.ok() || !fits) {
      return Error(ErrorCode::corrupt,
                   format("{}: frame {} is not valid", name, header.frames.size()));
    }
    header.frames.push_back(frame);
  }
  return ok();
}

Status decode_frame(const StoredFrame& frame, ByteSpan stored, MutableByteSpan raw,
                    compress::Decompressor& decompressor) {
  if (compress::checksum(stored) != frame.checksum) {
    return Error(ErrorCode::corrupt, "checksum does not match");
  }
  // The content began as zeros.
  if (frame.stored_bytes == 0) return ok();
  return decompressor.decompress(frame.codec, stored, raw);
}

Result<std::vector<std::byte>> decode_frames(const WalHeader& header, io::ObjectReader& object,
                                             const std::string& name) {
  std::vector<std::byte> content(header.content_bytes);
  std::vector<std::byte> stored;
  compress::Decompressor decompressor;
  std::uint64_t at = kWalHeaderBytes + header.frames.size() * kFrameEntryBytes;
  for (std::size_t number = 0; number < header.frames.size(); ++number) {
    const StoredFrame& frame = header.frames[number];
    stored.resize(frame.stored_bytes);
    HAUL_TRY(object.read_at(at, stored));
    at += frame.stored_bytes;
    const MutableByteSpan raw =
        MutableByteSpan(content).subspan(number * kFrameBytes, frame_size(content.size(), number));
    Status decoded = decode_frame(frame, stored, raw, decompressor);
    if (!decoded) {
      return std::move(decoded).take_error().with_context(format("{}: frame {}", name, number));
    }
  }
  return content;
}

Result<WalHeader> read_header(const Cluster& cluster, const WalKey& key, io::ObjectReader& object) {
  const std::string name = key_of(cluster, key);
  std::vector<std::byte> bytes(kWalHeaderBytes);
  HAUL_TRY(object.read_at(0, bytes));
  Head head = HAUL_TRY(parse_header(cluster, key, bytes));
  bytes.resize(kWalHeaderBytes + head.frames * kFrameEntryBytes);
  HAUL_TRY(object.read_at(kWalHeaderBytes, MutableByteSpan(bytes).subspan(kWalHeaderBytes)));
  HAUL_TRY(parse_table(cluster, key, bytes, head.header));
  if (head.header.object_bytes() != object.size_bytes()) {
    return Error(ErrorCode::corrupt, format("{}: {} bytes instead of {}", name, object.size_bytes(),
                                            head.header.object_bytes()));
  }
  return std::move(head.header);
}

}  // namespace

std::uint64_t WalHeader::object_bytes() const {
  const std::uint64_t head = kWalHeaderBytes + frames.size() * kFrameEntryBytes;
  return std::accumulate(
      frames.begin(), frames.end(), head,
      [](std::uint64_t sum, const StoredFrame& frame) { return sum + frame.stored_bytes; });
}

Result<EncodedWal> encode_wal_object(const Cluster& cluster, const WalSource& source,
                                     std::size_t workers) {
  ContentSums sums;
  EncodedFrames frames = HAUL_TRY(
      encode_frames(source.content, workers, [&] { sums = sums_of(cluster, source.content); }));
  EncodedWal encoded;
  encoded.head = encode_head(cluster, source, sums, frames.entries);
  encoded.frames = std::move(frames.bytes);
  return encoded;
}

Result<WalHeader> read_wal_header(const Cluster& cluster, const WalKey& key) {
  const auto object = HAUL_TRY(cluster.store->open(key_of(cluster, key)));
  return read_header(cluster, key, *object);
}

Result<std::vector<std::byte>> read_wal_content(const Cluster& cluster, const WalKey& key) {
  const std::string name = key_of(cluster, key);
  const auto object = HAUL_TRY(cluster.store->open(name));
  const WalHeader header = HAUL_TRY(read_header(cluster, key, *object));
  std::vector<std::byte> content = HAUL_TRY(decode_frames(header, *object, name));
  const ContentSums sums = sums_of(cluster, content);
  if (sums.checksum != header.content_checksum || sums.digest != header.content_digest) {
    return Error(ErrorCode::corrupt, format("{}: content is not what was stored", name));
  }
  // Whoever can write the repository can make every checksum good.
  auto facts = examine_content(key.name, content);
  if (!facts) return std::move(facts).take_error().with_context(name);
  if (*facts != header.facts) {
    return Error(ErrorCode::corrupt, format("{}: header and content disagree", name));
  }
  return content;
}

Result<WalFrames> WalFrames::open(const Cluster& cluster, const WalKey& key) {
  const std::string name = key_of(cluster, key);
  WalFrames frames(name, HAUL_TRY(cluster.store->open(name)));
  frames.header_ = HAUL_TRY(read_header(cluster, key, *frames.object_));
  std::uint64_t at = kWalHeaderBytes + frames.count() * kFrameEntryBytes;
  for (const StoredFrame& frame : frames.header_.frames) {
    frames.offsets_.push_back(at);
    at += frame.stored_bytes;
  }
  return frames;
}

Result<ByteSpan> WalFrames::read(std::size_t number) {
  const StoredFrame& frame = header_.frames.at(number);
  stored_.resize(frame.stored_bytes);
  HAUL_TRY(object_->read_at(offsets_[number], stored_));
  content_.resize(frame_size(header_.content_bytes, number));
  // A frame of zeros is not stored.
  if (frame.stored_bytes == 0) std::ranges::fill(content_, std::byte{0});
  Status decoded = decode_frame(frame, stored_, content_, decompressor_);
  if (!decoded) {
    return std::move(decoded).take_error().with_context(format("{}: frame {}", name_, number));
  }
  return ByteSpan(content_);
}

}  // namespace haul::wal
