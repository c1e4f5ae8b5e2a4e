#include "engine/postgres/control_file.h"

#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "base/format.h"
#include "engine/postgres/crc32c.h"
#include "engine/postgres/internal/little_endian.h"
#include "engine/postgres/internal/read_file.h"
#include "engine/postgres/wal_segment.h"

namespace haul::postgres {
namespace {

using std::chrono::milliseconds;

constexpr int kReadAttemptsMax = 100;
constexpr milliseconds kReadRetryDelay{10};
constexpr milliseconds kStableDamageAge{50};

// Field offsets of ControlFileData. They are the same in all formats read here: 1700 put a field of
// the checkpoint into what had been padding, 1800 a flag between the checksum version and the
// nonce, which only moves the CRC.
constexpr std::size_t kSystemIdentifierAt = 0;
constexpr std::size_t kControlVersionAt = 8;
constexpr std::size_t kCatalogVersionAt = 12;
constexpr std::size_t kStateAt = 16;
constexpr std::size_t kModifiedAt = 24;
constexpr std::size_t kCheckpointAt = 32;
constexpr std::size_t kCheckpointRedoAt = 40;
constexpr std::size_t kTimelineAt = 48;
constexpr std::size_t kPreviousTimelineAt = 52;
constexpr std::size_t kFullPageWritesAt = 56;
constexpr std::size_t kCheckpointTimeAt = 104;
constexpr std::size_t kMinRecoveryPointAt = 136;
constexpr std::size_t kMinRecoveryTimelineAt = 144;
constexpr std::size_t kBackupStartAt = 152;
constexpr std::size_t kBackupEndAt = 160;
constexpr std::size_t kBackupEndRequiredAt = 168;
constexpr std::size_t kWalLevelAt = 172;
constexpr std::size_t kWalLogHintsAt = 176;
constexpr std::size_t kFloatFormatAt = 208;
constexpr std::size_t kBlockSizeAt = 216;
constexpr std::size_t kRelationSegmentAt = 220;
constexpr std::size_t kWalBlockSizeAt = 224;
constexpr std::size_t kWalSegmentSizeAt = 228;
constexpr std::size_t kChecksumVersionAt = 252;

// What PostgreSQL stores to recognise another floating-point format.
constexpr double kFloatFormat = 1234567.0;

struct Release {
  int server_major;
  std::uint32_t control_version;
  std::uint32_t catalog_version;
  std::size_t crc_at;
};

constexpr std::array<Release, 6> kReleases = {{
    {13, 1300, 202007201, 288},
    {14, 1300, 202107181, 288},
    {15, 1300, 202209061, 288},
    {16, 1300, 202307071, 288},
    {17, 1700, 202406281, 288},
    {18, 1800, 202506291, 292},
}};

Error corrupt(const std::string& what) {
  return {ErrorCode::corrupt, format("{}: {}", kControlFilePath, what)};
}

Error unsupported(const std::string& what) {
  return Error(ErrorCode::unsupported, format("{}: {}", kControlFilePath, what),
               format("PostgreSQL {} to {} are supported", kServerMajorMin, kServerMajorMax));
}

Result<Release> find_release(ByteSpan bytes) {
  const auto control_version = load<std::uint32_t>(bytes, kControlVersionAt);
  const auto catalog_version = load<std::uint32_t>(bytes, kCatalogVersionAt);
  bool known_format = false;
  for (const Release& release : kReleases) {
    if (release.control_version != control_version) continue;
    known_format = true;
    if (release.catalog_version == catalog_version) return release;
  }
  if (known_format) {
    return unsupported(format("catalog version {} is of no supported release", catalog_version));
  }
  if (control_version % 65536 == 0 && control_version != 0) {
    return unsupported("written on a machine with another byte order");
  }
  return unsupported(format("format version {} is not known", control_version));
}

bool is_size_between(std::uint32_t size_bytes, std::uint32_t least, std::uint32_t most) {
  return std::has_single_bit(size_bytes) && size_bytes >= least && size_bytes <= most;
}

// A CRC only proves that the bytes are what was written; nothing later divides by a zero from here.
Status check_fields(const ControlFile& file, ByteSpan bytes) {
  if (load<std::uint32_t>(bytes, kStateAt) > std::to_underlying(DatabaseState::in_production)) {
    return corrupt(format("impossible state {}", load<std::uint32_t>(bytes, kStateAt)));
  }
  if (load<std::uint32_t>(bytes, kWalLevelAt) > std::to_underlying(WalLevel::logical)) {
    return corrupt(format("impossible wal_level {}", load<std::uint32_t>(bytes, kWalLevelAt)));
  }
  if (std::bit_cast<double>(load<std::uint64_t>(bytes, kFloatFormatAt)) != kFloatFormat) {
    return unsupported("written on a machine with another floating-point format");
  }
  if (!is_size_between(file.block_size_bytes, 1024, 32768)) {
    return corrupt(format("impossible block size {}", file.block_size_bytes));
  }
  if (file.relation_segment_blocks == 0) return corrupt("impossible relation segment size 0");
  if (!is_size_between(file.wal_block_size_bytes, 1024, 65536)) {
    return corrupt(format("impossible WAL block size {}", file.wal_block_size_bytes));
  }
  if (!is_valid_wal_segment_size(file.wal_segment_size_bytes)) {
    return corrupt(format("impossible WAL segment size {}", file.wal_segment_size_bytes));
  }
  if (file.timeline.value == 0) return corrupt("impossible timeline 0");
  if (file.system_identifier == 0) return corrupt("impossible system identifier 0");
  if (file.data_checksum_version > 1) {
    return unsupported(format("data checksum version {} is not known", file.data_checksum_version));
  }
  return ok();
}

ControlFile decode(ByteSpan bytes, const Release& release) {
  ControlFile file;
  const auto lsn_at = [&](std::size_t at) { return Lsn{load<std::uint64_t>(bytes, at)}; };
  const auto timeline_at = [&](std::size_t at) {
    return TimelineId{load<std::uint32_t>(bytes, at)};
  };
  const auto time_at = [&](std::size_t at) {
    return static_cast<std::int64_t>(load<std::uint64_t>(bytes, at));
  };
  const auto flag_at = [&](std::size_t at) { return load<std::uint8_t>(bytes, at) != 0; };

  file.system_identifier = load<std::uint64_t>(bytes, kSystemIdentifierAt);
  file.pg_control_version = release.control_version;
  file.catalog_version = release.catalog_version;
  file.server_major = release.server_major;
  file.state = static_cast<DatabaseState>(load<std::uint32_t>(bytes, kStateAt));
  file.modified_s = time_at(kModifiedAt);
  file.checkpoint = lsn_at(kCheckpointAt);
  file.checkpoint_redo = lsn_at(kCheckpointRedoAt);
  file.timeline = timeline_at(kTimelineAt);
  file.previous_timeline = timeline_at(kPreviousTimelineAt);
  file.full_page_writes = flag_at(kFullPageWritesAt);
  file.checkpoint_time_s = time_at(kCheckpointTimeAt);
  file.min_recovery_point = lsn_at(kMinRecoveryPointAt);
  file.min_recovery_timeline = timeline_at(kMinRecoveryTimelineAt);
  file.backup_start_point = lsn_at(kBackupStartAt);
  file.backup_end_point = lsn_at(kBackupEndAt);
  file.backup_end_required = flag_at(kBackupEndRequiredAt);
  file.wal_level = static_cast<WalLevel>(load<std::uint32_t>(bytes, kWalLevelAt));
  file.wal_log_hints = flag_at(kWalLogHintsAt);
  file.block_size_bytes = load<std::uint32_t>(bytes, kBlockSizeAt);
  file.relation_segment_blocks = load<std::uint32_t>(bytes, kRelationSegmentAt);
  file.wal_block_size_bytes = load<std::uint32_t>(bytes, kWalBlockSizeAt);
  file.wal_segment_size_bytes = load<std::uint32_t>(bytes, kWalSegmentSizeAt);
  file.data_checksum_version = load<std::uint32_t>(bytes, kChecksumVersionAt);
  return file;
}

}  // namespace

std::string_view to_string(DatabaseState state) {
  switch (state) {
    case DatabaseState::starting_up: return "starting up";
    case DatabaseState::shut_down: return "shut down";
    case DatabaseState::shut_down_in_recovery: return "shut down in recovery";
    case DatabaseState::shutting_down: return "shutting down";
    case DatabaseState::in_crash_recovery: return "in crash recovery";
    case DatabaseState::in_archive_recovery: return "in archive recovery";
    case DatabaseState::in_production: return "in production";
  }
  return "unknown";
}

std::string_view to_string(WalLevel level) {
  switch (level) {
    case WalLevel::minimal: return "minimal";
    case WalLevel::replica: return "replica";
    case WalLevel::logical: return "logical";
  }
  return "unknown";
}

int server_major_of_catalog(std::uint32_t catalog_version) {
  for (const Release& release : kReleases) {
    if (release.catalog_version == catalog_version) return release.server_major;
  }
  return 0;
}

std::uint32_t catalog_version_of_server(int server_major) {
  for (const Release& release : kReleases) {
    if (release.server_major == server_major) return release.catalog_version;
  }
  return 0;
}

Result<ControlFile> parse_control_file(ByteSpan bytes) {
  if (bytes.size() != kControlFileSizeBytes) {
    return corrupt(format("{} bytes instead of {}", bytes.size(), kControlFileSizeBytes));
  }
  const Release release = HAUL_TRY(find_release(bytes));
  const auto stored = load<std::uint32_t>(bytes, release.crc_at);
  if (crc32c(bytes.first(release.crc_at)) != stored) return corrupt("checksum does not match");
  ControlFile file = decode(bytes, release);
  HAUL_TRY(check_fields(file, bytes));
  return file;
}

Result<ControlFileImage> read_control_file(io::Directory& data_directory, Clock& clock) {
  std::vector<std::byte> bad;
  std::chrono::nanoseconds bad_since{0};
  for (int attempt = 0; attempt < kReadAttemptsMax; ++attempt) {
    if (attempt > 0) clock.sleep_for(kReadRetryDelay);
    std::vector<std::byte> bytes =
        HAUL_TRY(read_small_file(data_directory, kControlFilePath, kControlFileSizeBytes));
    Result<ControlFile> parsed = parse_control_file(bytes);
    if (parsed) return ControlFileImage{std::move(parsed).take(), std::move(bytes)};
    if (parsed.error().code() != ErrorCode::corrupt) return std::move(parsed).take_error();

    const std::chrono::nanoseconds now = clock.now_monotonic();
    if (attempt > 0 && bytes == bad) {
      if (now - bad_since >= kStableDamageAge) return std::move(parsed).take_error();
    } else {
      bad = std::move(bytes);
      bad_since = now;
    }
  }
  return corrupt(format("no consistent copy in {} reads", kReadAttemptsMax));
}

}  // namespace haul::postgres
