#include "engine/flow/internal/tbb_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(TbbLibrary, MissingLibraryIsIoWithAHint) {
  const auto tbb = find_tbb("libtbb-of-nobody.so.12");
  ASSERT_EQ(code_of(tbb), ErrorCode::io);
  EXPECT_THAT(tbb.error().message(), HasSubstr("cannot load libtbb-of-nobody.so.12: "));
  EXPECT_THAT(tbb.error().hint(), HasSubstr("install libtbb12"));
}

TEST(TbbLibrary, LibraryWithoutItsFunctionsIsIo) {
  EXPECT_EQ(code_of(find_tbb("libm.so.6")), ErrorCode::io);
}

}  // namespace
}  // namespace haul::flow
