// The page of status: whole, from nowhere else, with nothing of the server's taken for markup.
#include "tools/pghaul/status_html.h"

#include <regex>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/support/manual_clock.h"

namespace haul::cli {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using testing::HasSubstr;
using testing::Not;

class StatusHtmlTest : public testing::Test {
 protected:
  StatusHtmlTest() {
    status.cluster = "main";
    status.report.now = support::ManualClock::kStart;
  }

  static UtcTime before(nanoseconds age) {
    return {support::ManualClock::kStart.microseconds -
            std::chrono::duration_cast<std::chrono::microseconds>(age).count()};
  }
  // Ended so long ago, recoverable to another moment before now.
  verify::StatusBackup& add(nanoseconds ended, nanoseconds recoverable, std::string id) {
    verify::StatusBackup backup;
    backup.snapshot.id = std::move(id);
    backup.snapshot.started = before(ended + minutes{3});
    backup.snapshot.finished = before(ended);
    backup.snapshot.statistics.source_bytes = 4096;
    backup.snapshot.statistics.stored_bytes = 1024;
    backup.window.last_transaction.emplace();
    backup.window.last_transaction->time = before(recoverable);
    status.report.backups.push_back(std::move(backup));
    status.report.newest = status.report.backups.size() - 1;
    return status.report.backups.back();
  }
  std::size_t count(const std::string& pattern) const {
    const std::string page = status_html(status);
    const std::regex regex(pattern);
    return static_cast<std::size_t>(
        std::distance(std::sregex_iterator(page.begin(), page.end(), regex), {}));
  }

  ClusterStatus status;
};

TEST_F(StatusHtmlTest, EveryElementIsClosed) {
  add(hours{2}, hours{1}, "20261123T000000Z-F");
  status.report.problems = {"p"};
  status.report.gaps = {{"a", "b", 2}};
  const std::string page = status_html(status);
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-z][a-z0-9]*)[^>]*?(/?)>");
  for (std::sregex_iterator it(page.begin(), page.end(), tag), end; it != end; ++it) {
    const std::string name = (*it)[2];
    if (name == "meta" || !(*it)[3].str().empty()) continue;
    if ((*it)[1].str().empty()) {
      // The table's rows and the list's items are closed here as well.
      open.push_back(name);
    } else {
      ASSERT_FALSE(open.empty()) << name;
      EXPECT_EQ(open.back(), name);
      open.pop_back();
    }
  }
  EXPECT_TRUE(open.empty());
}

TEST_F(StatusHtmlTest, NothingComesFromElsewhere) {
  add(hours{2}, hours{1}, "20261123T000000Z-F");
  EXPECT_EQ(count("https?:"), 0U);
  EXPECT_EQ(count("(src|href)="), 0U);
  EXPECT_EQ(count("<script"), 0U);
  EXPECT_EQ(count("default-src 'none'"), 1U);
}

TEST_F(StatusHtmlTest, WhatServersSayIsNoMarkup) {
  add(hours{2}, hours{1}, "<b>&\"");
  status.cluster = "<i>";
  status.report.problems = {"<script>alert(1)</script>"};
  const std::string page = status_html(status);
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;&amp;&quot;"));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(page, Not(HasSubstr("<i>")));
  EXPECT_THAT(page, Not(HasSubstr("<script>")));
}

TEST_F(StatusHtmlTest, EmptyClusterHasNoPictures) {
  status.report.problems = {"cluster main has no backup"};
  EXPECT_EQ(count("<svg"), 0U);
  EXPECT_THAT(status_html(status), HasSubstr("<li>cluster main has no backup</li>"));
  EXPECT_THAT(status_html(status), HasSubstr("class=\"state bad\">1 wrong"));
}

TEST_F(StatusHtmlTest, MomentsThatOverlapAreOneSpan) {
  add(hours{30}, hours{20}, "a");
  add(hours{25}, hours{15}, "b");
  add(hours{10}, hours{9}, "c");
  EXPECT_EQ(count("class=\"covered\""), 2U);
  EXPECT_THAT(status_html(status),
              HasSubstr(format("<title>{} to {}</title>", to_iso8601(before(hours{30})),
                               to_iso8601(before(hours{15})))));
  EXPECT_EQ(count("class=\"point\""), 3U);
}

TEST_F(StatusHtmlTest, BackupWithoutItsWalIsLost) {
  add(hours{30}, hours{20}, "a").window.missing = "000000010000000000000003";
  EXPECT_EQ(count("class=\"covered\""), 0U);
  EXPECT_EQ(count("class=\"lost\""), 1U);
  EXPECT_THAT(status_html(status), HasSubstr("nothing: 000000010000000000000003 is missing"));
}

TEST_F(StatusHtmlTest, ManyBackupsAreShownAsFarAsTheyCanBeRead) {
  for (int i = 300; i > 0; --i) add(hours{i}, hours{i}, format("b{}", i));
  EXPECT_EQ(count("class=\"bar"), 120U);
  EXPECT_EQ(count("<tr><td>"), 200U);
  EXPECT_THAT(status_html(status), HasSubstr("and 100 older ones"));
}

TEST_F(StatusHtmlTest, CardsSayWhatWouldBeLostAndWhatWasRead) {
  add(hours{2}, hours{1}, "20261123T000000Z-F");
  status.report.exposed.emplace();
  status.report.exposed->time = minutes{5};
  status.report.exposed->bytes = 2048;
  status.report.coverage.unread_since = before(hours{50});
  status.report.coverage.stored_bytes = 4096;
  status.report.coverage.never_read_bytes = 1024;
  const std::string page = status_html(status);
  EXPECT_THAT(page, HasSubstr("<b>5 min 0 s</b><span class=\"faint\">2.0 KiB of WAL</span>"));
  EXPECT_THAT(page, HasSubstr("<b>2 d 2 h</b><span class=\"faint\">1.0 KiB never read</span>"));
  EXPECT_THAT(page, HasSubstr("4.0 times what they added"));
  EXPECT_THAT(page, HasSubstr("class=\"state good\">good"));
}

}  // namespace
}  // namespace haul::cli
