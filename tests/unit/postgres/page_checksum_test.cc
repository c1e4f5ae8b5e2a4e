#include "engine/postgres/page_checksum.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "engine/postgres/internal/page_checksum_kernels.h"

namespace haul::postgres {
namespace {

using Page = std::vector<std::byte>;

// Block 3 of pg_proc's main fork in a cluster that PostgreSQL 15 made with data checksums.
constexpr std::uint32_t kGoldenBlock = 3;

Page golden_page() {
  const std::string here = __FILE__;
  const std::string path = here.substr(0, here.rfind("unit/postgres/")) + "golden/page-v15.bin";
  std::ifstream file(path, std::ios::binary);
  Page page(8192);
  EXPECT_TRUE(file.read(reinterpret_cast<char*>(page.data()), 8192)) << path;
  return page;
}

Page random_page(std::size_t size_bytes, std::uint64_t seed) {
  Page page(size_bytes);
  EXPECT_TRUE(SeededRandom(seed).fill(page));
  return page;
}

template <typename Integer>
void store(Page& page, std::size_t offset, Integer value) {
  std::memcpy(page.data() + offset, &value, sizeof value);
}

// The definition, one number at a time: 32 columns of FNV-1a with a shift.
std::uint32_t fold_by_definition(Page page) {
  static constexpr std::uint32_t kStarts[32] = {
      0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2,
      0x83E13D2C, 0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C,
      0xF718902A, 0x0B1C9CDB, 0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979,
      0xCCA6C0B2, 0x304A0979, 0x85AA43D4, 0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E,
      0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};
  store<std::uint16_t>(page, 8, 0);
  std::vector<std::uint32_t> numbers(page.size() / 4);
  std::memcpy(numbers.data(), page.data(), page.size());
  numbers.resize(numbers.size() + 64, 0);
  std::uint32_t folded = 0;
  for (std::size_t column = 0; column < 32; ++column) {
    std::uint32_t sum = kStarts[column];
    for (std::size_t i = column; i < numbers.size(); i += 32) {
      const std::uint32_t mixed = sum ^ numbers[i];
      sum = mixed * 16777619U ^ mixed >> 17;
    }
    folded ^= sum;
  }
  return folded;
}

TEST(PageChecksum, IsWhatPostgresWrote) {
  const Page page = golden_page();
  EXPECT_EQ(stored_checksum(page), 0xC84F);
  EXPECT_EQ(page_checksum(page, kGoldenBlock), 0xC84F);
}

TEST(PageChecksum, DependsOnTheBlockNumber) {
  const Page page = golden_page();
  EXPECT_NE(page_checksum(page, 0), 0xC84F);
  EXPECT_NE(page_checksum(page, kGoldenBlock + 1), 0xC84F);
  // The same block of the second 1 GiB segment.
  EXPECT_NE(page_checksum(page, kGoldenBlock + 131072), 0xC84F);
}

TEST(PageChecksum, IgnoresWhatIsStoredAsChecksum) {
  Page page = golden_page();
  for (const unsigned stored : {0x0000U, 0x0001U, 0x4FC8U, 0xFFFFU}) {
    store(page, 8, static_cast<std::uint16_t>(stored));
    EXPECT_EQ(page_checksum(page, kGoldenBlock), 0xC84F);
  }
}

TEST(PageChecksum, LeavesThePageAsItIs) {
  const Page page = golden_page();
  (void)page_checksum(page, kGoldenBlock);
  EXPECT_EQ(page, golden_page());
}

TEST(PageChecksum, FollowsTheDefinitionAtEveryPageSize) {
  for (const std::size_t size : {1024U, 2048U, 4096U, 8192U, 16384U, 32768U}) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const Page page = random_page(size, seed);
      const auto block = static_cast<std::uint32_t>(SeededRandom(~seed).next());
      EXPECT_EQ(page_checksum(page, block), (fold_by_definition(page) ^ block) % 65535 + 1)
          << size << " bytes, seed " << seed;
    }
  }
}

TEST(PageChecksum, RunsFromOneTo65535) {
  const Page page = golden_page();
  const std::uint32_t folded = fold_by_definition(page);
  EXPECT_EQ(page_checksum(page, folded), 1);
  EXPECT_EQ(page_checksum(page, folded ^ 65534), 65535);
  EXPECT_EQ(page_checksum(page, folded ^ 65535), 1);
}

TEST(PageChecksumKernels, AgreeAtEverySizeAndAddress) {
  for (const std::size_t size : {1024U, 8192U, 32768U}) {
    for (std::size_t shift = 0; shift < 67; shift += 3) {
      const Page memory = random_page(size + shift, size + shift);
      const ByteSpan page = ByteSpan(memory).subspan(shift);
      const std::uint32_t expected = fold_by_definition({page.begin(), page.end()});
      for (const internal::PageChecksumKernel& kernel : internal::page_checksum_kernels()) {
        EXPECT_EQ(kernel.fold(page), expected) << kernel.name << ", " << size << " at " << shift;
      }
    }
  }
}

TEST(PageChecksumKernels, BeginWithTheOneThatRunsEverywhere) {
  ASSERT_FALSE(internal::page_checksum_kernels().empty());
  EXPECT_STREQ(internal::page_checksum_kernels().front().name, "baseline");
}

TEST(PageHeader, LsnIsTwoHalvesUpperFirst) {
  EXPECT_EQ(page_lsn(golden_page()), Lsn{0x0152E798});
  Page page(8192);
  store<std::uint32_t>(page, 0, 0x00000016);
  store<std::uint32_t>(page, 4, 0xB374D848);
  EXPECT_EQ(to_string(page_lsn(page)), "16/B374D848");
}

