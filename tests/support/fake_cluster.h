// A cluster that was shut down cleanly, made of nothing: enough of a data directory for an offline
// backup.
//
// Release 15, pages of 8 KiB with checksums, WAL segments of 1 MiB. Relation pages carry valid
// checksums and contents that depend on file, block and a seed.
//
// Threads:  functions; one owner of the directory at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/directory.h"

namespace haul::support {

inline constexpr std::uint64_t kFakeSystemIdentifier = 7'300'000'000'000'000'001;
inline constexpr std::uint32_t kFakePageSize = 8192;
inline constexpr std::uint32_t kFakeWalSegmentSize = 1U << 20;
inline constexpr std::string_view kFakeCheckpointSegment = "000000010000000000000003";

// A valid page: its LSN, and bytes that depend on the seed; the checksum is that of `block`.
std::string fake_page(std::uint32_t block, std::uint64_t lsn, std::uint64_t seed);
// Pages `first_block` and following.
std::string fake_relation(std::uint32_t pages, std::uint32_t first_block, std::uint64_t seed);

// global/pg_control of that cluster.
std::string fake_control_file(std::uint64_t system_identifier = kFakeSystemIdentifier);
// A segment with valid page headers; for the segment of this number on timeline 1.
std::string fake_wal_segment(std::uint64_t number,
                             std::uint64_t system_identifier = kFakeSystemIdentifier);

// Directories, PG_VERSION, control file, the WAL segment of the checkpoint, and a few small
// catalogs in base/1.
Status make_fake_cluster(io::Directory& root);

}  // namespace haul::support
