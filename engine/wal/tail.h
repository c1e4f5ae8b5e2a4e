// The tail of a cluster's WAL: the beginning of a segment whose end has not come yet, as a receiver
// has stored it in pieces.
//
// It is no segment, and never passes for one: wal get does not know it. Recovery that wants every
// byte has it in pg_wal, padded with zeros, where the server looks after the archive.
//
// Units:    sizes are bytes.
// Memory:   read_tail(): the segment, and a piece twice.
// Threads:  functions over values; a receiver may add to the tail, or complete it, meanwhile.
// Errors:   not_found (no tail, or the segment is stored whole by now), corrupt, unsupported, and
//           the store's own.
// Format:   docs/format.md, "Pieces".
#pragma once

#include <span>
#include <vector>

#include "engine/wal/wal_piece.h"

namespace haul::wal {

struct Tail {
  WalName segment;
  // Stored from the segment's beginning on, without a gap.
  std::uint32_t size_bytes = 0;

  bool operator==(const Tail&) const = default;
};

struct TailContent {
  Tail tail;
  WalFacts facts;  // of the segment
  std::vector<std::byte> bytes;
};

// Every byte checked, and that whole pages are what their place demands.
Result<TailContent> read_tail(const repository::Cluster& cluster, std::uint64_t system_identifier,
                              const WalName& segment);

// What lies in a prefix of segments.
struct SegmentGroup {
  std::vector<WalName> segments;
  std::vector<PieceName> pieces;  // by segment, then where they begin
};
Result<SegmentGroup> list_segment_group(const repository::Cluster& cluster,
                                        const std::string& prefix);
// The fewest pieces, of those of one segment, that cover it from its beginning without a gap.
std::vector<PieceName> covering_pieces(std::span<const PieceName> pieces);
// Of the segments that are not stored whole, by name.
std::vector<Tail> tails_of(const SegmentGroup& group);

}  // namespace haul::wal
