#include "engine/postgres/changed_blocks.h"

#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace haul::postgres {
namespace {

constexpr RelationId kRelation{1663, 5, 16384};
constexpr RelationFork kMain{kRelation, Fork::main};
constexpr RelationFork kVm{kRelation, Fork::vm};

std::set<std::uint32_t> ones(const LeafBlocks& blocks) {
  std::set<std::uint32_t> numbers;
  for (std::uint32_t i = 0; i < kLeafBlocks; ++i) {
    if (blocks[i]) numbers.insert(i);
  }
  return numbers;
}

TEST(ForkOf, IsWhatWalCallsTheFile) {
  const auto fork = [](const char* path) { return fork_of(parse_relation_file(path).value()); };
  EXPECT_EQ(fork("global/1262"), (RelationFork{{1664, 0, 1262}, Fork::main}));
  EXPECT_EQ(fork("base/5/16384_vm"), (RelationFork{{1663, 5, 16384}, Fork::vm}));
  EXPECT_EQ(fork("base/5/16384.7"), (RelationFork{{1663, 5, 16384}, Fork::main}));
  EXPECT_EQ(fork("pg_tblspc/16385/PG_15_202209061/5/16390_init"),
            (RelationFork{{16385, 5, 16390}, Fork::init}));
  EXPECT_EQ(fork_of({"elsewhere", 1, Fork::main, 0}), std::nullopt);
}

TEST(ChangedBlocks, BlocksAreToldByForkAndLeaf) {
  ChangedBlocks changed;
  EXPECT_TRUE(changed.empty());
  for (const std::uint32_t block : {0U, 511U, 512U, 131'072U}) changed.add(kMain, block);
  changed.add(kVm, 7);

  EXPECT_FALSE(changed.empty());
  EXPECT_EQ(ones(changed.blocks_from(kMain, 0)), (std::set<std::uint32_t>{0, 511}));
  EXPECT_EQ(ones(changed.blocks_from(kMain, 512)), (std::set<std::uint32_t>{0}));
  EXPECT_EQ(ones(changed.blocks_from(kMain, 131'072)), (std::set<std::uint32_t>{0}));
  EXPECT_TRUE(changed.blocks_from(kMain, 1024).none());
  EXPECT_EQ(ones(changed.blocks_from(kVm, 0)), (std::set<std::uint32_t>{7}));
  EXPECT_EQ(changed.limit_of(kMain), kNoBlock);
  EXPECT_TRUE(changed.touches(kMain));
  EXPECT_FALSE(changed.touches({kRelation, Fork::init}));
  EXPECT_FALSE(changed.touches({{1663, 6, 16384}, Fork::main}));
}

TEST(ChangedBlocks, AnyBlockMayBeTheFirstAskedFor) {
  ChangedBlocks changed;
  for (const std::uint32_t block : {99U, 100U, 511U, 512U, 611U, 612U}) changed.add(kMain, block);
  EXPECT_EQ(ones(changed.blocks_from(kMain, 100)), (std::set<std::uint32_t>{0, 411, 412, 511}));
}

TEST(ChangedBlocks, FromTheLimitOnAllHaveChanged) {
  ChangedBlocks changed;
  changed.add(kMain, 3);
  changed.add(kMain, 700);
  changed.lower_limit(kMain, 600);
  changed.add(kMain, 800);

  EXPECT_EQ(changed.limit_of(kMain), 600U);
  EXPECT_EQ(ones(changed.blocks_from(kMain, 0)), (std::set<std::uint32_t>{3}));
  const LeafBlocks second = changed.blocks_from(kMain, 512);
  EXPECT_FALSE(second[87]);
  EXPECT_TRUE(second[88]);
  EXPECT_EQ(second.count(), 512U - 88);
  EXPECT_TRUE(changed.blocks_from(kMain, 1024).all());
  EXPECT_TRUE(changed.blocks_from(kMain, 4'000'000'000U).all());
}

TEST(ChangedBlocks, LimitAtTheStartOfALeafLeavesTheOneBeforeAlone) {
  ChangedBlocks changed;
  changed.lower_limit(kMain, 512);
  EXPECT_TRUE(changed.blocks_from(kMain, 0).none());
  EXPECT_TRUE(changed.blocks_from(kMain, 512).all());
  EXPECT_EQ(changed.blocks_from(kMain, 511).count(), 511U);
}

TEST(ChangedBlocks, LimitsOnlyGoDown) {
  ChangedBlocks changed;
  changed.lower_limit(kMain, 5);
  changed.lower_limit(kMain, 9);
  EXPECT_EQ(changed.limit_of(kMain), 5U);
  changed.lower_limit(kMain, 2);
  EXPECT_EQ(changed.limit_of(kMain), 2U);
}

TEST(ChangedBlocks, DatabaseCoversWhatIsKnownAndWhatIsNot) {
  ChangedBlocks changed;
  changed.add(kMain, 3);
  changed.add_database({1663, 5});
  const RelationFork unknown{{1663, 5, 99}, Fork::vm};
  const RelationFork elsewhere{{1700, 5, 16384}, Fork::main};
  changed.add(elsewhere, 1);

  for (const RelationFork& fork : {kMain, unknown}) {
    EXPECT_EQ(changed.limit_of(fork), 0U);
    EXPECT_TRUE(changed.touches(fork));
    EXPECT_TRUE(changed.blocks_from(fork, 5120).all());
  }
  EXPECT_EQ(changed.limit_of(elsewhere), kNoBlock);
  ASSERT_EQ(changed.forks().size(), 1U);
  EXPECT_EQ(changed.forks()[0].fork, elsewhere);
  EXPECT_EQ(changed.databases(), (std::set<DatabaseInTablespace>{{1663, 5}}));
}

TEST(ChangedBlocks, ForkFirstSeenAfterItsDatabaseIsCovered) {
  ChangedBlocks changed;
  changed.add_database({1663, 5});
  changed.add(kMain, 3);
  EXPECT_EQ(changed.limit_of(kMain), 0U);
  EXPECT_TRUE(changed.forks().empty());
}

TEST(ChangedBlocks, ForksAscendWithoutWhatTheLimitCovers) {
  ChangedBlocks changed;
  changed.add(kVm, 0);
  changed.add(kMain, 2000);
  changed.add(kMain, 10);
  changed.add(kMain, 5000);
  changed.lower_limit(kMain, 2000);
  const std::vector<ChangedFork> forks = changed.forks();
  ASSERT_EQ(forks.size(), 2U);
  EXPECT_EQ(forks[0].fork, kMain);
  EXPECT_EQ(forks[0].limit, 2000U);
  ASSERT_EQ(forks[0].leaves.size(), 1U);
  EXPECT_EQ(forks[0].leaves[0].number, 0U);
  EXPECT_EQ(ones(forks[0].leaves[0].blocks), (std::set<std::uint32_t>{10}));
  EXPECT_EQ(forks[1].fork, kVm);
}

// What is added to a set, and to a plain model of it.
struct Step {
  enum class Kind : std::uint8_t { add, limit, database } kind = Kind::add;
  RelationFork fork;
  std::uint32_t block = 0;
};

void take(ChangedBlocks& changed, const Step& step) {
  switch (step.kind) {
    case Step::Kind::add: changed.add(step.fork, step.block); break;
    case Step::Kind::limit: changed.lower_limit(step.fork, step.block); break;
    case Step::Kind::database:
      changed.add_database({step.fork.relation.tablespace, step.fork.relation.database});
      break;
  }
}

struct Model {
  std::set<std::pair<RelationFork, std::uint32_t>> blocks;
  std::map<RelationFork, std::uint32_t> limits;
  std::set<DatabaseInTablespace> databases;

  void take(const Step& step) {
    const RelationId& id = step.fork.relation;
    switch (step.kind) {
      case Step::Kind::add: blocks.insert({step.fork, step.block}); break;
      case Step::Kind::limit: {
        const auto [at, made] = limits.emplace(step.fork, step.block);
        at->second = std::min(at->second, step.block);
        break;
      }
      case Step::Kind::database: databases.insert({id.tablespace, id.database}); break;
    }
  }

  bool has(const RelationFork& fork, std::uint32_t block) const {
    if (databases.contains({fork.relation.tablespace, fork.relation.database})) return true;
    const auto limit = limits.find(fork);
    if (limit != limits.end() && block >= limit->second) return true;
    return blocks.contains({fork, block});
  }
};

std::uint32_t below(std::mt19937& random, std::uint32_t limit) {
  return static_cast<std::uint32_t>(random() % limit);
}

std::vector<Step> random_steps(std::mt19937& random, int count) {
  std::vector<Step> steps;
  for (int i = 0; i < count; ++i) {
    Step step;
    step.fork.relation = {1663, 1 + below(random, 5), 1 + below(random, 30)};
    step.fork.fork = below(random, 4) == 0 ? Fork::vm : Fork::main;
    step.block = below(random, below(random, 2) == 0 ? 5000 : 100);
    if (below(random, 20) == 0) step.kind = Step::Kind::limit;
    if (below(random, 400) == 0) step.kind = Step::Kind::database;
    steps.push_back(step);
  }
  return steps;
}

TEST(ChangedBlocks, PartsMergedInAnyOrderAreTheWhole) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    const std::vector<Step> steps = random_steps(random, 3000);
    ChangedBlocks whole;
    Model model;
    std::array<ChangedBlocks, 4> parts;
    for (const Step& step : steps) {
      take(whole, step);
      model.take(step);
      take(parts[random() % parts.size()], step);
    }
    ChangedBlocks merged;
    std::ranges::shuffle(parts, random);
    for (const ChangedBlocks& part : parts) merged.merge(part);
    ASSERT_TRUE(merged == whole) << seed;

    ChangedBlocks copied;
    for (const DatabaseInTablespace& place : whole.databases()) copied.add_database(place);
    for (const ChangedFork& fork : whole.forks()) {
      if (fork.limit != kNoBlock) copied.lower_limit(fork.fork, fork.limit);
      for (const ChangedLeaf& leaf : fork.leaves) copied.add(fork.fork, leaf);
    }
    ASSERT_TRUE(copied == whole) << seed;

    for (int i = 0; i < 200; ++i) {
      const RelationFork& fork = steps[random() % steps.size()].fork;
      const std::uint32_t first = below(random, 5200);
      const LeafBlocks blocks = merged.blocks_from(fork, first);
      for (std::uint32_t at = 0; at < kLeafBlocks; ++at) {
        ASSERT_EQ(blocks[at], model.has(fork, first + at)) << seed << " block " << first + at;
      }
    }
  }
}

}  // namespace
}  // namespace haul::postgres
