#include "engine/postgres/internal/libpq.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/file_content.h"

namespace haul::postgres {
namespace {

using support::code_of;
using testing::HasSubstr;

TEST(LibPq, IsLoadedWithEveryFunction) {
  const auto pq = load_libpq();
  ASSERT_TRUE(pq) << pq.error().message();
#define HAUL_EXPECT_FOUND(function) EXPECT_NE(pq->function, nullptr) << #function;
  HAUL_LIBPQ_FUNCTIONS(HAUL_EXPECT_FOUND)
#undef HAUL_EXPECT_FOUND
}

TEST(LibPq, LibraryWithoutItsFunctionsIsServerStateWithAHint) {
  const auto pq = load_libpq("libm.so.6");
  ASSERT_EQ(code_of(pq), ErrorCode::server_state);
  EXPECT_THAT(pq.error().hint(), HasSubstr("install libpq5"));
}

}  // namespace
}  // namespace haul::postgres
