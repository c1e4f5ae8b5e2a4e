// Which pages of the source are read when WAL tells what has changed since the parent.
//
// Pages that WAL names are read, and what WAL does not tell of: forks other than the main one,
// other files, pages that the parent does not have or knew to be bad, files that were written to
// and that no WAL names. Of the rest a random sample is read and compared: the audit.
//
// Units:    pages are numbered within their leaf, blocks within their fork.
// Memory:   that of the changes.
// Threads:  immutable once made; const functions from any thread.
// Errors:   none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "engine/postgres/backup_facts.h"
#include "engine/postgres/changed_blocks.h"
#include "engine/repository/overlay.h"

namespace haul::backup {

class ChangeSelection;

// For one file: which of its pages are read. The rest is the parent's.
class FileSelection {
 public:
  // Of a leaf with so many pages, those that may have changed.
  repository::PageSet named(std::uint64_t leaf, std::uint32_t pages) const;
  // Those that are read to make sure that they have not.
  repository::PageSet audited(std::uint64_t leaf, std::uint32_t pages) const;
  // WAL names some of its relation's pages.
  bool is_touched() const { return touched_; }

 private:
  friend class ChangeSelection;
  std::uint32_t first_block_of(std::uint64_t leaf) const;

  const ChangeSelection* selection_ = nullptr;
  postgres::RelationFork fork_;
  std::uint32_t first_block_ = 0;
  bool touched_ = false;
  std::uint64_t audit_ppm_ = 0;
  const std::set<std::uint32_t>* bad_blocks_ = nullptr;
};

class ChangeSelection {
 public:
  // Of the pages that are not read otherwise, how many of a million are; apart for relations of
  // which other pages have changed. Runs of neighbours, where it is few.
  struct AuditRate {
    std::uint64_t in_changed_ppm = 0;
    std::uint64_t in_unchanged_ppm = 0;
  };

  // What has changed since `parent` began; `began_ns` is when that was by the clock of the files,
  // since 1970. Without an audit.
  ChangeSelection(postgres::ChangedBlocks changes, const postgres::BackupFacts& parent,
                  std::int64_t began_ns, std::uint64_t seed);
  void set_audit(AuditRate rate) { rate_ = rate; }

  const postgres::ChangedBlocks& changes() const { return changes_; }
  // For a file whose first block is that of its fork, and that was last written to then. Nothing:
  // all of it is read.
  std::optional<FileSelection> select(const std::string& path, std::uint32_t first_block,
                                      std::int64_t modified_ns) const;

 private:
  friend class FileSelection;

  const postgres::ChangedBlocks changes_;
  std::map<std::string, std::set<std::uint32_t>, std::less<>> bad_blocks_;  // by path
  const std::int64_t began_ns_;
  AuditRate rate_;
  const std::uint64_t seed_;
};

// The audit that reads so many of all pages, in relations of which some have changed at least their
// share, and at least half of it.
ChangeSelection::AuditRate audit_rate(std::uint64_t pages, std::uint64_t pages_in_changed,
                                      std::uint64_t pages_in_unchanged);

}  // namespace haul::backup
