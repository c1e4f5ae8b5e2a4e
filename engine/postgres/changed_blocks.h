// The blocks of relations that have changed, by fork.
//
// Besides single blocks a fork has a limit: from there on every block counts as changed. It is 0
// where the fork was made or dropped, the new length where it was truncated, and 0 for all forks of
// a database that came or went. Limits only go down and blocks are only added, so that neither
// order nor repetition matters: the sets of parts of the WAL, merged, are that of the whole.
//
// Units:    blocks count from the beginning of their fork, across its files; a leaf is 512 of them.
// Memory:   for each leaf touched at most 96 bytes, one and a half bits per block; for each fork
//           64. A cluster of 10 TiB of which every leaf is touched takes 250 MiB.
// Threads:  one owner at a time while it is added to; const functions from any thread.
// Errors:   none.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <compare>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "engine/postgres/file_grammar.h"
#include "engine/postgres/wal_record.h"

namespace haul::postgres {

inline constexpr std::uint32_t kLeafBlocks = 512;
using LeafBlocks = std::bitset<kLeafBlocks>;

// InvalidBlockNumber: no block has it. As a limit: there is none.
inline constexpr std::uint32_t kNoBlock = 0xFFFF'FFFF;

struct RelationFork {
  RelationId relation;
  Fork fork = Fork::main;

  auto operator<=>(const RelationFork&) const = default;
};

// Of a file of parse_relation_file(); nothing where the directory is not that of relations.
std::optional<RelationFork> fork_of(const RelationFile& file);

// The part of a database that lies in one tablespace.
struct DatabaseInTablespace {
  std::uint32_t tablespace = 0;
  std::uint32_t database = 0;

  auto operator<=>(const DatabaseInTablespace&) const = default;
};

// One leaf of a fork, whose blocks below the limit are told one by one.
struct ChangedLeaf {
  std::uint32_t number = 0;
  LeafBlocks blocks;

  bool operator==(const ChangedLeaf&) const = default;
};

struct ChangedFork {
  RelationFork fork;
  std::uint32_t limit = kNoBlock;
  std::vector<ChangedLeaf> leaves;  // ascending, none of them empty

  bool operator==(const ChangedFork&) const = default;
};

// Slots of a hash table of numbers, whose owner has what the numbers stand for.
class NumberTable {
 public:
  static constexpr std::uint32_t kNone = 0xFFFF'FFFF;

  // The number for which `is_it` says so, of those with this hash; kNone where there is none.
  template <typename IsIt>
  std::uint32_t find(std::uint64_t hash, const IsIt& is_it) const {
    if (slots_.empty()) return kNone;
    for (std::size_t at = hash & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
      if (slots_[at] == kNone || is_it(slots_[at])) return slots_[at];
    }
  }

  // Adds the next number; `hash_of` tells the hash of any number that is in the table.
  template <typename HashOf>
  std::uint32_t add(const HashOf& hash_of) {
    const std::uint32_t number = size_++;
    if (std::size_t{size_} * 2 > slots_.size()) {
      slots_.assign(std::max<std::size_t>(16, slots_.size() * 2), kNone);
      for (std::uint32_t i = 0; i < number; ++i) put(hash_of(i), i);
    }
    put(hash_of(number), number);
    return number;
  }

 private:
  void put(std::uint64_t hash, std::uint32_t number) {
    std::size_t at = hash & (slots_.size() - 1);
    while (slots_[at] != kNone) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = number;
  }

  std::vector<std::uint32_t> slots_;
  std::uint32_t size_ = 0;
};

class ChangedBlocks {
 public:
  // `block` is not kNoBlock.
  void add(const RelationFork& fork, std::uint32_t block);
  // All blocks from this one on.
  void lower_limit(const RelationFork& fork, std::uint32_t block);
  // All blocks of all forks.
  void add_database(const DatabaseInTablespace& place);
  void add(const RelationFork& fork, const ChangedLeaf& leaf);
  void merge(const ChangedBlocks& other);

  bool empty() const { return forks_.empty() && databases_.empty(); }

  // Whether any block of the fork has changed, or would if it existed.
  bool touches(const RelationFork& fork) const;
  // kNoBlock where there is none.
  std::uint32_t limit_of(const RelationFork& fork) const;
  // Of 512 blocks from `first` on those that have changed, those beyond the limit among them.
  LeafBlocks blocks_from(const RelationFork& fork, std::uint32_t first) const;

  const std::set<DatabaseInTablespace>& databases() const { return databases_; }
  // Ascending; without the forks of databases(). Two sets are equal when these are.
  std::vector<ChangedFork> forks() const;

  bool operator==(const ChangedBlocks& other) const {
    return databases_ == other.databases_ && forks() == other.forks();
  }

 private:
  struct ForkEntry {
    RelationFork id;
    std::uint32_t limit = kNoBlock;
  };
  struct LeafEntry {
    std::uint32_t fork = 0;
    std::uint32_t number = 0;
    LeafBlocks blocks;
  };
  static constexpr std::size_t kLeavesPerPiece = 1024;
  using Piece = std::array<LeafEntry, kLeavesPerPiece>;

  std::uint32_t find_fork(const RelationFork& fork) const;
  std::uint32_t fork_number(const RelationFork& fork);
  std::uint32_t find_leaf(std::uint32_t fork, std::uint32_t leaf) const;
  LeafEntry& leaf_of(std::uint32_t fork, std::uint32_t leaf);
  LeafEntry& leaf_at(std::uint32_t number) const {
    return (*leaves_[number / kLeavesPerPiece])[number % kLeavesPerPiece];
  }
  bool covers(const RelationId& relation) const;
  LeafBlocks leaf_blocks(std::uint32_t fork, std::uint32_t leaf) const;

  std::vector<ForkEntry> forks_;
  NumberTable fork_table_;
  // Pieces, so that nothing is copied as their number grows.
  std::vector<std::unique_ptr<Piece>> leaves_;
  std::uint32_t leaf_count_ = 0;
  NumberTable leaf_table_;
  std::set<DatabaseInTablespace> databases_;
};

}  // namespace haul::postgres
