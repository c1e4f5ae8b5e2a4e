#include "engine/wal/tail_writer.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"
#include "base/format.h"
#include "engine/postgres/wal_segment.h"

namespace haul::wal {
namespace {

using repository::Cluster;

// Pieces of this size are not written again.
constexpr std::size_t kSettledBytes = std::size_t{1} << 20;

// Sizes of one class are merged, so that every time a byte is written again it is in a piece of a
// higher class: that bounds both how often it is written and how many pieces there are.
bool is_absorbed(const PieceName& piece, std::size_t added_bytes) {
  return piece.size_bytes() < kSettledBytes &&
         std::bit_width(piece.size_bytes()) <= std::bit_width(added_bytes);
}

}  // namespace

TailWriter::TailWriter(const Cluster& cluster, const Origin& origin)
    : cluster_(cluster),
      origin_(origin),
      layout_(cluster.layout, origin.system_identifier),
      archive_(cluster, origin.system_identifier, origin.workers) {
  // Address space; memory is taken as the segment fills.
  content_.reserve(origin.segment_size_bytes);
}

WalFacts TailWriter::facts() const {
  return {origin_.system_identifier, number_, origin_.segment_size_bytes, origin_.server_major};
}

Status TailWriter::open(TimelineId timeline, std::uint64_t segment_number) {
  number_ = segment_number;
  name_ = {WalFileKind::segment, timeline,
           postgres::to_name({timeline, segment_number}, origin_.segment_size_bytes)};
  content_.clear();
  position_ = 0;
  durable_bytes_ = 0;
  pieces_.clear();
  strays_.clear();
  return take_over(HAUL_TRY(list_segment_group(cluster_, layout_.prefix(name_))));
}

Status TailWriter::take_over(const SegmentGroup& group) {
  std::vector<PieceName> superseded;
  std::vector<PieceName> own;
  for (const PieceName& piece : group.pieces) {
    if (piece.segment == name_) {
      own.push_back(piece);
    } else if (std::ranges::binary_search(group.segments, piece.segment.text, {}, &WalName::text)) {
      superseded.push_back(piece);
    }
  }
  if (own.empty() && superseded.empty()) return ok();
  // Whoever made these may have ended before they were durable.
  HAUL_TRY(cluster_.store->make_durable(layout_.prefix(name_)));
  pieces_ = covering_pieces(own);
  for (const PieceName& name : pieces_) {
    const Piece piece = HAUL_TRY(read_piece(cluster_, origin_.system_identifier, name));
    if (piece.facts != facts()) {
      return Error(ErrorCode::corrupt,
                   format("{}: is of another server", piece_key(layout_, name)));
    }
    const ByteSpan more = ByteSpan(piece.content).subspan(content_.size() - name.begin);
    content_.insert(content_.end(), more.begin(), more.end());
  }
  durable_bytes_ = content_.size();
  for (const PieceName& piece : own) {
    if (std::ranges::find(pieces_, piece) != pieces_.end()) continue;
    (piece.end <= durable_bytes_ ? superseded : strays_).push_back(piece);
  }
  return remove(std::move(superseded));
}

Result<std::size_t> TailWriter::append(Lsn at, ByteSpan bytes) {
  if (at != position()) {
    return Error(ErrorCode::server_state, format("the server sends WAL of {} after that up to {}",
                                                 to_string(at), to_string(position())));
  }
  const std::size_t count = std::min(bytes.size(), origin_.segment_size_bytes - position_);
  const std::size_t known = std::min(count, content_.size() - position_);
  const ByteSpan again = bytes.first(known);
  if (!equal_bytes(again, ByteSpan(content_).subspan(position_, known))) {
    return Error(ErrorCode::already_exists,
                 format("the server's WAL in {} is not what was streamed before", name_.text),
                 "two servers with one history stream as one cluster, or this one lost WAL that it "
                 "had flushed: give it a --cluster name of its own");
  }
  const ByteSpan more = bytes.subspan(known, count - known);
  content_.insert(content_.end(), more.begin(), more.end());
  position_ += count;
  return count;
}

Status TailWriter::flush() {
  if (is_complete()) return store_segment();
  if (pending_bytes() == 0) return ok();
  return store_piece();
}

Status TailWriter::store_piece() {
  std::vector<PieceName> absorbed;
  std::size_t begin = durable_bytes_;
  while (!pieces_.empty() && is_absorbed(pieces_.back(), content_.size() - begin)) {
    begin = pieces_.back().begin;
    absorbed.push_back(std::move(pieces_.back()));
    pieces_.pop_back();
  }
  while (begin < content_.size()) {
    const std::size_t end = std::min(content_.size(), begin + kPieceBytesMax);
    PieceName name{name_, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)};
    HAUL_TRY(put_piece(name));
    pieces_.push_back(std::move(name));
    begin = end;
  }
  archive_.touch(name_);
  HAUL_TRY(archive_.make_durable());
  durable_bytes_ = content_.size();
  return remove(std::move(absorbed));
}

// What has the name already was put there by a receiver that did not live to see it, or by one that
// streams at the same time.
Status TailWriter::put_piece(const PieceName& name) {
  const ByteSpan bytes = ByteSpan(content_).subspan(name.begin, name.size_bytes());
  const std::vector<std::byte> object = HAUL_TRY(encode_piece(cluster_, name, facts(), bytes));
  const std::string key = piece_key(layout_, name);
  Status put = cluster_.store->put_if_absent(key, object);
  if (put || put.error().code() != ErrorCode::already_exists) return put;
  const Piece present = HAUL_TRY(read_piece(cluster_, origin_.system_identifier, name));
  if (equal_bytes(present.content, bytes)) return ok();
  return Error(ErrorCode::already_exists, format("{} is stored with another content", key),
               "two servers with one history stream as one cluster");
}

Status TailWriter::store_segment() {
  const auto found = examine_content(name_, content_);
  if (!found || *found != facts()) {
    return Error(ErrorCode::server_state,
                 format("what the server streamed as {} is no such segment{}{}", name_.text,
                        found ? "" : ": ", found ? "" : found.error().message()));
  }
  last_put_ = HAUL_TRY(archive_.put(name_, *found, content_));
  HAUL_TRY(archive_.make_durable());
  durable_bytes_ = content_.size();
  std::vector<PieceName> gone = std::move(pieces_);
  std::ranges::move(strays_, std::back_inserter(gone));
  pieces_.clear();
  strays_.clear();
  return remove(std::move(gone));
}

// What they hold is durable elsewhere, so that it does not matter whether this is.
Status TailWriter::remove(std::vector<PieceName> pieces) {
  for (const PieceName& piece : pieces) {
    Status removed = cluster_.store->remove(piece_key(layout_, piece));
    if (!removed && removed.error().code() != ErrorCode::not_found) return removed;
  }
  return ok();
}

}  // namespace haul::wal
