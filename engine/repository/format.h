// The constants of the repository format and the header that opens every object.
//
// Units:    sizes are bytes; integers are little endian.
// Errors:   corrupt (not this kind of object), unsupported (a version, suite or flag this program
//           does not know).
// Format:   docs/format.md; any change means a new version, a golden file and a decision record.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/types.h"
#include "engine/repository/byte_io.h"

namespace haul::repository {

inline constexpr std::uint16_t kFormatVersion = 1;
// Plain: no sealing. Other suites come with encryption.
inline constexpr std::uint16_t kSuitePlain = 0;
inline constexpr std::string_view kObjectMagic = "PGHAUL\r\n";
inline constexpr std::size_t kObjectHeaderBytes = 32;

inline constexpr std::uint32_t kChunkPagesDefault = 32;
inline constexpr std::uint32_t kChunkPagesMin = 8;
inline constexpr std::uint32_t kChunkPagesMax = 128;
// Leaves cover 512 pages whatever the chunk size.
inline constexpr std::uint32_t kLeafPages = 512;
inline constexpr std::uint32_t kPageSizeMin = 1024;
inline constexpr std::uint32_t kPageSizeMax = 32768;
// Metadata chunks are cut into pages of this size, whatever the cluster's block size.
inline constexpr std::uint32_t kMetadataPageSize = 8192;
inline constexpr std::uint32_t kMetadataChunkBytesMax = 256 * 1024;
// No chunk, of any kind, decodes to more: bounds every allocation that stored lengths can ask for.
inline constexpr std::uint32_t kChunkBytesMax = kChunkPagesMax * kPageSizeMax;

inline constexpr std::uint64_t kPackSizeDefault = 64ULL << 20;
inline constexpr std::uint64_t kPackSizeMin = 1ULL << 20;
inline constexpr std::uint64_t kPackSizeMax = 256ULL << 20;

enum class ObjectKind : std::uint16_t {
  config = 1,
  lease = 2,
  snapshot = 3,
  pack = 4,
  index_run = 5,
  wal_segment = 6,
  wal_file = 7,
  wal_piece = 8,
  wal_changes = 9,
  record = 10
};

const char* to_string(ObjectKind kind);

struct RepositoryId {
  std::array<std::byte, 16> bytes{};

  auto operator<=>(const RepositoryId&) const = default;
};

// 32 lowercase hexadecimal digits.
std::string to_string(const RepositoryId& id);

// The first 32 bytes of every object.
void write_object_header(ByteWriter& out, ObjectKind kind, const RepositoryId& repository);

// Reads and checks magic, kind, version, suite and flags. The repository id is returned, for the
// caller to compare.
Result<RepositoryId> read_object_header(ByteReader& in, ObjectKind kind, const std::string& key);

}  // namespace haul::repository
