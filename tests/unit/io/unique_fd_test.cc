#include "io/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include <gtest/gtest.h>

namespace haul::io {
namespace {

int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, EmptyOneIsFalse) {
  EXPECT_FALSE(UniqueFd());
  EXPECT_EQ(UniqueFd().get(), -1);
}

TEST(UniqueFd, DestructionCloses) {
  const int fd = open_null();
  {
    const UniqueFd owner(fd);
    EXPECT_TRUE(owner);
  }
  EXPECT_FALSE(is_open(fd));
}

TEST(UniqueFd, MoveTransfersAndClosesWhatWasHeld) {
  const int first = open_null();
  const int second = open_null();
  UniqueFd owner(first);
  UniqueFd other(second);
  owner = std::move(other);
  EXPECT_EQ(owner.get(), second);
  EXPECT_FALSE(is_open(first));
  EXPECT_TRUE(is_open(second));
  const UniqueFd third(std::move(owner));
  EXPECT_EQ(third.get(), second);
}

TEST(UniqueFd, ReleasedOneStaysOpen) {
  const int fd = open_null();
  {
    EXPECT_EQ(UniqueFd(fd).release(), fd);
  }
  EXPECT_TRUE(is_open(fd));
  ::close(fd);
}

TEST(UniqueFd, FinishClosesAndIsThenEmpty) {
  const int fd = open_null();
  UniqueFd owner(fd);
  EXPECT_TRUE(owner.finish());
  EXPECT_FALSE(owner);
  EXPECT_FALSE(is_open(fd));
}

TEST(UniqueFd, FinishReportsFailureOfClose) {
  const int fd = open_null();
  UniqueFd owner(fd);
  ::close(fd);
  const Status finished = owner.finish();
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().code(), ErrorCode::io);
  EXPECT_FALSE(owner);
}

TEST(UniqueFdDeathTest, FinishingEmptyOneIsBug) {
  EXPECT_DEATH(std::ignore = UniqueFd().finish(), "assertion failed");
}

}  // namespace
}  // namespace haul::io
