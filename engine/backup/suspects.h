// Pages that are not as the parent has them though no WAL from before the backup's begin says so.
//
// Most often they changed while they were read, in a way that they do not show themselves: the
// relation was truncated or dropped, a page was read half written. WAL of the backup's own time
// tells, which is there once the server has ended the backup. What it does not tell of either is a
// change that was missed.
//
// Units:    pages are numbered within their leaf.
// Memory:   about 150 bytes per leaf that has such a page.
// Threads:  one owner at a time.
// Errors:   inconsistent.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "base/result.h"
#include "engine/postgres/changed_blocks.h"
#include "engine/repository/overlay.h"

namespace haul::backup {

class Suspects {
 public:
  // Of a leaf of the relation file at `path`, whose first page is that block of its fork.
  void add(const std::string& path, std::uint32_t first_block, const repository::PageSet& pages);
  bool empty() const { return leaves_.empty(); }

  // Fails when `changes` does not name one of them.
  Status check(const postgres::ChangedBlocks& changes) const;

 private:
  std::map<std::pair<std::string, std::uint32_t>, repository::PageSet> leaves_;
};

}  // namespace haul::backup
