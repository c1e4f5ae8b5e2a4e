#include "engine/flow/internal/tbb_library.h"

#include <new>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <oneapi/tbb/detail/_exception.h>

#include "base/dynamic_library.h"
#include "engine/flow/arena.h"
#include "tests/support/file_content.h"

namespace haul::flow {
namespace {

using support::code_of;
using testing::HasSubstr;

TEST(TbbLibrary, IsLoaded) {
  const Status loaded = load_tbb();
  EXPECT_TRUE(loaded) << loaded.error().message();
}

TEST(TbbLibrary, LibraryWithoutItsFunctionsIsIoWithAHint) {
  const auto tbb = find_tbb("libm.so.6");
  ASSERT_EQ(code_of(tbb), ErrorCode::io);
  EXPECT_THAT(tbb.error().hint(), HasSubstr("install libtbb12"));
}

// It has a C++ library of its own, and what it throws comes through to ours (decision 0010).
TEST(TbbLibrary, ItsExceptionsAreCaught) {
  const auto tbb = DynamicLibrary::load("libtbb.so.12", ErrorCode::io, "");
  ASSERT_TRUE(tbb) << tbb.error().message();
  void (*throw_exception)(tbb::detail::d0::exception_id) = nullptr;
  ASSERT_TRUE(
      tbb->find("_ZN3tbb6detail2r115throw_exceptionENS0_2d012exception_idE", throw_exception));
  EXPECT_THROW(throw_exception(tbb::detail::d0::exception_id::bad_alloc), std::bad_alloc);
}

}  // namespace
}  // namespace haul::flow
