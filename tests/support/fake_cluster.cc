#include "tests/support/fake_cluster.h"

#include <cstring>

#include "base/format.h"
#include "base/random.h"
#include "engine/postgres/crc32c.h"
#include "engine/postgres/page_checksum.h"
#include "tests/support/file_content.h"

namespace haul::support {

namespace {

constexpr std::uint64_t kCheckpoint = 3 * kFakeWalSegmentSize + 0x28;

template <typename T>
void put(std::string& image, std::size_t offset, T value) {
  std::memcpy(image.data() + offset, &value, sizeof value);
}

}  // namespace

std::string fake_page(std::uint32_t block, std::uint64_t lsn, std::uint64_t seed) {
  std::string page = pattern(kFakePageSize, seed * 1'000'003 + block);
  put<std::uint32_t>(page, 0, static_cast<std::uint32_t>(lsn >> 32));
  put<std::uint32_t>(page, 4, static_cast<std::uint32_t>(lsn));
  put<std::uint16_t>(page, 12, 24);             // pd_lower
  put<std::uint16_t>(page, 14, 512);            // pd_upper
  put<std::uint16_t>(page, 16, kFakePageSize);  // pd_special
  put<std::uint16_t>(page, 18,
                     static_cast<std::uint16_t>(kFakePageSize | 4));  // size and layout version
  put<std::uint16_t>(page, 8, postgres::page_checksum(bytes_of(page), block));
  return page;
}

std::string fake_relation(std::uint32_t pages, std::uint32_t first_block, std::uint64_t seed) {
  std::string content;
  for (std::uint32_t i = 0; i < pages; ++i)
    content += fake_page(first_block + i, 0x2000000 + i, seed);
  return content;
}

// Offsets of ControlFileData, format 1300.
std::string fake_control_file(std::uint64_t system_identifier) {
  std::string image(8192, '\0');
  put<std::uint64_t>(image, 0, system_identifier);
  put<std::uint32_t>(image, 8, 1300);
  put<std::uint32_t>(image, 12, 202209061);
  put<std::uint32_t>(image, 16, 1);  // shut down
  put<std::int64_t>(image, 24, 1'764'000'001);
  put<std::uint64_t>(image, 32, kCheckpoint);
  put<std::uint64_t>(image, 40, kCheckpoint);
  put<std::uint32_t>(image, 48, 1);
  put<std::uint32_t>(image, 52, 1);
  put<std::uint8_t>(image, 56, 1);
  put<std::int64_t>(image, 104, 1'764'000'002);
  put<std::uint32_t>(image, 172, 1);  // wal_level: replica
  put<std::uint32_t>(image, 204, 8);
  put<double>(image, 208, 1234567.0);
  put<std::uint32_t>(image, 216, kFakePageSize);
  put<std::uint32_t>(image, 220, 131072);
  put<std::uint32_t>(image, 224, 8192);
  put<std::uint32_t>(image, 228, kFakeWalSegmentSize);
  put<std::uint32_t>(image, 252, 1);
  put<std::uint32_t>(image, 288, postgres::crc32c(bytes_of(image).first(288)));
  return image;
}

std::string fake_wal_segment(std::uint64_t number, std::uint64_t system_identifier) {
  std::string segment(kFakeWalSegmentSize, '\0');
  for (std::size_t offset = 0; offset < segment.size(); offset += 8192) {
    put<std::uint16_t>(segment, offset, 0xD110);
    put<std::uint16_t>(segment, offset + 2, offset == 0 ? 2 : 0);  // XLP_LONG_HEADER
    put<std::uint32_t>(segment, offset + 4, 1);
    put<std::uint64_t>(segment, offset + 8, number * kFakeWalSegmentSize + offset);
  }
  put<std::uint64_t>(segment, 24, system_identifier);
  put<std::uint32_t>(segment, 32, kFakeWalSegmentSize);
  put<std::uint32_t>(segment, 36, 8192);
  return segment;
}

Status make_fake_cluster(io::Directory& root) {
  for (const char* directory : {"base",
                                "base/1",
                                "base/5",
                                "global",
                                "pg_commit_ts",
                                "pg_dynshmem",
                                "pg_logical",
                                "pg_logical/mappings",
                                "pg_logical/snapshots",
                                "pg_multixact",
                                "pg_multixact/members",
                                "pg_multixact/offsets",
                                "pg_notify",
                                "pg_replslot",
                                "pg_serial",
                                "pg_snapshots",
                                "pg_stat",
                                "pg_stat_tmp",
                                "pg_subtrans",
                                "pg_tblspc",
                                "pg_twophase",
                                "pg_wal",
                                "pg_wal/archive_status",
                                "pg_xact"}) {
    HAUL_TRY(root.make_directory(directory, 0700));
  }
  HAUL_TRY(write_file(root, "PG_VERSION", "15\n"));
  HAUL_TRY(write_file(root, "postgresql.conf", "port = 5432\n"));
  HAUL_TRY(write_file(root, "global/pg_control", fake_control_file()));
  HAUL_TRY(write_file(root, "global/1262", fake_relation(1, 0, 1262)));
  HAUL_TRY(write_file(root, "base/1/PG_VERSION", "15\n"));
  HAUL_TRY(write_file(root, "base/1/1259", fake_relation(3, 0, 1259)));
  HAUL_TRY(write_file(root, "base/1/1259_fsm", fake_relation(3, 0, 12590)));
  HAUL_TRY(write_file(root, "base/5/PG_VERSION", "15\n"));
  HAUL_TRY(write_file(root, "base/5/16384", fake_relation(40, 0, 16384)));
  HAUL_TRY(write_file(root, "pg_xact/0000", std::string(8192, '\x55')));
  return write_file(root, "pg_wal/" + std::string(kFakeCheckpointSegment), fake_wal_segment(3));
}

}  // namespace haul::support
