// Copies the planned files: reads many regions at once, checks pages, digests, stores what is new.
//
// Each worker keeps a ring full of region reads and takes leaf after leaf of file after file from
// one dispatcher, so that one large segment is spread over all workers and many small files are
// read at once.
//
// Units:    sizes are bytes.
// Memory:   kRegionsInFlight regions per worker, 32 bytes per leaf of open files, about 300 bytes
// per file. Threads:  copy_files() blocks its caller and owns the workers. Errors:   io and
// permission of the source (naming the file), those of the chunk writer, interrupted.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "engine/backup/backup.h"
#include "engine/backup/file_store.h"
#include "engine/backup/page_check.h"
#include "engine/backup/source_plan.h"
#include "engine/repository/chunk_writer.h"

namespace haul::backup {

struct CopyContext {
  const SourceTree* source = nullptr;
  repository::ChunkWriter* writer = nullptr;
  repository::PackStream* metadata = nullptr;
  PageCheckContext pages;
  compress::CodecChoice codec;
  std::size_t workers = 1;
  Clock* clock = nullptr;
  std::stop_token stop;
  BackupProgress* progress = nullptr;
  // Asked between reads: the server's session must be alive for the copy to be worth anything.
  std::function<Status()> health;
};

struct CopyResult {
  std::vector<repository::TreeEntry> entries;  // of files, any order
  PageCheckResult pages;
  std::uint64_t source_bytes = 0;
  std::uint64_t hole_bytes = 0;
  std::uint64_t files_vanished = 0;
  // See SourcePlan::vanished_with_directory.
  std::vector<std::string> vanished_with_directory;
  std::string io_backend;
};

Result<CopyResult> copy_files(const CopyContext& context, const SourcePlan& plan);

}  // namespace haul::backup
