#include "engine/repository/index_run.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "compress/checksum.h"
#include "tests/support/forwarding_store.h"
#include "tests/unit/repository/repository_fixture.h"

namespace haul::repository {
namespace {

using testing::code_of;
using testing::kLease;
using testing::kOtherLease;
using testing::RepositoryFixture;

constexpr std::size_t kHeaderBytes = 96;

ChunkId random_id(SeededRandom& random) {
  ChunkId id;
  HAUL_ASSERT(random.fill(id.bytes).has_value());
  return id;
}

struct RunFixture : RepositoryFixture {
  RunRef ref{kLease, 1};
  std::string key = cluster.layout.run(ref);

  // Three packs and this many chunks, spread over them.
  IndexRunContent content_of(std::size_t entries) {
    IndexRunContent content;
    for (std::uint32_t i = 0; i < 3; ++i) {
      IndexedPack pack{{i == 2 ? kOtherLease : kLease, {}}, 1'000 + i, 1U << 20};
      HAUL_ASSERT(random.fill(pack.ref.name.bytes).has_value());
      content.packs.push_back(pack);
    }
    for (std::size_t i = 0; i < entries; ++i) {
      content.entries.push_back({random_id(random), static_cast<std::uint32_t>(i % 3),
                                 static_cast<std::uint32_t>(i / 3)});
    }
    return content;
  }
  void put(const IndexRunContent& content) const {
    overwrite(key, encode_index_run(content, cluster.repository, key));
  }
  Result<IndexRun> open() const { return IndexRun::open(cluster, ref); }
  // Makes the directory's checksum good again.
  void seal() const {
    std::vector<std::byte> bytes = get(key);
    ByteReader in(ByteSpan(bytes).subspan(40));
    const std::size_t directory_bytes = in.u64();
    compress::Checksummer sum;
    sum.update(bytes_of(key)).update(ByteSpan(bytes).first(80));
    sum.update(ByteSpan(bytes).subspan(kHeaderBytes, directory_bytes));
    std::ranges::copy(sum.finish().bytes, bytes.begin() + 80);
    overwrite(key, bytes);
  }
  void patch(std::size_t offset, ByteSpan with) const {
    std::vector<std::byte> bytes = get(key);
    std::ranges::copy(with, bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    overwrite(key, bytes);
    seal();
  }
  void patch_u32(std::size_t offset, std::uint32_t value) const {
    ByteWriter out;
    out.u32(value);
    patch(offset, out.view());
  }
  void patch_u64(std::size_t offset, std::uint64_t value) const {
    ByteWriter out;
    out.u64(value);
    patch(offset, out.view());
  }
};

class IndexRunOfSize : public ::testing::TestWithParam<std::size_t> {};

TEST_P(IndexRunOfSize, FindsEveryEntryAndNoOther) {
  RunFixture fixture;
  const IndexRunContent content = fixture.content_of(GetParam());
  fixture.put(content);
  const IndexRun run = fixture.open().value();
  EXPECT_EQ(run.entries(), GetParam());
  EXPECT_EQ(run.packs(), content.packs);
  // Every 97th is enough of a large run; the filter's own test asks for all.
  for (std::size_t i = 0; i < content.entries.size(); i += GetParam() > 1'000 ? 97U : 1U) {
    const auto found = run.find(content.entries[i].id).value();
    ASSERT_TRUE(found) << i;
    EXPECT_EQ(found->pack, content.entries[i].pack);
    EXPECT_EQ(found->ordinal, content.entries[i].ordinal);
  }
  for (int i = 0; i < 200; ++i) EXPECT_FALSE(run.find(random_id(fixture.random)).value());
}

TEST_P(IndexRunOfSize, BlocksYieldAllEntriesInOrder) {
  RunFixture fixture;
  const IndexRunContent content = fixture.content_of(GetParam());
  fixture.put(content);
  const IndexRun run = fixture.open().value();
  std::vector<ChunkId> ids;
  for (std::size_t block = 0; block < run.blocks(); ++block) {
    const std::vector<RunEntry> entries = run.read_block(block).value();
    for (const RunEntry& entry : entries) ids.push_back(entry.id);
  }
  std::vector<ChunkId> expected;
  for (const RunEntry& entry : content.entries) expected.push_back(entry.id);
  std::ranges::sort(expected);
  EXPECT_EQ(ids, expected);
}

INSTANTIATE_TEST_SUITE_P(Sizes, IndexRunOfSize,
                         ::testing::Values(0, 1, 408, 409, 410, 818, 819, 100'000));

TEST(IndexRun, EverySingleEntryPassesTheFilter) {
  RunFixture fixture;
  const IndexRunContent content = fixture.content_of(5'000);
  fixture.put(content);
  const IndexRun run = fixture.open().value();
  for (const RunEntry& entry : content.entries) ASSERT_TRUE(run.find(entry.id).value());
}

// Counts reads: what the filter turns away costs none.
class CountingStore final : public support::ForwardingStore {
 public:
  CountingStore(io::ObjectStore& inner, std::size_t& reads)
      : ForwardingStore(inner), reads_(reads) {}

  Result<std::unique_ptr<io::ObjectReader>> open(const std::string& key) override {
    return std::make_unique<Reader>(HAUL_TRY(inner().open(key)), reads_);
  }

 private:
  class Reader final : public io::ObjectReader {
   public:
    Reader(std::unique_ptr<io::ObjectReader> inner, std::size_t& reads)
        : inner_(std::move(inner)), reads_(reads) {}
    std::uint64_t size_bytes() const override { return inner_->size_bytes(); }
    Status read_at(std::uint64_t offset, MutableByteSpan into) override {
      ++reads_;
      return inner_->read_at(offset, into);
    }

   private:
    const std::unique_ptr<io::ObjectReader> inner_;
    std::size_t& reads_;
  };

  std::size_t& reads_;
};

TEST(IndexRun, FilterKeepsAlmostEveryForeignIdFromCostingARead) {
  RunFixture fixture;
  fixture.put(fixture.content_of(10'000));
  std::size_t reads = 0;
  CountingStore counting(fixture.store(), reads);
  fixture.cluster.store = &counting;
  const IndexRun run = fixture.open().value();
  reads = 0;
  for (int i = 0; i < 10'000; ++i) ASSERT_FALSE(run.find(random_id(fixture.random)).value());
  EXPECT_LT(reads, 300U);
}

TEST(IndexRun, DuplicateIdIsKeptOnceWithItsFirstPlace) {
  RunFixture fixture;
  IndexRunContent content = fixture.content_of(10);
  content.entries.push_back({content.entries[4].id, 2, 77});
  fixture.put(content);
  const IndexRun run = fixture.open().value();
  EXPECT_EQ(run.entries(), 10U);
  EXPECT_EQ(run.find(content.entries[4].id).value()->pack, content.entries[4].pack);
}

TEST(IndexRun, SupersededRunsComeBack) {
  RunFixture fixture;
  IndexRunContent content = fixture.content_of(1);
  content.superseded = {{kLease, 4}, {kOtherLease, 4'294'967'295}};
  fixture.put(content);
  EXPECT_EQ(fixture.open().value().superseded(), content.superseded);
}

TEST(IndexRunDeathTest, EntryOfNoPackIsABug) {
  RunFixture fixture;
  IndexRunContent content = fixture.content_of(1);
  content.entries[0].pack = 3;
  EXPECT_DEATH(fixture.put(content), "pack");
}

TEST(IndexRun, AbsentIsNotFound) { EXPECT_EQ(code_of(RunFixture().open()), ErrorCode::not_found); }

TEST(IndexRun, EveryChangedByteIsFoundWhenTheRunIsReadWhole) {
  RunFixture fixture;
  fixture.put(fixture.content_of(411));
  const std::vector<std::byte> sound = fixture.get(fixture.key);
  for (std::size_t i = 0; i < sound.size(); i += i < 2'000 ? 1U : 13U) {
    fixture.overwrite(fixture.key, sound);
    fixture.damage(fixture.key, i);
    const auto run = fixture.open();
    bool found = !run;
    for (std::size_t block = 0; run && block < run->blocks(); ++block) {
      found = found || !run->read_block(block);
    }
    ASSERT_TRUE(found) << i;
  }
}

TEST(IndexRun, DamagedBlockIsCorruptAndTheOthersAreNot) {
  RunFixture fixture;
  const IndexRunContent content = fixture.content_of(1'000);
  fixture.put(content);
  fixture.damage(fixture.key, fixture.get(fixture.key).size() - 100);
  const IndexRun run = fixture.open().value();
  EXPECT_TRUE(run.read_block(0));
  EXPECT_TRUE(run.read_block(1));
  const auto damaged = run.read_block(2);
  ASSERT_EQ(code_of(damaged), ErrorCode::corrupt);
  EXPECT_NE(damaged.error().message().find(fixture.key), std::string::npos);
}

TEST(IndexRun, BlockInThePlaceOfAnotherIsCorrupt) {
  RunFixture fixture;
  fixture.put(fixture.content_of(818));
  std::vector<std::byte> bytes = fixture.get(fixture.key);
  const auto second = bytes.end() - 16'384;
  std::swap_ranges(second - 16'384, second, second);
  fixture.overwrite(fixture.key, bytes);
  const IndexRun run = fixture.open().value();
  EXPECT_EQ(code_of(run.read_block(0)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(run.read_block(1)), ErrorCode::corrupt);
}

TEST(IndexRun, BlockOfAnotherRunIsCorrupt) {
  RunFixture fixture;
  const IndexRunContent content = fixture.content_of(100);
  fixture.put(content);
  const std::string other_key = fixture.cluster.layout.run({kLease, 2});
  const auto other = encode_index_run(content, fixture.cluster.repository, other_key);
  std::vector<std::byte> bytes = fixture.get(fixture.key);
  ASSERT_EQ(other.size(), bytes.size());
  const std::ptrdiff_t block = 8 + 100 * 40 + 16;
  std::copy(other.end() - block, other.end(), bytes.end() - block);
  fixture.overwrite(fixture.key, bytes);
  EXPECT_EQ(code_of(fixture.open().value().read_block(0)), ErrorCode::corrupt);
}

TEST(IndexRun, UnderAnotherNameIsCorrupt) {
  RunFixture fixture;
  fixture.put(fixture.content_of(10));
  const RunRef moved{kLease, 2};
  fixture.overwrite(fixture.cluster.layout.run(moved), fixture.get(fixture.key));
  EXPECT_EQ(code_of(IndexRun::open(fixture.cluster, moved)), ErrorCode::corrupt);
}

TEST(IndexRun, OfAnotherRepositoryIsCorrupt) {
  RunFixture fixture;
  fixture.put(fixture.content_of(10));
  fixture.cluster.repository.bytes[0] ^= std::byte{1};
  EXPECT_EQ(code_of(fixture.open()), ErrorCode::corrupt);
}

TEST(IndexRun, CutOrLongerIsCorrupt) {
  RunFixture fixture;
  fixture.put(fixture.content_of(10));
  const std::vector<std::byte> sound = fixture.get(fixture.key);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{95}, std::size_t{200}, sound.size() - 1, sound.size() + 1}) {
    std::vector<std::byte> bytes = sound;
    bytes.resize(size);
    fixture.overwrite(fixture.key, bytes);
    EXPECT_EQ(code_of(fixture.open()), ErrorCode::corrupt) << size;
  }
}

// A good checksum over a directory that cannot be: header fields at their offsets.
TEST(IndexRunDirectory, CountsThatDoNotFitAreCorrupt) {
  RunFixture fixture;
  fixture.put(fixture.content_of(410));
  const std::vector<std::byte> sound = fixture.get(fixture.key);
  const auto refused = [&](std::size_t offset, std::uint64_t value, int bytes) {
    fixture.overwrite(fixture.key, sound);
    if (bytes == 8) {
      fixture.patch_u64(offset, value);
    } else {
      fixture.patch_u32(offset, static_cast<std::uint32_t>(value));
    }
    return code_of(fixture.open()) == ErrorCode::corrupt;
  };
  EXPECT_TRUE(refused(32, 409, 8));         // entries: fewer than the blocks hold
  EXPECT_TRUE(refused(32, 819, 8));         // more
  EXPECT_TRUE(refused(32, UINT64_MAX, 8));  // so many that a sum would wrap around
  EXPECT_TRUE(refused(48, 0xFFFFFFFF, 4));  // packs
  EXPECT_TRUE(refused(48, 2, 4));
  EXPECT_TRUE(refused(52, 1, 4));  // superseded runs
  EXPECT_TRUE(refused(52, 0xFFFFFFFF, 4));
  EXPECT_TRUE(refused(56, 1, 4));  // blocks
  EXPECT_TRUE(refused(56, 0xFFFFFFFF, 4));
  EXPECT_TRUE(refused(60, 0, 4));  // filter words
  EXPECT_TRUE(refused(60, 9, 4));  // not a multiple of 8
  EXPECT_TRUE(refused(60, 0xFFFFFFFF, 4));
  EXPECT_TRUE(refused(64, 1, 4));           // reserved
  EXPECT_TRUE(refused(96, 0xFFFFFFFF, 4));  // leases: no memory is asked for what cannot be there
  EXPECT_TRUE(refused(96, 0, 4));
}

TEST(IndexRunDirectory, NoEntriesButAHugeCountIsCorrupt) {
  RunFixture fixture;
  fixture.put(fixture.content_of(0));
  fixture.patch_u64(32, UINT64_MAX - 407);
  const auto opened = fixture.open();
  ASSERT_EQ(code_of(opened), ErrorCode::corrupt);
  EXPECT_THAT(opened.error().message(), ::testing::HasSubstr("the directory is not valid"));
}

TEST(IndexRunDirectory, LengthBeyondTheObjectIsCorrupt) {
  RunFixture fixture;
  fixture.put(fixture.content_of(10));
  std::vector<std::byte> bytes = fixture.get(fixture.key);
  bytes[47] = std::byte{0xFF};
  fixture.overwrite(fixture.key, bytes);
  EXPECT_EQ(code_of(fixture.open()), ErrorCode::corrupt);
}

TEST(IndexRunDirectory, LeaseNameThatLeavesTheRepositoryIsCorrupt) {
  RunFixture fixture;
  fixture.put(fixture.content_of(10));
  fixture.patch(kHeaderBytes + 6, bytes_of("../../../../../../"));
  EXPECT_EQ(code_of(fixture.open()), ErrorCode::corrupt);
}

TEST(IndexRunDirectory, PackOfNoLeaseIsCorrupt) {
  RunFixture fixture;
  fixture.put(fixture.content_of(10));
  // Two leases of 2 + 18 bytes, then the first pack's name.
  fixture.patch_u32(kHeaderBytes + 4 + 2 * 20 + 32, 2);
  EXPECT_EQ(code_of(fixture.open()), ErrorCode::corrupt);
}

TEST(IndexRunDirectory, SupersededRunWithoutAValidNameIsCorrupt) {
  RunFixture fixture;
  IndexRunContent content = fixture.content_of(1);
  content.superseded = {{kLease, 1}};
  fixture.put(content);
  const std::vector<std::byte> sound = fixture.get(fixture.key);
  const std::size_t superseded = kHeaderBytes + 4 + 2 * 20 + 3 * 48;
  fixture.patch_u32(superseded + 20, 0);
  EXPECT_EQ(code_of(fixture.open()), ErrorCode::corrupt);
  fixture.overwrite(fixture.key, sound);
  fixture.patch(superseded + 2, bytes_of("../../../../../../"));
  EXPECT_EQ(code_of(fixture.open()), ErrorCode::corrupt);
}

TEST(IndexRunDirectory, FencesOutOfOrderAreCorrupt) {
  RunFixture fixture;
  fixture.put(fixture.content_of(410));
  const std::size_t fences = kHeaderBytes + 4 + 2 * 20 + 3 * 48;
  const std::vector<std::byte> bytes = fixture.get(fixture.key);
  fixture.patch(fences + 32, ByteSpan(bytes).subspan(fences, 32));
  EXPECT_EQ(code_of(fixture.open()), ErrorCode::corrupt);
}

// Blocks with a good checksum that say what cannot be.
struct BlockFixture : RunFixture {
  static constexpr std::size_t kEntries = 410;

  BlockFixture() { put(content_of(kEntries)); }

  std::size_t block_offset(std::size_t block) const {
    return get(key).size() - (8 + 40 + 16) - 16'384 + block * 16'384;
  }
  // Changes bytes of a block and makes its checksum good again.
  Result<std::vector<RunEntry>> read_patched(std::size_t block, std::size_t offset,
                                             ByteSpan with) const {
    std::vector<std::byte> bytes = get(key);
    const std::size_t start = block_offset(block);
    const std::size_t covered = block == 0 ? 16'384 - 16 : 8 + 40;
    std::ranges::copy(with, bytes.begin() + static_cast<std::ptrdiff_t>(start + offset));
    ByteWriter number;
    number.u64(block);
    compress::Checksummer sum;
    sum.update(bytes_of(key)).update(number.view());
    sum.update(ByteSpan(bytes).subspan(start, covered));
    std::ranges::copy(sum.finish().bytes,
                      bytes.begin() + static_cast<std::ptrdiff_t>(start + covered));
    overwrite(key, bytes);
    return open().value().read_block(block);
  }
  static std::vector<std::byte> u32(std::uint32_t value) {
    ByteWriter out;
    out.u32(value);
    return std::move(out).take();
  }
};

TEST(IndexRunBlock, ThatIsPatchedWithItselfIsSound) {
  const BlockFixture fixture;
  EXPECT_TRUE(fixture.read_patched(0, 0, BlockFixture::u32(409)));
}

TEST(IndexRunBlock, OfAnotherCountIsCorrupt) {
  const BlockFixture fixture;
  EXPECT_EQ(code_of(fixture.read_patched(0, 0, BlockFixture::u32(408))), ErrorCode::corrupt);
}

TEST(IndexRunBlock, WithReservedBytesSetIsCorrupt) {
  const BlockFixture fixture;
  EXPECT_EQ(code_of(fixture.read_patched(0, 4, BlockFixture::u32(1))), ErrorCode::corrupt);
}

TEST(IndexRunBlock, ThatDoesNotBeginAtItsFenceIsCorrupt) {
  const BlockFixture fixture;
  EXPECT_EQ(code_of(fixture.read_patched(0, 8, BlockFixture::u32(0))), ErrorCode::corrupt);
}

TEST(IndexRunBlock, OutOfOrderIsCorrupt) {
  const BlockFixture fixture;
  EXPECT_EQ(code_of(fixture.read_patched(0, 8 + 40, BlockFixture::u32(0))), ErrorCode::corrupt);
}

TEST(IndexRunBlock, ThatReachesIntoTheNextIsCorrupt) {
  const BlockFixture fixture;
  EXPECT_EQ(code_of(fixture.read_patched(0, 8 + 408 * 40, BlockFixture::u32(0xFFFFFFFF))),
            ErrorCode::corrupt);
}

TEST(IndexRunBlock, EntryOfNoPackIsCorrupt) {
  const BlockFixture fixture;
  EXPECT_EQ(code_of(fixture.read_patched(1, 8 + 32, BlockFixture::u32(3))), ErrorCode::corrupt);
}

TEST(IndexRunBlock, OrdinalBeyondThePackIsCorrupt) {
  const BlockFixture fixture;
  EXPECT_EQ(code_of(fixture.read_patched(1, 8 + 36, BlockFixture::u32(1U << 20))),
            ErrorCode::corrupt);
}

}  // namespace
}  // namespace haul::repository
