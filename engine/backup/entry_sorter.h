// The entries of a backup in the order of its tree, in bounded memory.
//
// Files are finished in any order; the tree takes them sorted.
//
// Memory:   see RecordSorter.
// Threads:  one owner at a time.
// Errors:   those of RecordSorter; usage (an entry that breaks the format); corrupt (two entries
//           with one path, which no tree may have).
#pragma once

#include <cstdint>

#include "engine/backup/record_sorter.h"
#include "engine/repository/tree_store.h"

namespace haul::backup {

class EntrySorter {
 public:
  // `chunk_pages` is the repository's: what an entry's content is checked against.
  EntrySorter(std::uint32_t chunk_pages, SorterOptions options)
      : chunk_pages_(chunk_pages), records_(std::move(options)) {}

  Status add(const repository::TreeEntry& entry);
  std::uint64_t entries() const { return entries_; }
  // Calls `visit` with every entry in entry_less() order; stops at its first failure. Called once,
  // after the last add().
  Status drain(const repository::EntryVisitor& visit);

 private:
  const std::uint32_t chunk_pages_;
  RecordSorter records_;
  std::uint64_t entries_ = 0;
};

}  // namespace haul::backup
