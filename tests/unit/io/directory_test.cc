#include "io/directory.h"

#include <gtest/gtest.h>

#include "io/sim_directory.h"

namespace haul::io {
namespace {

TEST(IsPlainPath, PlainComponentsAre) {
  for (const char* path : {"a", "a/b", "a/b/c.tmp", "...", ".a", "a..", "a b\n", "\xff"}) {
    EXPECT_TRUE(is_plain_path(path)) << path;
  }
}

TEST(IsPlainPath, EverythingElseIsNot) {
  for (const char* path :
       {"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/./b", "../a", "a/..", "a/../b"}) {
    EXPECT_FALSE(is_plain_path(path)) << path;
  }
  EXPECT_FALSE(is_plain_path(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_plain_path(std::string_view("a\0", 2)));
}

TEST(FullName, JoinsWithOneSlash) {
  SimDisk disk;
  const auto root = disk.open("").take();
  EXPECT_EQ(full_name(*root, ""), root->name());
  EXPECT_EQ(full_name(*root, "a/b"), root->name() + "/a/b");
}

}  // namespace
}  // namespace haul::io
