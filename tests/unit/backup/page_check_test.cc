#include "engine/backup/page_check.h"

#include <cstring>
#include <deque>

#include <gtest/gtest.h>

#include "engine/postgres/page_checksum.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/refusing_file.h"

namespace haul::backup {
namespace {

using support::fake_page;
using support::kFakePageSize;

constexpr Lsn kStart{0x5000000};
constexpr Lsn kInsert{0x6000000};

// A file whose successive reads are given; the last one repeats.
class ScriptedFile final : public support::RefusingFile {
 public:
  explicit ScriptedFile(std::deque<std::string> reads) : reads_(std::move(reads)) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteSpan into) override {
    offsets.push_back(offset);
    if (failure) return *failure;
    const std::string content = reads_.front();
    if (reads_.size() > 1) reads_.pop_front();
    const std::size_t start = std::min<std::size_t>(offset, content.size());
    const std::size_t count = std::min(into.size(), content.size() - start);
    std::memcpy(into.data(), content.data() + start, count);
    return count;
  }
  Result<io::FileInfo> info() override { return io::FileInfo{}; }
  Status finish() override { return ok(); }

  std::vector<std::uint64_t> offsets;
  std::optional<Error> failure;

 private:
  std::deque<std::string> reads_;
};

class CountingClock final : public Clock {
 public:
  UtcTime now_utc() override { return {}; }
  std::chrono::nanoseconds now_monotonic() override { return slept; }
  void sleep_for(std::chrono::nanoseconds duration) override {
    slept += duration;
    ++sleeps;
  }
  std::chrono::nanoseconds slept{0};
  int sleeps = 0;
};

// One region of pages, checked as a backup between kStart and kInsert would.
class PageCheck : public testing::Test {
 protected:
  Status check(std::string first_read, std::deque<std::string> later_reads,
               std::uint32_t first_block = 0) {
    kept = std::move(first_read);
    file.emplace(std::move(later_reads));
    PageCheckContext context;
    context.page_size_bytes = page_size;
    context.checksums = checksums;
    context.start = start;
    context.current_insert_lsn = [this]() -> Result<Lsn> {
      ++insert_lsn_asked;
      if (insert_lsn_failure) return *insert_lsn_failure;
      return kInsert;
    };
    if (read_failure) file->failure = read_failure;
    PageChecker checker(context, clock);
    PageChecker::Region region;
    region.file = &*file;
    region.path = &path;
    region.offset = offset;
    region.first_block = first_block;
    region.bytes = std::as_writable_bytes(std::span(kept));
    return checker.check(region, result);
  }

