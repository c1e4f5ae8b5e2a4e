// The fuzz targets as a plain test: their seeds, what the fuzzer found worth keeping
// (corpus/TARGET/), and seeded random mutations of both.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <ostream>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/fuzz/target.h"

namespace haul::fuzz {

void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

namespace {

std::filesystem::path corpus_of(std::string_view target) {
  return std::filesystem::path(HAUL_FUZZ_CORPUS) / target;
}

Input read_input(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const ByteSpan bytes = bytes_of(text);
  return {bytes.begin(), bytes.end()};
}

std::vector<Input> inputs_of(const Target& target) {
  std::vector<Input> inputs = target.seeds();
  std::vector<std::filesystem::path> files;
  std::error_code absent;
  for (const auto& file : std::filesystem::directory_iterator(corpus_of(target.name), absent)) {
    files.push_back(file.path());
  }
  std::ranges::sort(files);
  for (const auto& file : files) inputs.push_back(read_input(file));
  return inputs;
}

// Flips, overwrites, cuts, grows or repeats a part.
void mutate(Input& input, SeededRandom& random) {
  const auto below = [&](std::size_t limit) {
    return static_cast<std::ptrdiff_t>(random.next() % std::max<std::size_t>(1, limit));
  };
  if (input.empty()) input.push_back(std::byte{0});
  static constexpr std::byte kInteresting[] = {std::byte{0x00}, std::byte{0x01}, std::byte{0x7F},
                                               std::byte{0x80}, std::byte{0xFF}};
  switch (random.next() % 6) {
    case 0:
      input[random.next() % input.size()] ^= static_cast<std::byte>(1U << random.next() % 8);
      break;
    case 1: input[random.next() % input.size()] = kInteresting[random.next() % 5]; break;
    case 2: input[random.next() % input.size()] = static_cast<std::byte>(random.next()); break;
    case 3: input.resize(static_cast<std::size_t>(below(input.size()))); break;
    case 4:
      input.insert(input.begin() + below(input.size()), static_cast<std::byte>(random.next()));
      break;
    default: {
      const Input part(input.begin() + below(input.size()), input.end());
      input.insert(input.begin() + below(input.size()), part.begin(), part.end());
      input.resize(std::min<std::size_t>(input.size(), 64 * 1024));
    }
  }
}

// Another one each time, so that many runs see more than one; PGHAUL_TEST_SEED repeats a run. It is
// printed first, because a crash leaves nothing that could be said afterwards.
std::uint64_t seed_of_this_run() {
  static const std::uint64_t seed = [] {
    const char* given = std::getenv("PGHAUL_TEST_SEED");
    const std::uint64_t chosen =
        given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
    std::cout << "PGHAUL_TEST_SEED=" << chosen << std::endl;
    return chosen;
  }();
  return seed;
}

class Fuzz : public ::testing::TestWithParam<Target> {};

TEST_P(Fuzz, SeedsAndCorpusAreTakenCalmly) {
  const std::vector<Input> inputs = inputs_of(GetParam());
  ASSERT_FALSE(inputs.empty());
  for (const Input& input : inputs) GetParam().run(input);
}

TEST_P(Fuzz, RandomMutationsAreTakenCalmly) {
  const std::vector<Input> inputs = inputs_of(GetParam());
  const std::uint64_t count = std::getenv("PGHAUL_TEST_FULL") != nullptr ? 200'000 : 1'000;
  SeededRandom random(seed_of_this_run());
  for (std::uint64_t i = 0; i < count; ++i) {
    Input input = inputs[random.next() % inputs.size()];
    for (std::uint64_t steps = 1 + random.next() % 4; steps > 0; --steps) mutate(input, random);
    GetParam().run(input);
  }
}

TEST_P(Fuzz, NoInputIsTakenCalmly) { GetParam().run({}); }

INSTANTIATE_TEST_SUITE_P(Targets, Fuzz, ::testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& target) { return std::string(target.param.name); });

// Gives the fuzzer something to begin with: PGHAUL_WRITE_SEEDS names a directory to fill.
TEST(FuzzSeeds, AreWrittenWhereAsked) {
  const char* directory = std::getenv("PGHAUL_WRITE_SEEDS");
  if (directory == nullptr) GTEST_SKIP() << "PGHAUL_WRITE_SEEDS is not set";
  for (const Target& target : targets()) {
    const auto folder = std::filesystem::path(directory) / target.name;
    std::filesystem::create_directories(folder);
    int number = 0;
    for (const Input& seed : target.seeds()) {
      std::ofstream file(folder / ("seed-" + std::to_string(++number)), std::ios::binary);
      file << text_of(seed);
      ASSERT_TRUE(file.good());
    }
  }
}

}  // namespace
}  // namespace haul::fuzz
