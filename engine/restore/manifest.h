// backup_manifest, from which the stock pg_verifybackup judges what was placed.
//
// Units:    sizes are bytes.
// Memory:   a buffer of 64 KiB; files are written as they come.
// Threads:  one owner at a time.
// Errors:   those of writing.
// Format:   PostgreSQL's "Backup Manifest Format": version 1 to release 16, version 2 from 17 on.
//           Checksums are CRC32C in memory order on a little-endian machine, as the server's own
//           tools write and compare them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/types.h"
#include "compress/sha256.h"
#include "io/file.h"

namespace haul::restore {

inline constexpr std::string_view kManifestName = "backup_manifest";

struct ManifestFile {
  std::string path;  // beneath the data directory, tablespaces through their links
  std::uint64_t size_bytes = 0;
  std::uint32_t crc32c = 0;
};

struct ManifestHeader {
  int server_major = 0;
  std::uint64_t system_identifier = 0;
  UtcTime modified;  // of every file: when it was restored
};

// The WAL that a server has to replay.
struct WalRange {
  TimelineId timeline;
  Lsn start;
  Lsn stop;
};

class ManifestWriter {
 public:
  // `file` is empty, buffered, and outlives the writer; the caller syncs it.
  ManifestWriter(io::File& file, const ManifestHeader& header);

  Status add(const ManifestFile& file);
  // `wal` may be null.
  Status finish(const WalRange* wal);

 private:
  Status flush();

  io::File* const file_;
  std::string modified_;
  std::string buffer_;
  std::uint64_t offset_ = 0;
  compress::Sha256 checksum_;
  std::uint64_t files_ = 0;
};

}  // namespace haul::restore
