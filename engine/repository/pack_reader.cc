#include "engine/repository/pack_reader.h"

#include <algorithm>

#include "base/format.h"

namespace haul::repository {

namespace {

Error corrupt(const std::string& key, std::string_view what) {
  return Error(ErrorCode::corrupt, format("{}: {}", key, what));
}

}  // namespace

Result<PackReader> PackReader::open(const Cluster& cluster, const PackRef& ref) {
  const std::string key = cluster.layout.pack(ref);
  PackReader reader(cluster, ref, key, HAUL_TRY(cluster.store->open(key)));
  if (reader.size_bytes() < kPackBytesMin || reader.size_bytes() > kPackBytesMax) {
    return corrupt(key, format("{} bytes cannot be a pack", reader.size_bytes()));
  }
  Status footer = reader.read_footer();
  if (footer) return reader;
  if (footer.error().code() != ErrorCode::corrupt) return std::move(footer).take_error();
  // A pack of another repository is no damage that walking could mend.
  std::vector<std::byte> header(kPackHeaderBytes);
  HAUL_TRY(reader.object_->read_at(0, header));
  HAUL_TRY(check_pack_header(header, cluster.repository, ref.name, key));
  reader.footer_damage_ = footer.error().message();
  reader.source_ = Source::frames;
  HAUL_TRY(reader.walk_frames());
  return reader;
}

Status PackReader::read_footer() {
  std::vector<std::byte> trailer_bytes(kPackTrailerBytes);
  HAUL_TRY(object_->read_at(size_bytes() - kPackTrailerBytes, trailer_bytes));
  const PackTrailer trailer = HAUL_TRY(parse_pack_trailer(trailer_bytes, size_bytes(), key_));
  std::vector<std::byte> tail(size_bytes() - trailer.footer_offset);
  HAUL_TRY(object_->read_at(trailer.footer_offset, tail));
  footer_ = HAUL_TRY(parse_pack_footer(tail, trailer, ref_.name, key_));
  return ok();
}

// Chunk after chunk until a frame is not one: that is where the footer begins.
Status PackReader::walk_frames() {
  footer_ = PackFooter{};
  compress::Decompressor decompressor;
  std::vector<std::byte> frame(kChunkFrameBytes);
  std::vector<std::byte> raw;
  std::uint64_t offset = kPackHeaderBytes;
  while (size_bytes() - offset >= kChunkFrameBytes) {
    HAUL_TRY(object_->read_at(offset, frame));
    auto parsed = parse_chunk_frame(frame, key_);
    if (!parsed) break;
    PackedChunk chunk = std::move(parsed).take();
    chunk.offset = offset + kChunkFrameBytes;
    if (chunk.stored_bytes > size_bytes() - chunk.offset) break;
    offset = chunk.offset + chunk.stored_bytes;

    std::vector<std::byte> stored(chunk.stored_bytes);
    HAUL_TRY(object_->read_at(chunk.offset, stored));
    raw.resize(chunk.raw_bytes);
    std::vector<Digest> digests(chunk.pages());
    // A chunk that does not decode keeps its place, without an id to be found by; what follows it
    // may be sound.
    if (decompressor.decompress(chunk.codec, stored, raw)) {
      identity_->page_digests(raw, chunk.page_size_bytes, digests);
      chunk.id = identity_->chunk_id(chunk.kind, chunk.page_size_bytes, raw.size(), digests);
    }
    for (const Digest& digest : digests) chunk.tags.push_back(digest.tag());
    footer_.chunks.push_back(std::move(chunk));
  }
  footer_.footer_offset = offset;
  return ok();
}

Status PackReader::read_chunk(std::size_t ordinal, compress::Decompressor& decompressor,
                              MutableByteSpan raw) const {
  HAUL_ASSERT(ordinal < footer_.chunks.size());
  const PackedChunk& chunk = footer_.chunks[ordinal];
  std::vector<std::byte> stored(chunk.stored_bytes);
  HAUL_TRY(object_->read_at(chunk.offset, stored));
  return decode_chunk(ordinal, stored, decompressor, raw);
}

Status PackReader::decode(std::size_t ordinal, ByteSpan stored,
                          compress::Decompressor& decompressor, MutableByteSpan raw) const {
  HAUL_ASSERT(ordinal < footer_.chunks.size());
  const PackedChunk& chunk = footer_.chunks[ordinal];
  HAUL_ASSERT(stored.size() == chunk.stored_bytes && raw.size() == chunk.raw_bytes);
  Status decoded = decompressor.decompress(chunk.codec, stored, raw);
  if (!decoded) {
    return std::move(decoded).take_error().with_context(format("{}: chunk {}", key_, ordinal));
  }
  return ok();
}

Status PackReader::decode_chunk(std::size_t ordinal, ByteSpan stored,
                                compress::Decompressor& decompressor, MutableByteSpan raw) const {
  HAUL_TRY(decode(ordinal, stored, decompressor, raw));
  const PackedChunk& chunk = footer_.chunks[ordinal];
  if (identity_->chunk_id_of(chunk.kind, chunk.page_size_bytes, raw) != chunk.id) {
    return corrupt(key_, format("chunk {} is not what its id says", ordinal));
  }
  return ok();
}

Status PackReader::decode_parts(std::size_t ordinal, ByteSpan stored,
                                compress::Decompressor& decompressor, MutableByteSpan raw,
                                std::span<const Part> parts) const {
  HAUL_TRY(decode(ordinal, stored, decompressor, raw));
  const PackedChunk& chunk = footer_.chunks[ordinal];
  const std::size_t page_bytes = chunk.page_size_bytes;
  for (const Part& part : parts) {
    if (part.offset > raw.size() || part.size_bytes > raw.size() - part.offset) {
      return corrupt(key_, format("chunk {} is too short", ordinal));
    }
    for (std::size_t at = part.offset; at < part.offset + part.size_bytes; at += page_bytes) {
      const ByteSpan page = raw.subspan(at, std::min(page_bytes, raw.size() - at));
      if (identity_->page_digest(page).tag() == chunk.tags[at / page_bytes]) continue;
      return corrupt(
          key_, format("page {} of chunk {} is not what its tag says", at / page_bytes, ordinal));
    }
  }
  return ok();
}

Status PackReader::check_data_checksum() const {
  compress::Checksummer sum;
  std::vector<std::byte> buffer(1 << 20);
  for (std::uint64_t offset = 0; offset < footer_.footer_offset; offset += buffer.size()) {
    const MutableByteSpan part = MutableByteSpan(buffer).first(
        std::min<std::uint64_t>(buffer.size(), footer_.footer_offset - offset));
    HAUL_TRY(object_->read_at(offset, part));
    sum.update(part);
  }
  if (sum.finish() != footer_.data_checksum) return corrupt(key_, "data checksum does not match");
  return ok();
}

Status PackReader::check_frame_and_chunk(std::size_t ordinal,
                                         compress::Decompressor& decompressor) const {
  const PackedChunk& listed = footer_.chunks[ordinal];
  std::vector<std::byte> frame_bytes(kChunkFrameBytes);
  HAUL_TRY(object_->read_at(listed.offset - kChunkFrameBytes, frame_bytes));
  const PackedChunk frame = HAUL_TRY(parse_chunk_frame(frame_bytes, key_));
  const bool agree = frame.stored_bytes == listed.stored_bytes &&
                     frame.raw_bytes == listed.raw_bytes && frame.codec == listed.codec &&
                     frame.kind == listed.kind && frame.page_size_bytes == listed.page_size_bytes;
  if (!agree) return corrupt(key_, format("frame and footer disagree on chunk {}", ordinal));

  std::vector<std::byte> raw(listed.raw_bytes);
  HAUL_TRY(read_chunk(ordinal, decompressor, raw));
  std::vector<Digest> digests(listed.pages());
  identity_->page_digests(raw, listed.page_size_bytes, digests);
  for (std::size_t i = 0; i < digests.size(); ++i) {
    if (digests[i].tag() != listed.tags[i])
      return corrupt(key_, format("a page tag of chunk {} is wrong", ordinal));
  }
  return ok();
}

Result<std::vector<std::string>> PackReader::find_damage() const {
  std::vector<std::string> findings;
  // Damage is collected; anything else ends the check.
  const auto note = [&findings](Status status) -> Status {
    if (status) return ok();
    if (status.error().code() != ErrorCode::corrupt &&
        status.error().code() != ErrorCode::unsupported)
      return status;
    findings.push_back(status.error().message());
    return ok();
  };
  std::vector<std::byte> header(kPackHeaderBytes);
  HAUL_TRY(object_->read_at(0, header));
  HAUL_TRY(note(check_pack_header(header, repository_, ref_.name, key_)));
  if (source_ == Source::footer) {
    HAUL_TRY(note(check_data_checksum()));
  } else {
    findings.push_back(footer_damage_);
  }
  compress::Decompressor decompressor;
  for (std::size_t i = 0; i < footer_.chunks.size(); ++i)
    HAUL_TRY(note(check_frame_and_chunk(i, decompressor)));
  return findings;
}

}  // namespace haul::repository