TEST(PageHeader, IsNewLooksAtPdUpperOnly) {
  Page page(8192, std::byte{0xFF});
  EXPECT_FALSE(is_new(page));
  store<std::uint16_t>(page, 14, 0);
  EXPECT_TRUE(is_new(page));
  store<std::uint16_t>(page, 14, 1);
  EXPECT_FALSE(is_new(page));
  store<std::uint16_t>(page, 14, 0x0100);
  EXPECT_FALSE(is_new(page));
  EXPECT_FALSE(is_new(golden_page()));
}

TEST(IsPageSize, AcceptsTheBlockSizesOfPostgres) {
  for (const std::size_t size : {1024U, 2048U, 4096U, 8192U, 16384U, 32768U}) {
    EXPECT_TRUE(is_page_size(size)) << size;
  }
  for (const std::size_t size : {0U, 1U, 512U, 1023U, 1025U, 3072U, 8191U, 24576U, 65536U}) {
    EXPECT_FALSE(is_page_size(size)) << size;
  }
}

TEST(PageChecksumDeathTest, APartOfAPageIsABug) {
  const Page page = golden_page();
  const ByteSpan part = ByteSpan(page).first(8191);
  EXPECT_DEATH((void)page_checksum(part, 0), "is_page_size");
  EXPECT_DEATH((void)check_page(part, 0), "is_page_size");
  EXPECT_DEATH((void)page_lsn({}), "is_page_size");
  EXPECT_DEATH((void)stored_checksum({}), "is_page_size");
  EXPECT_DEATH((void)is_new({}), "is_page_size");
}

TEST(CheckPage, ARealPageIsGoodAtItsOwnPlaceOnly) {
  const Page page = golden_page();
  EXPECT_EQ(check_page(page, kGoldenBlock), PageVerdict::good);
  EXPECT_EQ(check_page(page, kGoldenBlock - 1), PageVerdict::bad);
  EXPECT_EQ(check_page(page, kGoldenBlock + 131072), PageVerdict::bad);
}

TEST(CheckPage, EveryChangedByteIsNoticed) {
  Page page = golden_page();
  for (std::size_t i = 0; i < page.size(); ++i) {
    page[i] ^= std::byte{0x10};
    EXPECT_EQ(check_page(page, kGoldenBlock), PageVerdict::bad) << "byte " << i;
    page[i] ^= std::byte{0x10};
  }
}

TEST(CheckPage, AnotherPagesBytesFromAnyTearOnAreNoticed) {
  const Page before = golden_page();
  Page after = before;
  store<std::uint32_t>(after, 4, 0x0160AAAA);  // pd_lsn
  store<std::uint64_t>(after, 8000, 0x1122334455667788);
  store<std::uint16_t>(after, 8, page_checksum(after, kGoldenBlock));
  ASSERT_EQ(check_page(after, kGoldenBlock), PageVerdict::good);
  for (std::size_t tear = 512; tear <= 7680; tear += 512) {
    Page torn = after;
    std::copy(before.begin() + static_cast<std::ptrdiff_t>(tear), before.end(),
              torn.begin() + static_cast<std::ptrdiff_t>(tear));
    EXPECT_EQ(check_page(torn, kGoldenBlock), PageVerdict::bad) << "torn at " << tear;
  }
}

// A page whose pd_upper is 0 passes PostgreSQL's own check whatever else it holds.
struct NewPageCase {
  const char* name;
  void (*change)(Page& page);
  PageVerdict verdict;
};

constexpr NewPageCase kNewPageCases[] = {
    {"AllZero", [](Page&) {}, PageVerdict::zero},
    {"LsnOnly", [](Page& page) { store<std::uint32_t>(page, 0, 1); }, PageVerdict::bad},
    {"ItsOwnChecksumOnly",
     [](Page& page) { store<std::uint16_t>(page, 8, page_checksum(page, kGoldenBlock)); },
     PageVerdict::bad},
    {"FlagsAndLower", [](Page& page) { store<std::uint32_t>(page, 10, 0x00180001); },
     PageVerdict::bad},
    {"SpecialAndVersion", [](Page& page) { store<std::uint32_t>(page, 16, 0x20042000); },
     PageVerdict::bad},
    {"FirstByteOfTheBody", [](Page& page) { page[24] = std::byte{1}; }, PageVerdict::bad},
    {"LastByte", [](Page& page) { page.back() = std::byte{0x80}; }, PageVerdict::bad},
    {"EverythingButPdUpper",
     [](Page& page) {
       std::fill(page.begin(), page.end(), std::byte{0xFF});
       store<std::uint16_t>(page, 14, 0);
     },
     PageVerdict::bad},
};

class CheckNewPage : public testing::TestWithParam<NewPageCase> {};

TEST_P(CheckNewPage, IsZeroOnlyWhenEveryByteIs) {
  for (const std::size_t size : {1024U, 8192U, 32768U}) {
    Page page(size);
    GetParam().change(page);
    ASSERT_TRUE(is_new(page));
    EXPECT_EQ(check_page(page, kGoldenBlock), GetParam().verdict) << size << " bytes";
  }
}

INSTANTIATE_TEST_SUITE_P(T2, CheckNewPage, testing::ValuesIn(kNewPageCases),
                         [](const auto& new_page) { return std::string(new_page.param.name); });

TEST(CheckPage, AZeroPageIsZeroAtAnyPlace) {
  EXPECT_EQ(check_page(Page(8192), 0), PageVerdict::zero);
  EXPECT_EQ(check_page(Page(8192), 0xFFFFFFFE), PageVerdict::zero);
}

}  // namespace
}  // namespace haul::postgres
