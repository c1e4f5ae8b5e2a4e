// Sorts any number of records in bounded memory: sorted runs on disk, merged.
//
// Records are compared as bytes, like memcmp; what has another order is added with a key in front
// (engine/backup/path_key.h). Nothing touches a disk before the memory is full.
//
// Units:    sizes are bytes.
// Memory:   options.memory_bytes while records come; while they go, that or one block of 64 KiB for
//           each of at most kMergeWaysMax runs, whichever was needed.
// Threads:  one owner at a time.
// Errors:   those of the spool, naming it: no_space, permission, io (also: a run does not read back
//           as it was written).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/types.h"
#include "io/directory.h"

namespace haul::backup {

// Opens the directory for temporary files; asked only when there is something to write.
using SpoolOpener = std::function<Result<std::unique_ptr<io::Directory>>()>;

struct SorterOptions {
  SpoolOpener spool;
  std::size_t memory_bytes = 64 << 20;  // from kSorterMemoryMin to 4 GiB
};

inline constexpr std::size_t kSorterMemoryMin = 256 * 1024;
inline constexpr std::size_t kSorterRecordMax = 32 * 1024;

class RecordSorter {
 public:
  explicit RecordSorter(SorterOptions options);
  ~RecordSorter();
  RecordSorter(RecordSorter&&) noexcept;
  RecordSorter& operator=(RecordSorter&&) noexcept;

  // The record has at most kSorterRecordMax bytes; asserted.
  Status add(ByteSpan record);
  // No more records will be added. Called once, before next().
  Status finish();
  // The next record in order, valid until the next call; nothing after the last.
  Result<std::optional<ByteSpan>> next();

  // What it holds at this moment.
  std::size_t memory_bytes() const;

 private:
  class Work;
  std::unique_ptr<Work> work_;
};

}  // namespace haul::backup
