// A piece of a WAL segment that is still being streamed, as an object of its own.
//
// Pieces are immutable like everything else. A name says where a piece begins and where it ends, so
// that a longer one that takes the place of others has a name of its own, and names alone tell how
// far a segment is stored.
//
// Units:    offsets and sizes are bytes within the segment.
// Memory:   encoding and decoding: the piece twice. Bounded by kPieceBytesMax, checked before
//           anything is allocated.
// Threads:  functions over values.
// Errors:   corrupt, unsupported.
// Format:   docs/format.md, "Pieces".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/repository/cluster.h"
#include "engine/wal/wal_content.h"
#include "engine/wal/wal_layout.h"

namespace haul::wal {

inline constexpr std::size_t kPieceBytesMax = std::size_t{8} << 20;
inline constexpr std::size_t kPieceHeaderBytes = 144;

struct PieceName {
  WalName segment;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;

  std::uint32_t size_bytes() const { return end - begin; }
  // "000000010000000A000000FF.00002000-00004A10"
  std::string text() const;

  bool operator==(const PieceName&) const = default;
};

std::optional<PieceName> parse_piece_name(std::string_view text);

std::string piece_key(const WalLayout& layout, const PieceName& name);
// The inverse, of any system; nothing when no piece has this key.
struct PieceKey {
  std::uint64_t system_identifier = 0;
  PieceName name;

  bool operator==(const PieceKey&) const = default;
};
std::optional<PieceKey> parse_piece_key(const repository::ClusterLayout& cluster,
                                        std::string_view key);

struct Piece {
  WalFacts facts;  // of its segment
  std::vector<std::byte> content;
};

// The object, decoded again and compared with the content before this returns.
Result<std::vector<std::byte>> encode_piece(const repository::Cluster& cluster,
                                            const PieceName& name, const WalFacts& facts,
                                            ByteSpan content);
// not_found when there is none.
Result<Piece> read_piece(const repository::Cluster& cluster, std::uint64_t system_identifier,
                         const PieceName& name);

}  // namespace haul::wal
