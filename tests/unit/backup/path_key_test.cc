#include "engine/backup/path_key.h"

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "engine/repository/tree.h"

namespace haul::backup {
namespace {

// The key as text, which std::string compares as memcmp() does.
std::string key_of(std::string_view path) {
  repository::ByteWriter out;
  append_path_key(out, path);
  return std::string(text_of(out.view()));
}

void expect_same_order(const std::string& left, const std::string& right) {
  EXPECT_EQ(key_of(left) <=> key_of(right), repository::compare_paths(left, right))
      << left << " " << right;
  // Whatever stands behind.
  EXPECT_EQ(key_of(left) + "\xff" <=> key_of(right) + std::string(1, '\0'),
            left == right ? std::strong_ordering::greater : repository::compare_paths(left, right));
}

TEST(PathKey, OrdersAsTreesDo) {
  const std::vector<std::string> paths = {"",
                                          "0",
                                          "00",
                                          "1",
                                          "01",
                                          "001",
                                          "2",
                                          "9",
                                          "10",
                                          "010",
                                          "1/x",
                                          "01/x",
                                          "01/a",
                                          "1/a",
                                          "10/x",
                                          "a",
                                          "a/b",
                                          "a.b",
                                          "a-b",
                                          "a0",
                                          "a00",
                                          "a1b2",
                                          "a1b10",
                                          "a01b2",
                                          "1a",
                                          "1.1",
                                          "1.10",
                                          "1_fsm",
                                          "\x01",
                                          "\x2e",
                                          "\x30",
                                          ":",
                                          "\xff",
                                          "\xfe",
                                          "base/5/16384",
                                          "base/5/16384.1",
                                          "base/5/16384_vm",
                                          "base/16384",
                                          "18446744073709551616",
                                          "18446744073709551617",
                                          "a\x01",
                                          "a\xff/"};
  for (const std::string& left : paths) {
    for (const std::string& right : paths) expect_same_order(left, right);
  }
}

TEST(PathKey, OrdersRandomPathsAsTreesDo) {
  std::mt19937_64 random(11);
  const auto path = [&random] {
    std::string text(random() % 9, '\0');
    for (char& c : text) c = "0019/./a_:\x01\xff"[random() % 12];
    return text;
  };
  for (int i = 0; i < 50'000; ++i) expect_same_order(path(), path());
}

TEST(PathKey, OrdersEveryPairOfCharacters) {
  for (int a = 1; a < 256; ++a) {
    for (int b = 1; b < 256; ++b) {
      expect_same_order(std::string(1, static_cast<char>(a)), std::string(1, static_cast<char>(b)));
    }
  }
}

TEST(PathKey, LongNumbersAreCompared) {
  for (const std::size_t digits : {std::size_t{255}, std::size_t{256}, std::size_t{4000}}) {
    expect_same_order(std::string(digits, '1'), std::string(digits - 1, '9'));
    expect_same_order(std::string(digits, '1'), std::string(digits, '1') + "/a");
  }
}

TEST(PathKey, GivesItsPathBack) {
  for (const std::string path : {"", "a", "0", "007", "base/5/16384.1", "\x01\xff"}) {
    EXPECT_EQ(path_of_key(bytes_of(key_of(path))), path);
  }
}

}  // namespace
}  // namespace haul::backup
