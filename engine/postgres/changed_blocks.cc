#include "engine/postgres/changed_blocks.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "base/assert.h"

namespace haul::postgres {
namespace {

// Tables take the low bits.
std::uint64_t mixed(std::uint64_t value) {
  value ^= value >> 32;
  value *= 0x9E37'79B9'7F4A'7C15;
  return value ^ (value >> 29);
}

std::uint64_t hash_of(const RelationFork& fork) {
  const RelationId& id = fork.relation;
  const std::uint64_t place = mixed((std::uint64_t{id.tablespace} << 32) | id.database);
  return mixed(place ^ ((std::uint64_t{id.relfilenode} << 2) | std::to_underlying(fork.fork)));
}

std::uint64_t hash_of(std::uint32_t fork, std::uint32_t leaf) {
  return mixed((std::uint64_t{fork} << 32) | leaf);
}

// The oids of what PostgreSQL calls pg_default and pg_global.
constexpr std::uint32_t kDefaultTablespace = 1663;
constexpr std::uint32_t kGlobalTablespace = 1664;
constexpr std::string_view kTablespaces = "pg_tblspc/";

std::optional<std::uint32_t> parse_oid(std::string_view text) {
  std::uint32_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

// Those from `first` on.
LeafBlocks blocks_behind(std::uint32_t first) { return ~LeafBlocks() << first; }

// Those of a leaf that lie beyond a limit.
LeafBlocks beyond(std::uint32_t limit, std::uint32_t leaf) {
  const std::uint32_t leaf_of_limit = limit / kLeafBlocks;
  if (limit == kNoBlock || leaf < leaf_of_limit) return {};
  return leaf == leaf_of_limit ? blocks_behind(limit % kLeafBlocks) : ~LeafBlocks();
}

}  // namespace

// "global", "base/5", "pg_tblspc/16385/PG_15_202209061/5".
std::optional<RelationFork> fork_of(const RelationFile& file) {
  if (!is_relation_directory(file.directory)) return std::nullopt;
  RelationFork fork{{kGlobalTablespace, 0, file.relfilenode}, file.fork};
  std::string_view directory = file.directory;
  if (directory == "global") return fork;
  const auto database = parse_oid(directory.substr(directory.rfind('/') + 1));
  std::optional<std::uint32_t> tablespace = kDefaultTablespace;
  if (directory.starts_with(kTablespaces)) {
    directory.remove_prefix(kTablespaces.size());
    tablespace = parse_oid(directory.substr(0, directory.find('/')));
  }
  if (!database || !tablespace) return std::nullopt;
  fork.relation.tablespace = *tablespace;
  fork.relation.database = *database;
  return fork;
}

std::uint32_t ChangedBlocks::find_fork(const RelationFork& fork) const {
  return fork_table_.find(hash_of(fork),
                          [&](std::uint32_t number) { return forks_[number].id == fork; });
}

std::uint32_t ChangedBlocks::fork_number(const RelationFork& fork) {
  const std::uint32_t found = find_fork(fork);
  if (found != NumberTable::kNone) return found;
  forks_.push_back({fork, covers(fork.relation) ? 0 : kNoBlock});
  return fork_table_.add([&](std::uint32_t number) { return hash_of(forks_[number].id); });
}

std::uint32_t ChangedBlocks::find_leaf(std::uint32_t fork, std::uint32_t leaf) const {
  return leaf_table_.find(hash_of(fork, leaf), [&](std::uint32_t number) {
    const LeafEntry& found = leaf_at(number);
    return found.fork == fork && found.number == leaf;
  });
}

ChangedBlocks::LeafEntry& ChangedBlocks::leaf_of(std::uint32_t fork, std::uint32_t leaf) {
  const std::uint32_t found = find_leaf(fork, leaf);
  if (found != NumberTable::kNone) return leaf_at(found);
  if (leaf_count_ % kLeavesPerPiece == 0) leaves_.push_back(std::make_unique<Piece>());
  LeafEntry& made = leaf_at(leaf_count_++);
  made.fork = fork;
  made.number = leaf;
  leaf_table_.add([&](std::uint32_t number) {
    const LeafEntry& known = leaf_at(number);
    return hash_of(known.fork, known.number);
  });
  return made;
}

bool ChangedBlocks::covers(const RelationId& relation) const {
  return databases_.contains({relation.tablespace, relation.database});
}

void ChangedBlocks::add(const RelationFork& fork, std::uint32_t block) {
  HAUL_ASSERT(block != kNoBlock);
  const std::uint32_t number = fork_number(fork);
  if (block >= forks_[number].limit) return;
  leaf_of(number, block / kLeafBlocks).blocks[block % kLeafBlocks] = true;
}

void ChangedBlocks::lower_limit(const RelationFork& fork, std::uint32_t block) {
  std::uint32_t& limit = forks_[fork_number(fork)].limit;
  limit = std::min(limit, block);
}

void ChangedBlocks::add_database(const DatabaseInTablespace& place) {
  if (!databases_.insert(place).second) return;
  for (ForkEntry& fork : forks_) {
    if (covers(fork.id.relation)) fork.limit = 0;
  }
}

void ChangedBlocks::add(const RelationFork& fork, const ChangedLeaf& leaf) {
  leaf_of(fork_number(fork), leaf.number).blocks |= leaf.blocks;
}

void ChangedBlocks::merge(const ChangedBlocks& other) {
  for (const DatabaseInTablespace& place : other.databases_) add_database(place);
  std::vector<std::uint32_t> numbers;
  numbers.reserve(other.forks_.size());
  for (const ForkEntry& fork : other.forks_) {
    numbers.push_back(fork_number(fork.id));
    forks_[numbers.back()].limit = std::min(forks_[numbers.back()].limit, fork.limit);
  }
  for (std::uint32_t i = 0; i < other.leaf_count_; ++i) {
    const LeafEntry& leaf = other.leaf_at(i);
    const std::uint32_t fork = numbers[leaf.fork];
    // What lies beyond the limit alone needs no leaf.
    if (beyond(forks_[fork].limit, leaf.number).all()) continue;
    leaf_of(fork, leaf.number).blocks |= leaf.blocks;
  }
}

std::uint32_t ChangedBlocks::limit_of(const RelationFork& fork) const {
  const std::uint32_t number = find_fork(fork);
  if (number != NumberTable::kNone) return forks_[number].limit;
  return covers(fork.relation) ? 0 : kNoBlock;
}

bool ChangedBlocks::touches(const RelationFork& fork) const {
  return find_fork(fork) != NumberTable::kNone || covers(fork.relation);
}

LeafBlocks ChangedBlocks::leaf_blocks(std::uint32_t fork, std::uint32_t leaf) const {
  const LeafBlocks behind = beyond(forks_[fork].limit, leaf);
  const std::uint32_t number = find_leaf(fork, leaf);
  return number == NumberTable::kNone ? behind : leaf_at(number).blocks | behind;
}

LeafBlocks ChangedBlocks::blocks_from(const RelationFork& fork, std::uint32_t first) const {
  const std::uint32_t number = find_fork(fork);
  if (number == NumberTable::kNone) return covers(fork.relation) ? ~LeafBlocks() : LeafBlocks();
  const std::uint32_t leaf = first / kLeafBlocks;
  const std::uint32_t offset = first % kLeafBlocks;
  LeafBlocks blocks = leaf_blocks(number, leaf) >> offset;
  if (offset != 0) blocks |= leaf_blocks(number, leaf + 1) << (kLeafBlocks - offset);
  return blocks;
}

std::vector<ChangedFork> ChangedBlocks::forks() const {
  std::vector<ChangedFork> result(forks_.size());
  for (std::size_t i = 0; i < forks_.size(); ++i) {
    result[i].fork = forks_[i].id;
    result[i].limit = forks_[i].limit;
  }
  for (std::uint32_t i = 0; i < leaf_count_; ++i) {
    const LeafEntry& leaf = leaf_at(i);
    ChangedFork& fork = result[leaf.fork];
    const LeafBlocks below = leaf.blocks & ~beyond(fork.limit, leaf.number);
    if (below.any()) fork.leaves.push_back({leaf.number, below});
  }
  std::erase_if(result, [&](const ChangedFork& fork) { return covers(fork.fork.relation); });
  std::ranges::sort(result, {}, &ChangedFork::fork);
  for (ChangedFork& fork : result) std::ranges::sort(fork.leaves, {}, &ChangedLeaf::number);
  return result;
}

}  // namespace haul::postgres
