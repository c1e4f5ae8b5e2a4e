#include "engine/wal/wal_piece.h"

#include <charconv>

#include "base/bytes.h"
#include "base/format.h"
#include "compress/checksum.h"
#include "compress/codec.h"
#include "engine/postgres/wal_segment.h"
#include "engine/repository/byte_io.h"

namespace haul::wal {
namespace {

using compress::Codec;
using repository::ByteReader;
using repository::ByteWriter;
using repository::Cluster;
using repository::ObjectKind;

constexpr std::size_t kChecksumAt = 128;
constexpr std::size_t kReservedBytes = 5;
constexpr std::size_t kOffsetDigits = 8;
// SEGMENT.BEGIN-END
constexpr std::size_t kPieceNameLength = WalName::kSegmentNameLength + 2 + 2 * kOffsetDigits;

std::optional<std::uint32_t> parse_offset(std::string_view digits) {
  for (const char c : digits) {
    if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'))) return std::nullopt;
  }
  std::uint32_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  return value;
}

compress::Checksum header_checksum(const std::string& key, ByteSpan header) {
  compress::Checksummer sum;
  sum.update(bytes_of(key)).update(header.first(kChecksumAt));
  return sum.finish();
}

struct PieceHeader {
  WalFacts facts;
  TimelineId timeline;
  std::uint64_t content_bytes = 0;
  std::uint32_t begin = 0;
  std::uint32_t stored_bytes = 0;
  Codec codec = Codec::none;
  compress::Checksum stored_checksum;
  compress::Digest content_digest;
};

void write_header(ByteWriter& out, const Cluster& cluster, const std::string& key,
                  const PieceHeader& header) {
  repository::write_object_header(out, ObjectKind::wal_piece, cluster.repository);
  out.u64(header.content_bytes);
  out.u64(header.facts.system_identifier);
  out.u64(header.facts.segment_number);
  out.u32(header.timeline.value);
  out.u32(header.facts.segment_size_bytes);
  out.u32(header.begin);
  out.u32(header.stored_bytes);
  out.u16(header.facts.server_major);
  out.u8(static_cast<std::uint8_t>(header.codec));
  out.zeros(kReservedBytes);
  out.bytes(header.stored_checksum.bytes);
  out.bytes(header.content_digest.bytes);
  HAUL_ASSERT(out.size() == kChecksumAt);
  out.bytes(header_checksum(key, out.view()).bytes);
}

// What a header may say under this name, whoever wrote it.
bool is_plausible(const PieceHeader& header, std::uint64_t system_identifier,
                  const PieceName& name) {
  const std::uint32_t segment_size = header.facts.segment_size_bytes;
  if (!postgres::is_valid_wal_segment_size(segment_size) || name.end > segment_size) return false;
  const auto segment = postgres::parse_wal_segment_name(name.segment.text, segment_size);
  const bool plain = header.codec == Codec::none;
  return segment && segment->number == header.facts.segment_number &&
         header.timeline == name.segment.timeline && header.begin == name.begin &&
         header.facts.system_identifier == system_identifier &&
         header.content_bytes == name.size_bytes() && header.content_bytes <= kPieceBytesMax &&
         header.stored_bytes > 0 &&
         (plain ? header.stored_bytes == header.content_bytes
                : header.stored_bytes < header.content_bytes);
}

Result<PieceHeader> parse_header(const Cluster& cluster, const std::string& key, ByteSpan bytes) {
  ByteReader in(bytes);
  const auto repository = HAUL_TRY(repository::read_object_header(in, ObjectKind::wal_piece, key));
  if (repository != cluster.repository) {
    return Error(ErrorCode::corrupt, format("{}: belongs to another repository", key));
  }
  PieceHeader header;
  header.content_bytes = in.u64();
  header.facts.system_identifier = in.u64();
  header.facts.segment_number = in.u64();
  header.timeline = TimelineId{in.u32()};
  header.facts.segment_size_bytes = in.u32();
  header.begin = in.u32();
  header.stored_bytes = in.u32();
  header.facts.server_major = in.u16();
  const std::uint8_t codec = in.u8();
  in.zeros(kReservedBytes);
  header.stored_checksum = {in.array<16>()};
  header.content_digest = {in.array<32>()};
  if (in.array<16>() != header_checksum(key, bytes).bytes || !in.finished()) {
    return Error(ErrorCode::corrupt, format("{}: checksum of the header does not match", key));
  }
  auto known = compress::codec_from_byte(codec);
  if (!known) return std::move(known).take_error().with_context(key);
  header.codec = *known;
  return header;
}

}  // namespace

std::string PieceName::text() const { return format("{}.{:08X}-{:08X}", segment.text, begin, end); }

std::optional<PieceName> parse_piece_name(std::string_view text) {
  constexpr std::size_t kBeginAt = WalName::kSegmentNameLength + 1;
  constexpr std::size_t kEndAt = kBeginAt + kOffsetDigits + 1;
  if (text.size() != kPieceNameLength || text[kBeginAt - 1] != '.' || text[kEndAt - 1] != '-') {
    return std::nullopt;
  }
  const auto segment = parse_wal_name(text.substr(0, WalName::kSegmentNameLength));
  const auto begin = parse_offset(text.substr(kBeginAt, kOffsetDigits));
  const auto end = parse_offset(text.substr(kEndAt, kOffsetDigits));
  if (!segment || !begin || !end || *begin >= *end || *end > kWalSegmentBytesMax) {
    return std::nullopt;
  }
  return PieceName{*segment, *begin, *end};
}

std::string piece_key(const WalLayout& layout, const PieceName& name) {
  return layout.prefix(name.segment) + "/" + name.text();
}

std::optional<PieceKey> parse_piece_key(const repository::ClusterLayout& cluster,
                                        std::string_view key) {
  const std::string root = cluster.wal() + "/";
  if (!key.starts_with(root)) return std::nullopt;
  const std::string_view rest = key.substr(root.size());
  const auto system = parse_system_identifier(rest.substr(0, rest.find('/')));
  const auto name = parse_piece_name(rest.substr(rest.rfind('/') + 1));
  if (!system || !name || piece_key(WalLayout(cluster, *system), *name) != key) {
    return std::nullopt;
  }
  return PieceKey{*system, *name};
}

Result<std::vector<std::byte>> encode_piece(const Cluster& cluster, const PieceName& name,
                                            const WalFacts& facts, ByteSpan content) {
  HAUL_ASSERT(content.size() == name.size_bytes() && content.size() <= kPieceBytesMax);
  auto compressor = HAUL_TRY(compress::Compressor::open({}));
  std::vector<std::byte> packed(compress::compressed_size_max(content.size()));
  const compress::Compressed result = HAUL_TRY(compressor.compress(content, packed));
  std::vector<std::byte> unpacked(content.size());
  compress::Decompressor decompressor;
  HAUL_TRY(decompressor.decompress(result.codec, result.bytes, unpacked));
  if (!equal_bytes(content, unpacked)) {
    return Error(ErrorCode::corrupt, "compressed WAL does not decode to what it was");
  }
  PieceHeader header;
  header.facts = facts;
  header.timeline = name.segment.timeline;
  header.content_bytes = content.size();
  header.begin = name.begin;
  header.stored_bytes = static_cast<std::uint32_t>(result.bytes.size());
  header.codec = result.codec;
  header.stored_checksum = compress::checksum(result.bytes);
  header.content_digest = cluster.identity->wal_digest(content);
  const WalLayout layout(cluster.layout, facts.system_identifier);
  ByteWriter out;
  write_header(out, cluster, piece_key(layout, name), header);
  out.bytes(result.bytes);
  return std::move(out).take();
}

Result<Piece> read_piece(const Cluster& cluster, std::uint64_t system_identifier,
                         const PieceName& name) {
  const std::string key = piece_key(WalLayout(cluster.layout, system_identifier), name);
  const auto object = HAUL_TRY(cluster.store->open(key));
  std::array<std::byte, kPieceHeaderBytes> bytes{};
  HAUL_TRY(object->read_at(0, bytes));
  const PieceHeader header = HAUL_TRY(parse_header(cluster, key, bytes));
  if (!is_plausible(header, system_identifier, name) ||
      object->size_bytes() != kPieceHeaderBytes + header.stored_bytes) {
    return Error(ErrorCode::corrupt, format("{}: header is not valid", key));
  }
  std::vector<std::byte> stored(header.stored_bytes);
  HAUL_TRY(object->read_at(kPieceHeaderBytes, stored));
  if (compress::checksum(stored) != header.stored_checksum) {
    return Error(ErrorCode::corrupt, format("{}: checksum does not match", key));
  }
  Piece piece{header.facts, std::vector<std::byte>(header.content_bytes)};
  compress::Decompressor decompressor;
  Status decoded = decompressor.decompress(header.codec, stored, piece.content);
  if (!decoded) return std::move(decoded).take_error().with_context(key);
  if (cluster.identity->wal_digest(piece.content) != header.content_digest) {
    return Error(ErrorCode::corrupt, format("{}: content is not what was stored", key));
  }
  return piece;
}

}  // namespace haul::wal