  std::string path = "base/5/16384";
  std::uint32_t page_size = kFakePageSize;
  bool checksums = true;
  Lsn start = kStart;
  std::uint64_t offset = 0;
  std::optional<Error> read_failure;
  std::optional<Error> insert_lsn_failure;
  CountingClock clock;
  std::optional<ScriptedFile> file;
  std::string kept;
  PageCheckResult result;
  int insert_lsn_asked = 0;
};

std::string damaged(std::string page) {
  page[1000] = static_cast<char>(page[1000] ^ 1);
  return page;
}

// The first half of one version and the second half of another.
std::string torn(const std::string& left, const std::string& right) {
  return left.substr(0, left.size() / 2) + right.substr(right.size() / 2);
}

TEST_F(PageCheck, GoodPagesAreNotReadAgain) {
  const std::string pages = fake_page(0, 1, 7) + fake_page(1, 1, 7);
  ASSERT_TRUE(check(pages, {pages}));
  EXPECT_TRUE(file->offsets.empty());
  EXPECT_EQ(result.reread_pages, 0U);
  EXPECT_EQ(kept, pages);
}

TEST_F(PageCheck, TornPageIsReplacedByTheWholeOne) {
  const std::string old_page = fake_page(0, 1, 7);
  const std::string new_page = fake_page(0, 2, 8);
  ASSERT_TRUE(check(torn(old_page, new_page), {new_page}));
  EXPECT_EQ(kept, new_page);
  EXPECT_EQ(result.reread_pages, 1U);
  EXPECT_TRUE(result.bad_pages.empty());
  EXPECT_EQ(clock.sleeps, 0);
}

TEST_F(PageCheck, PageTornOnEveryLookIsAcceptedWithItsLastBytes) {
  const std::string a = fake_page(0, 1, 1);
  const std::string b = fake_page(0, 2, 2);
  const std::string c = fake_page(0, 3, 3);
  ASSERT_TRUE(check(torn(a, b), {torn(b, c), torn(c, a), torn(a, c)}));
  EXPECT_EQ(kept, torn(a, c));
  EXPECT_EQ(result.reread_pages, 1U);
  EXPECT_TRUE(result.bad_pages.empty());
}

TEST_F(PageCheck, PageThatChangedOnceAndStaysWrongIsAccepted) {
  const std::string a = fake_page(0, 1, 1);
  const std::string b = fake_page(0, 2, 2);
  ASSERT_TRUE(check(torn(a, b), {torn(b, a)}));
  EXPECT_TRUE(result.bad_pages.empty());
  EXPECT_EQ(result.reread_pages, 1U);
}

TEST_F(PageCheck, StableDamageIsReportedAfterThreeSpacedLooks) {
  const std::string page = damaged(fake_page(0, 1, 7));
  ASSERT_TRUE(check(page, {page}));
  ASSERT_EQ(result.bad_pages.size(), 1U);
  EXPECT_EQ(result.bad_pages[0], (postgres::BadPage{path, 0}));
  EXPECT_EQ(file->offsets.size(), 3U);
  EXPECT_EQ(clock.slept, std::chrono::milliseconds(55));
  EXPECT_EQ(kept, page);
  EXPECT_EQ(result.reread_pages, 0U);
}

TEST_F(PageCheck, StableDamageWithAnLsnOfThisBackupIsLeftToReplay) {
  const std::string page = damaged(fake_page(0, kStart.value, 7));
  ASSERT_TRUE(check(page, {page}));
  EXPECT_TRUE(result.bad_pages.empty());
  EXPECT_EQ(result.reread_pages, 1U);
}

TEST_F(PageCheck, StableDamageAtTheInsertPositionIsLeftToReplay) {
  const std::string page = damaged(fake_page(0, kInsert.value, 7));
  ASSERT_TRUE(check(page, {page}));
  EXPECT_TRUE(result.bad_pages.empty());
}

TEST_F(PageCheck, StableDamageJustBeforeTheStartIsReported) {
  const std::string page = damaged(fake_page(0, kStart.value - 1, 7));
  ASSERT_TRUE(check(page, {page}));
  EXPECT_EQ(result.bad_pages.size(), 1U);
  EXPECT_EQ(insert_lsn_asked, 0);
}

TEST_F(PageCheck, StableDamageWithAnLsnFromTheFutureIsReported) {
  const std::string page = damaged(fake_page(0, kInsert.value + 1, 7));
  ASSERT_TRUE(check(page, {page}));
  EXPECT_EQ(result.bad_pages.size(), 1U);
}

TEST_F(PageCheck, OfflineNoLsnExcusesDamage) {
  start = Lsn{};
  const std::string page = damaged(fake_page(0, kStart.value, 7));
  ASSERT_TRUE(check(page, {page}));
  EXPECT_EQ(result.bad_pages.size(), 1U);
  EXPECT_EQ(insert_lsn_asked, 0);
}

TEST_F(PageCheck, BlockNumbersCountWithinTheFork) {
  const std::string good = fake_page(131072, 1, 7);
  const std::string pages = good + damaged(fake_page(131073, 1, 7));
  ASSERT_TRUE(check(pages, {pages}, 131072));
  ASSERT_EQ(result.bad_pages.size(), 1U);
  EXPECT_EQ(result.bad_pages[0].block, 131073U);
}

TEST_F(PageCheck, OnlyTheWrongPagesAreReadAgainAtTheirPlaces) {
  offset = 16 * kFakePageSize;
  const std::string filler(offset, '\0');
  const std::string good = fake_page(16, 1, 7);
  const std::string fixed = fake_page(17, 2, 8);
  ASSERT_TRUE(check(good + torn(fake_page(17, 1, 7), fixed), {filler + good + fixed}, 16));
  EXPECT_EQ(file->offsets, std::vector<std::uint64_t>{17 * kFakePageSize});
  EXPECT_EQ(kept, good + fixed);
}

TEST_F(PageCheck, SeveralWrongPagesOfARegionWaitTogether) {
  const std::string pages =
      damaged(fake_page(0, 1, 1)) + damaged(fake_page(1, 1, 1)) + damaged(fake_page(2, 1, 1));
  ASSERT_TRUE(check(pages, {pages}));
  EXPECT_EQ(result.bad_pages.size(), 3U);
  EXPECT_EQ(clock.slept, std::chrono::milliseconds(55));
}

TEST_F(PageCheck, PageTruncatedAwayMeanwhileBecomesZeros) {
  ASSERT_TRUE(check(damaged(fake_page(0, 1, 7)), {""}));
  EXPECT_EQ(kept, std::string(kFakePageSize, '\0'));
  EXPECT_TRUE(result.bad_pages.empty());
  EXPECT_EQ(result.reread_pages, 1U);
}

TEST_F(PageCheck, PageOfZerosIsGood) {
  const std::string page(kFakePageSize, '\0');
  ASSERT_TRUE(check(page, {page}));
  EXPECT_TRUE(file->offsets.empty());
}

TEST_F(PageCheck, NewPageThatIsNotZeroIsReported) {
  std::string page(kFakePageSize, '\0');
  page[5000] = 'x';
  ASSERT_TRUE(check(page, {page}));
  EXPECT_EQ(result.bad_pages.size(), 1U);
}

TEST_F(PageCheck, ShortPageAtTheEndIsNotChecked) {
  const std::string pages = fake_page(0, 1, 7) + std::string(100, 'x');
  ASSERT_TRUE(check(pages, {pages}));
  EXPECT_TRUE(result.bad_pages.empty());
  EXPECT_TRUE(file->offsets.empty());
}

TEST_F(PageCheck, WithoutChecksumsNothingIsJudged) {
  checksums = false;
  const std::string page = damaged(fake_page(0, 1, 7));
  ASSERT_TRUE(check(page, {page}));
  EXPECT_TRUE(result.bad_pages.empty());
}

TEST_F(PageCheck, SmallPagesAreReadAgainInAlignedBlocks) {
  page_size = 1024;
  std::string page(1024, '\0');
  page[14] = 4;  // pd_upper
  page[500] = 'x';
  std::string fixed = page;
  const std::uint16_t sum = postgres::page_checksum(bytes_of(fixed), 5);
  std::memcpy(fixed.data() + 8, &sum, sizeof sum);
  const std::string before(5 * 1024, '\0');
  ASSERT_TRUE(check(before + page, {before + fixed + std::string(4096, '\0')}));
  EXPECT_EQ(file->offsets, std::vector<std::uint64_t>{4096});
  EXPECT_EQ(kept, before + fixed);
}

TEST_F(PageCheck, FailureToReadAgainIsPassedOn) {
  read_failure = Error(ErrorCode::io, "gone");
  const Status status = check(damaged(fake_page(0, 1, 7)), {""});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::io);
}

TEST_F(PageCheck, FailureToAskTheServerIsPassedOn) {
  insert_lsn_failure = Error(ErrorCode::server_state, "lost");
  const std::string page = damaged(fake_page(0, kStart.value, 7));
  const Status status = check(page, {page});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), ErrorCode::server_state);
}

}  // namespace
}  // namespace haul::backup
