// What is printed, piece by piece: quantities, progress, the console, exit statuses.

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"
#include "tools/pghaul/console.h"
#include "tools/pghaul/exit_status.h"
#include "tools/pghaul/progress.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::EndsWith;
using testing::HasSubstr;

TEST(Quantity, SizesAreReadWithTheUnitsOfPostgres) {
  for (const auto& [text, bytes] : std::vector<std::pair<std::string, std::uint64_t>>{
           {"0", 0},
           {"64", 64 << 10},
           {"512B", 512},
           {"1k", 1 << 10},
           {"1kB", 1 << 10},
           {"1KiB", 1 << 10},
           {"64MiB", 64ULL << 20},
           {"64M", 64ULL << 20},
           {"2GB", 2ULL << 30},
           {"3T", 3ULL << 40},
       }) {
    EXPECT_EQ(parse_size(text).value_or(1), bytes) << text;
  }
}

TEST(Quantity, WhatIsNoSizeIsUsage) {
  for (const std::string text : {"", "x", "-1", "1.5G", "1 k", "1kb", "1MiBs", "1Mi",
                                 "99999999999999T", "99999999999999999999", "k"}) {
    const auto size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().code(), ErrorCode::usage) << text;
  }
}

TEST(ParseDuration, TakesUnitsOfPostgresqlConf) {
  using std::chrono::milliseconds;
  const std::vector<std::pair<const char*, std::int64_t>> spans = {
      {"0", 0},          {"90", 90'000},     {"90s", 90'000},    {"200ms", 200},
      {"2min", 120'000}, {"3h", 10'800'000}, {"1d", 86'400'000}, {"36500d", 3'153'600'000'000}};
  for (const auto& [text, count] : spans) {
    const auto span = parse_duration(text);
    ASSERT_TRUE(span) << text;
    EXPECT_EQ(*span, milliseconds(count)) << text;
  }
}

TEST(ParseDuration, AnythingElseIsUsage) {
  for (const char* text : {"", "s", "-1", "+1", "1.5s", "1 s", "1m", "1S", "1y", "40000d",
                           "18446744073709551616", "18446744073709551615"}) {
    const auto span = parse_duration(text);
    ASSERT_FALSE(span) << text;
    EXPECT_EQ(span.error().code(), ErrorCode::usage) << text;
    EXPECT_NE(span.error().hint(), "") << text;
  }
}

TEST(Quantity, SizesArePrintedInBinaryUnits) {
  EXPECT_EQ(print_size(0), "0 B");
  EXPECT_EQ(print_size(1023), "1023 B");
  EXPECT_EQ(print_size(1024), "1.0 KiB");
  EXPECT_EQ(print_size(1536), "1.5 KiB");
  EXPECT_EQ(print_size((1ULL << 20) - 1), "1.0 MiB");
  EXPECT_EQ(print_size(29'957'396'889), "27.9 GiB");
  EXPECT_EQ(print_size(5ULL << 40), "5.0 TiB");
  EXPECT_EQ(print_size(3ULL << 60), "3072.0 PiB");
  EXPECT_EQ(print_sizes(1ULL << 29, 1ULL << 30), "0.5/1.0 GiB");
}

TEST(Quantity, DurationsArePrintedAsClocksDo) {
  EXPECT_EQ(print_duration(milliseconds(999)), "0:00");
  EXPECT_EQ(print_duration(seconds(7)), "0:07");
  EXPECT_EQ(print_duration(seconds(174)), "2:54");
  EXPECT_EQ(print_duration(seconds(3774)), "1:02:54");
}

ProgressView half_way() {
  ProgressView view;
  view.what = "backup main  full";
  view.phase = "copying";
  view.done_bytes = 61ULL << 30;
  view.total_bytes = 100ULL << 30;
  view.stored_bytes = 61ULL << 29;
  return view;
}

TEST(Progress, LineShowsHowFarAndHowFast) {
  EXPECT_EQ(
      progress_line(half_way(), seconds(61)),
      "backup main  full  [============>       ]  61%  61.0/100.0 GiB  1.0 GiB/s  stored 30.5 "
      "GiB (2.0x)  ETA 0:39");
}

TEST(Progress, LineNamesTheWayOfReadingOnceItIsKnown) {
  ProgressView view = half_way();
  view.io_backend = "uring, unregistered";
  EXPECT_THAT(progress_line(view, seconds(61)), EndsWith("ETA 0:39  io: uring, unregistered"));
}

TEST(Progress, LineOfAPhaseWithoutBytesIsItsName) {
  ProgressView view = half_way();
  view.kind = ProgressView::Kind::waiting;
  view.phase = "committing";
  EXPECT_EQ(progress_line(view, seconds(1)), "backup main  full  committing");
}

TEST(Progress, LineAtTheEndIsFull) {
  ProgressView view = half_way();
  view.stored_bytes.reset();
  view.done_bytes = view.total_bytes;
  EXPECT_THAT(progress_line(view, seconds(100)), HasSubstr("[====================]  100%"));
}

TEST(Progress, MoreThanWasPlannedIsStillHundredPercent) {
  ProgressView view = half_way();
  view.done_bytes = 2 * view.total_bytes;
  const std::string line = progress_line(view, seconds(10));
  EXPECT_THAT(line, HasSubstr("100%"));
  EXPECT_FALSE(line.contains("ETA"));
}

TEST(Progress, NoTimeHasPassedIsNoDivision) {
  EXPECT_THAT(progress_line(half_way(), seconds(0)), HasSubstr("0 B/s"));
}

TEST(Progress, JsonHasTheSameNumbers) {
  const Json json = progress_json(half_way(), seconds(61));
  EXPECT_EQ(json.uint_at("done_bytes").value(), 61ULL << 30);
  EXPECT_EQ(json.uint_at("bytes_per_second").value(), 1ULL << 30);
  EXPECT_EQ(json.string_at("phase").value(), "copying");
}

TEST(ProgressReporter, WithoutAModeNothingIsPrinted) {
  std::ostringstream err;
  Console console(err);
  support::ManualClock clock;
  {
    const ProgressReporter reporter(ProgressMode::none, console, clock, half_way);
  }
  EXPECT_EQ(err.str(), "");
}

TEST(ProgressReporter, EndsAtOnceWhateverItsInterval) {
  std::ostringstream err;
  Console console(err);
  support::ManualClock clock;
  const auto begin = std::chrono::steady_clock::now();
  {
    const ProgressReporter reporter(ProgressMode::lines, console, clock, half_way);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(20));
}

TEST(Console, LevelsDropLines) {
  std::ostringstream err;
  Console console(err);
  console.info("not shown");
  console.warning("shown");
  console.set_level(LogLevel::debug);
  console.debug("all of it");
  EXPECT_EQ(err.str(), "pghaul: warning: shown\npghaul: debug: all of it\n");
}

TEST(Console, ErrorIsOneLineAndAHint) {
  std::ostringstream err;
  Console console(err);
  console.fail(Error(ErrorCode::io, "first\nsecond \x1b[2J", "do\nthis"));
  EXPECT_EQ(err.str(), "pghaul: error: first second  [2J\nHINT:  do this\n");
}

TEST(Console, ErrorWithoutAdviceHasNoHint) {
  std::ostringstream err;
  Console console(err);
  console.fail(Error(ErrorCode::io, "broken"));
  EXPECT_EQ(err.str(), "pghaul: error: broken\n");
}

TEST(Console, LogGoesAboveTheRedrawnLine) {
  std::ostringstream err;
  Console console(err);
  console.redraw("10%");
  console.warning("look");
  console.redraw("20%");
  console.redraw("");
  EXPECT_EQ(err.str(), "10%\r\x1b[Kpghaul: warning: look\n10%\r\x1b[K20%\r\x1b[K");
}

TEST(ExitStatus, EveryCodeHasItsOwn) {
  using enum ErrorCode;
  const std::vector<std::pair<ErrorCode, int>> expected = {
      {usage, 2},          {not_found, 4},     {already_exists, 1},
      {busy, 11},          {corrupt, 5},       {io, 14},
      {no_space, 14},      {permission, 13},   {unsupported, 1},
      {no_repository, 10}, {server_state, 15}, {interrupted, 130},
  };
  for (const auto& [code, status] : expected) {
    EXPECT_EQ(exit_status(code, Subject::repository), status) << to_string(code);
  }
}

TEST(ExitStatus, WhatItWasAboutDecidesWhereTheCodeAloneDoesNot) {
  EXPECT_EQ(exit_status(ErrorCode::not_found, Subject::request), 2);
  EXPECT_EQ(exit_status(ErrorCode::not_found, Subject::init), 2);
  EXPECT_EQ(exit_status(ErrorCode::already_exists, Subject::init), 2);
  EXPECT_EQ(exit_status(ErrorCode::not_found, Subject::source), 15);
  EXPECT_EQ(exit_status(ErrorCode::corrupt, Subject::source), 15);
  EXPECT_EQ(exit_status(ErrorCode::unsupported, Subject::source), 15);
  EXPECT_EQ(exit_status(ErrorCode::not_found, Subject::target), 14);
  EXPECT_EQ(exit_status(ErrorCode::io, Subject::source), 14);
}

}  // namespace
}  // namespace haul::cli
