// Every byte of every object of a small repository, changed in three ways: each change is found.

#include <array>

#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/support/file_content.h"
#include "tests/unit/verify/verify_fixture.h"

namespace haul::verify {
namespace {

constexpr std::array<unsigned char, 3> kMasks = {0x01, 0x80, 0xFF};

// Five regions that differ and compress well, so that there is a map and little to go through.
std::string text_with_map() {
  std::string text;
  for (int line = 0; text.size() < 33'000; ++line) text += format("{:>63}\n", line / 128);
  return text;
}

support::FileTree three_small_files() {
  return {{"PG_VERSION", "15\n"},
          {"base/1/1259", support::pattern(700, 7)},
          {"base/1/2619", text_with_map()}};
}

// One backup, and what a killed one left beside it.
void fill(DamagedRepository& repository) {
  repository.back_up(three_small_files());
  repository.leave_killed_backup({{"base/1/1260", support::pattern(300, 9)}});
}

class EveryByte : public testing::TestWithParam<std::string> {};

TEST_P(EveryByte, ChangeIsFound) {
  DamagedRepository repository;
  fill(repository);
  const std::vector<std::string> keys = repository.keys_with(GetParam());
  ASSERT_FALSE(keys.empty());
  for (const std::string& key : keys) {
    const std::string sound = repository.get(key);
    for (std::size_t i = 0; i < sound.size(); ++i) {
      for (const unsigned char mask : kMasks) {
        std::string damaged = sound;
        damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ mask);
        repository.put(key, damaged);
        const auto report = repository.verify();
        ASSERT_TRUE(report) << key << " byte " << i << ": " << report.error().message();
        ASSERT_FALSE(report->sound()) << key << " byte " << i << " mask " << int{mask};
      }
    }
    repository.put(key, sound);
  }
  EXPECT_TRUE(repository.verify().value().sound());
}

INSTANTIATE_TEST_SUITE_P(Objects, EveryByte,
                         testing::Values("/packs/", "/index/", "/snapshots/", "/leases/"),
                         [](const auto& object) {
                           return object.param.substr(1, object.param.size() - 2);
                         });

TEST(EveryByteOfConfig, ChangeIsFound) {
  DamagedRepository repository;
  fill(repository);
  const std::string key(repository::kConfigKey);
  const std::string sound = repository.get(key);
  for (std::size_t i = 0; i < sound.size(); ++i) {
    for (const unsigned char mask : kMasks) {
      std::string damaged = sound;
      damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ mask);
      repository.put(key, damaged);
      const auto report = repository.verify_anew();
      ASSERT_FALSE(report) << "byte " << i;
      const ErrorCode code = report.error().code();
      ASSERT_TRUE(code == ErrorCode::corrupt || code == ErrorCode::unsupported)
          << "byte " << i << ": " << report.error().message();
    }
  }
}

// The objects above are all there are.
TEST(EveryByteOfConfig, EveryObjectIsOfAKindThatWasChanged) {
  DamagedRepository repository;
  fill(repository);
  for (const std::string& key : repository.keys()) {
    const bool known = key == repository::kConfigKey || key.contains("/packs/") ||
                       key.contains("/index/") || key.contains("/snapshots/") ||
                       key.contains("/leases/");
    EXPECT_TRUE(known) << key;
  }
}

}  // namespace
}  // namespace haul::verify
