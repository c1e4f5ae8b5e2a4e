#include "engine/backup/change_pace.h"

#include <gtest/gtest.h>

namespace haul::backup {
namespace {

using repository::Pace;

TEST(ChangePace, NothingIsQuietBeforeAnythingWasSeen) {
  EXPECT_EQ(ChangePace(100, 4000).of(1), Pace::usual);
}

TEST(ChangePace, LeafWithAFifthOfTheUsualIsQuiet) {
  ChangePace pace(0, 0);
  for (int i = 0; i < 10; ++i) pace.note(40);
  EXPECT_EQ(pace.of(8), Pace::quiet);
  EXPECT_EQ(pace.of(9), Pace::usual);
  EXPECT_EQ(pace.leaves(), 10U);
}

TEST(ChangePace, LeavesWithoutChangesDoNotCount) {
  ChangePace pace(0, 0);
  pace.note(40);
  for (int i = 0; i < 10; ++i) pace.note(0);
  EXPECT_EQ(pace.of(8), Pace::quiet);
  EXPECT_EQ(pace.leaves(), 1U);
}

// Those that come first may be the quiet ones.
TEST(ChangePace, TheParentTellsWhatIsUsual) {
  ChangePace pace(100, 4000);
  pace.note(4);
  EXPECT_EQ(pace.of(3), Pace::quiet);
  ChangePace without(0, 0);
  without.note(4);
  EXPECT_EQ(without.of(3), Pace::usual);
}

TEST(ChangePace, BackupOfWhichAllIsQuietIsNot) {
  ChangePace pace(100, 50'000);
  for (int i = 0; i < 50; ++i) {
    pace.note(40);
    EXPECT_EQ(pace.of(40), Pace::usual);
  }
}

}  // namespace
}  // namespace haul::backup
