#include "base/dynamic_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace haul {
namespace {

using testing::HasSubstr;

TEST(DynamicLibrary, FunctionsAreFoundByTheirNames) {
  const auto library = DynamicLibrary::load("libm.so.6", ErrorCode::io, "install libm");
  ASSERT_TRUE(library) << library.error().message();
  double (*root)(double) = nullptr;
  ASSERT_TRUE(library->find("sqrt", root));
  EXPECT_EQ(root(9), 3);
}

TEST(DynamicLibrary, OneThatIsMissingIsTheGivenErrorAndHint) {
  const auto library = DynamicLibrary::load("libm-of-nobody.so.6", ErrorCode::usage, "install it");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().code(), ErrorCode::usage);
  EXPECT_THAT(library.error().message(), HasSubstr("cannot load libm-of-nobody.so.6: "));
  EXPECT_EQ(library.error().hint(), "install it");
}

TEST(DynamicLibrary, FunctionThatIsMissingIsNamed) {
  const auto library = DynamicLibrary::load("libm.so.6", ErrorCode::io, "install libm");
  ASSERT_TRUE(library) << library.error().message();
  void (*function)() = nullptr;
  const Status found = library->find("no_such_function", function);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::io);
  EXPECT_THAT(found.error().message(), HasSubstr("no_such_function"));
  EXPECT_EQ(function, nullptr);
}

}  // namespace
}  // namespace haul
