// Makes a leaf out of the parent's and of what has changed since: which pages are stored anew and
// together, and the map that comes of it.
//
// Changed pages are gathered, in page order, into chunks of their own (delta chunks), unless so
// much of a region has changed that it is stored whole. Chunks of which a fifth or less is left are
// given up: their last pages are stored anew as well. As it takes four changed pages to make one
// such page, all backups together store at most a quarter more for that; chunks that a leaf draws
// on stay about two times its pages. Leaves in which little changes compared with others put
// small chunks together, too (docs/decisions/0013-emptied-chunks.md).
//
// Units:    pages and regions are numbered within their leaf.
// Memory:   a few bytes per page of one leaf.
// Threads:  functions over values.
// Errors:   none.
// Format:   docs/format.md, "Maps".
#pragma once

#include <bitset>
#include <optional>
#include <vector>

#include "engine/repository/parent_map.h"

namespace haul::repository {

using PageSet = std::bitset<kLeafPages>;

enum class PageFate : std::uint8_t {
  kept,     // as the parent has it
  changed,  // stored anew
  zero,     // zeros that the parent does not have as a hole
};

struct NewChunk {
  std::vector<std::uint16_t> pages;  // ascending
  bool is_region = false;            // exactly one region, in place
};

struct LeafPlan {
  std::vector<PageFate> fates;  // by page; pages that move are `changed`
  std::vector<NewChunk> chunks;
  std::uint32_t changed_pages = 0;  // without those that only move
};

// How much changes in a leaf.
enum class Pace : std::uint8_t {
  usual,
  quiet,  // so little that storing twice as much would hardly show in the whole backup
};

// The pages whose chunks should be given up, were they at hand.
PageSet pages_to_move(const ParentLeaf& parent, std::span<const PageFate> fates,
                      std::uint32_t chunk_pages, Pace pace);

// `parent` is null where the leaf is new; then no page is `kept`. `at_hand` are the pages whose
// bytes could be stored anew.
LeafPlan plan_leaf(const ParentLeaf* parent, std::vector<PageFate> fates, const PageSet& at_hand,
                   std::uint32_t chunk_pages, Pace pace);

struct NewLeaf {
  // Where a chunk of the map's table comes from: one of the plan's, or one of the parent's.
  struct Origin {
    bool is_new = false;
    std::size_t number = 0;
    std::uint32_t pages = 0;  // that the leaf draws from it
  };

  MapLeaf map;
  std::vector<Origin> origins;  // by map.chunks
};

// `ids` are those of the plan's chunks; `digests` by region, nothing where it is not known.
NewLeaf make_leaf(const ParentLeaf* parent, const LeafPlan& plan, std::span<const ChunkId> ids,
                  std::span<const std::optional<Digest>> digests, std::uint32_t chunk_pages);

}  // namespace haul::repository
