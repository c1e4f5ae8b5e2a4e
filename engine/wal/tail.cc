#include "engine/wal/tail.h"

#include <algorithm>
#include <bit>
#include <tuple>

#include "base/bytes.h"
#include "base/format.h"
#include "engine/postgres/wal_segment.h"

namespace haul::wal {
namespace {

using repository::Cluster;

// A receiver puts a longer piece in the place of others; the list is then read anew.
constexpr int kAttemptsMax = 5;
constexpr std::uint32_t kWalBlockBytesMin = 1024;
constexpr std::uint32_t kWalBlockBytesMax = 65536;

std::span<const PieceName> pieces_of(const SegmentGroup& group, const WalName& segment) {
  const auto range = std::ranges::equal_range(
      group.pieces, segment.text, {}, [](const PieceName& piece) { return piece.segment.text; });
  return {range.begin(), range.end()};
}

bool holds(const SegmentGroup& group, const WalName& segment) {
  return std::ranges::binary_search(group.segments, segment.text, {}, &WalName::text);
}

Error no_tail(const WalName& segment) {
  return {ErrorCode::not_found, format("no tail of {} is stored", segment.text)};
}

Result<TailContent> read_pieces(const Cluster& cluster, std::uint64_t system_identifier,
                                std::span<const PieceName> pieces) {
  TailContent content{{pieces.front().segment, pieces.back().end}, {}, {}};
  content.bytes.reserve(content.tail.size_bytes);
  for (const PieceName& name : pieces) {
    const Piece piece = HAUL_TRY(read_piece(cluster, system_identifier, name));
    if (content.bytes.empty()) content.facts = piece.facts;
    if (piece.facts != content.facts) {
      return Error(ErrorCode::corrupt, format("pieces of {} disagree", name.segment.text));
    }
    // Where pieces overlap they hold the same bytes.
    const ByteSpan more = ByteSpan(piece.content).subspan(content.bytes.size() - name.begin);
    content.bytes.insert(content.bytes.end(), more.begin(), more.end());
  }
  return content;
}

// Of the pages that are there whole; a page that is still being written has its header by then.
Status check_pages(const TailContent& content) {
  if (content.bytes.size() < postgres::kWalLongPageHeaderSizeBytes) return ok();
  const auto first = HAUL_TRY(postgres::parse_wal_page_header(content.bytes));
  const std::uint32_t block = first.block_size_bytes;
  if (!first.is_long || !std::has_single_bit(block) || block < kWalBlockBytesMin ||
      block > kWalBlockBytesMax) {
    return Error(ErrorCode::corrupt,
                 format("the tail of {} does not begin as a segment", content.tail.segment.text));
  }
  const postgres::WalGeometry geometry{content.facts.server_major, content.facts.system_identifier,
                                       content.facts.segment_size_bytes, block};
  const std::size_t whole = content.bytes.size() / block * block;
  if (whole == 0) return ok();
  postgres::SegmentChecker checker(
      geometry, {content.tail.segment.timeline, content.facts.segment_number}, whole);
  return checker.check(ByteSpan(content.bytes).first(whole));
}

}  // namespace

Result<SegmentGroup> list_segment_group(const Cluster& cluster, const std::string& prefix) {
  SegmentGroup group;
  for (const std::string& text : HAUL_TRY(cluster.store->list_names(prefix)).objects) {
    if (auto piece = parse_piece_name(text)) {
      group.pieces.push_back(*std::move(piece));
    } else if (auto name = parse_wal_name(text); name && name->kind == WalFileKind::segment) {
      group.segments.push_back(*std::move(name));
    }
  }
  return group;
}

std::vector<PieceName> covering_pieces(std::span<const PieceName> pieces) {
  std::vector<PieceName> chain;
  std::uint32_t end = 0;
  for (auto at = pieces.begin(); at != pieces.end() && at->begin <= end;) {
    const PieceName* farthest = nullptr;
    for (; at != pieces.end() && at->begin <= end; ++at) {
      if (at->end > end && (farthest == nullptr || at->end > farthest->end)) farthest = &*at;
    }
    if (farthest == nullptr) break;
    chain.push_back(*farthest);
    end = farthest->end;
  }
  return chain;
}

std::vector<Tail> tails_of(const SegmentGroup& group) {
  std::vector<Tail> tails;
  for (auto at = group.pieces.begin(); at != group.pieces.end();) {
    const WalName& segment = at->segment;
    const std::span<const PieceName> pieces = pieces_of(group, segment);
    at += static_cast<std::ptrdiff_t>(pieces.size());
    const std::vector<PieceName> chain = covering_pieces(pieces);
    if (chain.empty() || holds(group, segment)) continue;
    tails.push_back({segment, chain.back().end});
  }
  return tails;
}

Result<TailContent> read_tail(const Cluster& cluster, std::uint64_t system_identifier,
                              const WalName& segment) {
  const std::string prefix = WalLayout(cluster.layout, system_identifier).prefix(segment);
  for (int attempt = 1;; ++attempt) {
    const SegmentGroup group = HAUL_TRY(list_segment_group(cluster, prefix));
    const std::vector<PieceName> chain = covering_pieces(pieces_of(group, segment));
    if (chain.empty() || holds(group, segment)) return no_tail(segment);
    auto content = read_pieces(cluster, system_identifier, chain);
    if (content) {
      HAUL_TRY(check_pages(*content));
      return content;
    }
    if (content.error().code() != ErrorCode::not_found || attempt == kAttemptsMax) return content;
  }
}

}  // namespace haul::wal
