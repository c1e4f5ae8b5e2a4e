#include "engine/wal/wal_piece.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/wal/fake_server.h"

namespace haul::wal {
namespace {

using testing::ArchiveFixture;
using testing::code_of;
using testing::kFirstSegment;
using testing::kSegmentBytes;
using testing::kSystem;
using testing::segment_name;

TEST(PieceName, HasItsSegmentAndWhereItLies) {
  const PieceName name{segment_name(1, 5), 0x2000, 0x4A10};
  EXPECT_EQ(name.text(), "000000010000000000000005.00002000-00004A10");
  EXPECT_EQ(parse_piece_name(name.text()), name);
  EXPECT_EQ(name.size_bytes(), 0x2A10U);
}

TEST(PieceName, NothingElseIsOne) {
  for (const char* text :
       {"", "000000010000000000000005", "000000010000000000000005.partial",
        "000000010000000000000005.00002000-00002000", "000000010000000000000005.00002001-00002000",
        "000000010000000000000005.00002000-40000001", "000000010000000000000005.00002000-0000a000",
        "000000010000000000000005.00002000-0000 000", "000000010000000000000005-00002000-00003000",
        "000000010000000000000005.00002000.00003000", "000000010000000000000005.00002000-000030000",
        "00000001000000000000005X.00002000-00003000",
        "000000000000000000000005.00002000-00003000"}) {
    EXPECT_FALSE(parse_piece_name(text)) << text;
    EXPECT_FALSE(parse_wal_name(text) && parse_piece_name(text)) << text;
  }
}

TEST(PieceName, IsTheNameOfNoFileOfAServer) {
  EXPECT_FALSE(parse_wal_name("000000010000000000000005.00002000-00003000"));
}

TEST(PieceKey, IsBesideItsSegment) {
  const repository::ClusterLayout cluster("main");
  const PieceName name{segment_name(1, 5), 0, 8};
  const std::string key = piece_key(WalLayout(cluster, 77), name);
  EXPECT_EQ(key,
            "clusters/main/wal/77/00000001/0000000100000000/"
            "000000010000000000000005.00000000-00000008");
  EXPECT_EQ(parse_piece_key(cluster, key), (PieceKey{77, name}));
  for (const char* other :
       {"clusters/other/wal/77/00000001/0000000100000000/"
        "000000010000000000000005.00000000-00000008",
        "clusters/main/wal/077/00000001/0000000100000000/"
        "000000010000000000000005.00000000-00000008",
        "clusters/main/wal/77/00000002/0000000100000000/"
        "000000010000000000000005.00000000-00000008",
        "clusters/main/wal/77/00000001/0000000100000000/000000010000000000000005"}) {
    EXPECT_FALSE(parse_piece_key(cluster, other)) << other;
  }
}

class StoredPiece : public ::testing::Test {
 protected:
  StoredPiece() { write(name, facts); }
  void write(const PieceName& as, const WalFacts& with) {
    const auto object = encode_piece(fixture.cluster(), as, with, bytes_of(content));
    fixture.overwrite(key(as), std::string(text_of(*object)));
  }
  std::string key(const PieceName& of) const {
    return piece_key(WalLayout(fixture.cluster().layout, kSystem), of);
  }
  Result<Piece> read() const { return read_piece(fixture.cluster(), kSystem, name); }

  ArchiveFixture fixture;
  const std::string content = support::pattern(500, 3) + std::string(3000, 'x');
  const PieceName name{segment_name(1, kFirstSegment), 100, 3600};
  const WalFacts facts{kSystem, kFirstSegment, kSegmentBytes, 15};
};

TEST_F(StoredPiece, ComesBack) {
  const Piece piece = read().value();
  EXPECT_EQ(text_of(piece.content), content);
  EXPECT_EQ(piece.facts, facts);
  EXPECT_LT(fixture.object(key(name)).size(), content.size());
}

TEST_F(StoredPiece, ThatCannotBeCompressedComesBack) {
  const std::string noise = support::pattern(777, 5);
  const PieceName other{name.segment, 0, 777};
  const auto object = encode_piece(fixture.cluster(), other, facts, bytes_of(noise));
  fixture.overwrite(key(other), std::string(text_of(*object)));
  EXPECT_EQ(text_of(read_piece(fixture.cluster(), kSystem, other).value().content), noise);
}

TEST_F(StoredPiece, AbsentIsNotFound) {
  EXPECT_EQ(code_of(read_piece(fixture.cluster(), kSystem, {name.segment, 0, 8})),
            ErrorCode::not_found);
}

TEST_F(StoredPiece, EveryByteIsChecked) {
  const std::string object = fixture.object(key(name));
  for (std::size_t at = 0; at < object.size(); ++at) {
    for (const int flip : {0x01, 0x80}) {
      std::string damaged = object;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      fixture.overwrite(key(name), damaged);
      const auto code = code_of(read());
      EXPECT_TRUE(code == ErrorCode::corrupt || code == ErrorCode::unsupported) << at;
    }
  }
}

TEST_F(StoredPiece, CutOrExtendedIsCorrupt) {
  const std::string object = fixture.object(key(name));
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, kPieceHeaderBytes,
                                 object.size() - 1, object.size() + 1}) {
    std::string other = object;
    other.resize(size, '\0');
    fixture.overwrite(key(name), other);
    EXPECT_EQ(code_of(read()), ErrorCode::corrupt) << size;
  }
}

TEST_F(StoredPiece, MovedIsCorrupt) {
  const PieceName other{segment_name(1, kFirstSegment + 1), 100, 3600};
  fixture.overwrite(key(other), fixture.object(key(name)));
  EXPECT_EQ(code_of(read_piece(fixture.cluster(), kSystem, other)), ErrorCode::corrupt);
}

// Whoever can write the repository can make every checksum good.
TEST_F(StoredPiece, WhoseHeaderDoesNotFitItsNameIsCorrupt) {
  for (const WalFacts& wrong : {WalFacts{kSystem, kFirstSegment + 1, kSegmentBytes, 15},
                                WalFacts{kSystem, kFirstSegment, 12345, 15}}) {
    write(name, wrong);
    EXPECT_EQ(code_of(read()), ErrorCode::corrupt);
  }
}

}  // namespace
}  // namespace haul::wal
