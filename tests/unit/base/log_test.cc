#include "base/log.h"

#include <gtest/gtest.h>

namespace haul {
namespace {

TEST(StderrLog, WritesLinesFromItsLevelOn) {
  testing::internal::CaptureStderr();
  const auto log = make_stderr_log(LogLevel::warning);
  log->debug("no");
  log->info("no");
  log->warning("careful {}");
  log->error("broken");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "pghaul: warning: careful {}\npghaul: error: broken\n");
}

TEST(SilentLog, WritesNothing) {
  testing::internal::CaptureStderr();
  SilentLog log;
  log.error("broken");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace haul
