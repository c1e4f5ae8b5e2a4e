#include "engine/wal/tail.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/wal/wal_inventory.h"
#include "tests/support/forwarding_store.h"
#include "tests/unit/wal/fake_server.h"

namespace haul::wal {
namespace {

using testing::code_of;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kFirstSegment;
using testing::kSegmentBytes;
using testing::kSystem;
using testing::ReceiverFixture;
using testing::segment_name;

PieceName piece(std::uint32_t begin, std::uint32_t end) {
  return {segment_name(1, kFirstSegment), begin, end};
}

TEST(CoveringPieces, AreTheFewestWithoutAGap) {
  EXPECT_THAT(covering_pieces({}), IsEmpty());
  const std::vector<PieceName> late = {piece(1, 5)};
  EXPECT_THAT(covering_pieces(late), IsEmpty());
  const std::vector<PieceName> pieces = {piece(0, 2), piece(0, 4), piece(2, 4),
                                         piece(4, 5), piece(4, 6), piece(8, 9)};
  EXPECT_THAT(covering_pieces(pieces), ElementsAre(piece(0, 4), piece(4, 6)));
  const std::vector<PieceName> overlapping = {piece(0, 4), piece(2, 9), piece(3, 6)};
  EXPECT_THAT(covering_pieces(overlapping), ElementsAre(piece(0, 4), piece(2, 9)));
}

class StoredTail : public ::testing::Test {
 protected:
  void put(std::uint32_t begin, std::uint32_t end, std::uint64_t number = kFirstSegment,
           std::uint32_t timeline = 1) {
    const std::string content = fixture.server.segment(timeline, number);
    put_bytes({segment_name(timeline, number), begin, end}, content.substr(begin, end - begin),
              number);
  }
  void put_bytes(const PieceName& place, const std::string& bytes,
                 std::uint64_t number = kFirstSegment) {
    const auto object = encode_piece(fixture.cluster(), place, {kSystem, number, kSegmentBytes, 15},
                                     bytes_of(bytes));
    const std::string key = piece_key(WalLayout(fixture.cluster().layout, kSystem), place);
    HAUL_ASSERT(fixture.cluster().store->put_if_absent(key, *object).has_value());
  }
  std::vector<Tail> tails() const {
    return WalInventory::read(fixture.cluster(), kSystem).value().tails();
  }
  Result<TailContent> read() const { return read_tail(fixture.cluster(), kSystem, name); }

  ReceiverFixture fixture;
  const WalName name = segment_name(1, kFirstSegment);
};

TEST_F(StoredTail, IsReadThroughPiecesThatOverlap) {
  put(0, 20'000);
  put(10'000, 30'000);
  const TailContent tail = read().value();
  EXPECT_EQ(tail.tail, (Tail{name, 30'000}));
  EXPECT_EQ(text_of(tail.bytes), fixture.server.segment(1, kFirstSegment).substr(0, 30'000));
  EXPECT_EQ(tail.facts, (WalFacts{kSystem, kFirstSegment, kSegmentBytes, 15}));
}

TEST_F(StoredTail, OfAnyLengthIsRead) {
  for (const std::uint32_t end : {1U, 39U, 40U, 8191U, 8192U, 8193U}) {
    put(0, end);
    EXPECT_EQ(read().value().bytes.size(), end);
  }
}

TEST_F(StoredTail, IsAbsentWhereNothingIsStored) {
  EXPECT_EQ(code_of(read()), ErrorCode::not_found);
  put(100, 200);
  EXPECT_EQ(code_of(read()), ErrorCode::not_found);
}

TEST_F(StoredTail, IsNoneOnceTheSegmentIsStored) {
  put(0, 1000);
  ASSERT_TRUE(fixture.push(name.text, fixture.server.segment(1, kFirstSegment)));
  EXPECT_EQ(code_of(read()), ErrorCode::not_found);
  EXPECT_THAT(tails(), IsEmpty());
}

TEST_F(StoredTail, IsFoundOnEveryTimeline) {
  put(0, 1000);
  put(1000, 1500);
  put(100, 200, kFirstSegment + 1);
  put(0, 2000, kFirstSegment + 1, 2);
  EXPECT_THAT(tails(),
              ElementsAre(Tail{name, 1500}, Tail{segment_name(2, kFirstSegment + 1), 2000}));
}

TEST_F(StoredTail, WhosePagesAreOfAnotherPlaceIsCorrupt) {
  put_bytes({name, 0, 16'384}, fixture.server.segment(1, kFirstSegment + 1).substr(0, 16'384));
  EXPECT_EQ(code_of(read()), ErrorCode::corrupt);
}

TEST_F(StoredTail, ThatDoesNotBeginAsASegmentIsCorrupt) {
  put_bytes({name, 0, 64}, std::string(64, 'x'));
  EXPECT_EQ(code_of(read()), ErrorCode::corrupt);
}

TEST_F(StoredTail, WhosePiecesDisagreeIsCorrupt) {
  put(0, 1000);
  const std::string bytes = fixture.server.segment(1, kFirstSegment).substr(1000, 500);
  const PieceName other{name, 1000, 1500};
  const auto object = encode_piece(fixture.cluster(), other,
                                   {kSystem, kFirstSegment, kSegmentBytes, 16}, bytes_of(bytes));
  ASSERT_TRUE(fixture.cluster().store->put_if_absent(
      piece_key(WalLayout(fixture.cluster().layout, kSystem), other), *object));
  EXPECT_EQ(code_of(read()), ErrorCode::corrupt);
}

// Replaces pieces by longer ones while they are read.
class CompactingStore final : public support::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  Result<std::unique_ptr<io::ObjectReader>> open(const std::string& key) override {
    if (const auto act = std::exchange(before_open, {})) act();
    return ForwardingStore::open(key);
  }

  std::function<void()> before_open;
};

TEST_F(StoredTail, IsReadWhileItsPiecesAreReplaced) {
  put(0, 1000);
  put(1000, 1500);
  repository::Cluster cluster = fixture.cluster();
  CompactingStore store(*cluster.store);
  cluster.store = &store;
  store.before_open = [&] {
    put(0, 1500);
    for (const PieceName& old : {PieceName{name, 0, 1000}, PieceName{name, 1000, 1500}}) {
      HAUL_ASSERT(fixture.cluster()
                      .store->remove(piece_key(WalLayout(cluster.layout, kSystem), old))
                      .has_value());
    }
  };
  EXPECT_EQ(read_tail(cluster, kSystem, name).value().bytes.size(), 1500U);
}

}  // namespace
}  // namespace haul::wal
