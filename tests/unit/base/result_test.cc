#include "base/result.h"

#include <cerrno>
#include <memory>

#include <gtest/gtest.h>

namespace haul {
namespace {

Result<int> positive(int value) {
  if (value <= 0) return Error(ErrorCode::usage, "not positive", "give more");
  return value;
}

Status check(int value) {
  HAUL_TRY(positive(value));
  return ok();
}

Result<int> sum(int left, int right) {
  return HAUL_TRY(positive(left)) + HAUL_TRY(positive(right));
}

Result<std::unique_ptr<int>> boxed(int value) {
  return std::make_unique<int>(HAUL_TRY(positive(value)));
}

TEST(Result, SuccessHasTheValue) {
  const Result<int> result = positive(7);
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 7);
}

TEST(Result, FailureHasTheErrorWithItsParts) {
  const Result<int> result = positive(0);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::usage);
  EXPECT_EQ(result.error().message(), "not positive");
  EXPECT_EQ(result.error().hint(), "give more");
}

TEST(Result, TryHandsFailuresOn) {
  EXPECT_TRUE(check(1));
  EXPECT_FALSE(check(-1));
  EXPECT_EQ(sum(1, 2).value(), 3);
  EXPECT_EQ(sum(1, 0).error().code(), ErrorCode::usage);
}

TEST(Result, TryMovesValuesThatCannotBeCopied) { EXPECT_EQ(**boxed(5), 5); }

TEST(Result, TakingFromAFailureIsABug) {
  EXPECT_DEATH(std::ignore = positive(0).take(), "assertion failed");
}

TEST(Result, TakingTheErrorOfASuccessIsABug) {
  EXPECT_DEATH(std::ignore = positive(1).take_error(), "assertion failed");
}

TEST(Error, ContextComesFirstAndTheRestStays) {
  const Error error = Error(ErrorCode::io, "no", "hint").with_context("disk");
  EXPECT_EQ(error.message(), "disk: no");
  EXPECT_EQ(error.hint(), "hint");
  EXPECT_EQ(error.code(), ErrorCode::io);
}

TEST(Error, HintIsReplaced) {
  EXPECT_EQ(Error(ErrorCode::io, "no", "old").with_hint("new").hint(), "new");
}

TEST(Error, ErrnoBecomesTheCodeACallerCanActOn) {
  EXPECT_EQ(error_from_errno(ENOENT, "x").code(), ErrorCode::not_found);
  EXPECT_EQ(error_from_errno(ENOTDIR, "x").code(), ErrorCode::not_found);
  EXPECT_EQ(error_from_errno(EEXIST, "x").code(), ErrorCode::already_exists);
  EXPECT_EQ(error_from_errno(ENOSPC, "x").code(), ErrorCode::no_space);
  EXPECT_EQ(error_from_errno(EDQUOT, "x").code(), ErrorCode::no_space);
  EXPECT_EQ(error_from_errno(EFBIG, "x").code(), ErrorCode::no_space);
  EXPECT_EQ(error_from_errno(EACCES, "x").code(), ErrorCode::permission);
  EXPECT_EQ(error_from_errno(EPERM, "x").code(), ErrorCode::permission);
  EXPECT_EQ(error_from_errno(EIO, "x").code(), ErrorCode::io);
  EXPECT_EQ(error_from_errno(EIO, "cannot read f").message(), "cannot read f: Input/output error");
}

TEST(ErrorCode, EveryCodeHasAName) {
  EXPECT_STREQ(to_string(ErrorCode::usage), "usage");
  EXPECT_STREQ(to_string(ErrorCode::not_found), "not_found");
  EXPECT_STREQ(to_string(ErrorCode::already_exists), "already_exists");
  EXPECT_STREQ(to_string(ErrorCode::busy), "busy");
  EXPECT_STREQ(to_string(ErrorCode::corrupt), "corrupt");
  EXPECT_STREQ(to_string(ErrorCode::io), "io");
  EXPECT_STREQ(to_string(ErrorCode::no_space), "no_space");
  EXPECT_STREQ(to_string(ErrorCode::permission), "permission");
  EXPECT_STREQ(to_string(ErrorCode::no_repository), "no_repository");
  EXPECT_STREQ(to_string(ErrorCode::unsupported), "unsupported");
  EXPECT_STREQ(to_string(ErrorCode::server_state), "server_state");
  EXPECT_STREQ(to_string(ErrorCode::interrupted), "interrupted");
}

}  // namespace
}  // namespace haul
