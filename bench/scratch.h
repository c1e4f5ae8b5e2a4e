// Where benchmarks put their files, and how much data they take: set by the environment, so that a
// test can run them for an instant.
//
// Units:    sizes are bytes.
// Threads:  a value, one owner at a time.
// Errors:   usage (a variable that is no positive number), and those of the file system.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "io/directory.h"

namespace haul::bench {

// PGHAUL_BENCH_FILE_MIB: how much a benchmark reads or writes in one pass; 1 GiB without it.
Result<std::uint64_t> file_size_bytes();
// PGHAUL_BENCH_ENTRIES: how many chunks the index holds; 10 million without it.
Result<std::uint64_t> index_entries();

// A directory of the program's own beneath PGHAUL_BENCH_DIR (/var/tmp without it), gone with all
// that is in it when the object goes; after a kill it stays as "pghaul-bench-...".
class ScratchDirectory {
 public:
  static Result<ScratchDirectory> open();
  ~ScratchDirectory();
  ScratchDirectory(ScratchDirectory&& other) noexcept;
  ScratchDirectory& operator=(ScratchDirectory&&) = delete;

  const std::string& path() const { return path_; }
  // As a root, for files and object stores.
  Result<std::unique_ptr<io::Directory>> directory() const;

 private:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;  // empty once moved from
};

// Fills a range with bytes that no codec shrinks, the same for the same seed.
void fill_incompressible(MutableByteSpan into, std::uint64_t seed);

}  // namespace haul::bench
