#include "engine/postgres/control_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>

#include <gtest/gtest.h>

#include "engine/postgres/crc32c.h"
#include "tests/support/refusing_file.h"

namespace haul::postgres {
namespace {

using Image = std::vector<std::byte>;

// Written by initdb of PostgreSQL 15 with data checksums on.
Image golden_image() {
  const std::string here = __FILE__;
  const std::string path = here.substr(0, here.rfind("unit/postgres/")) + "golden/pg_control-15";
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const ByteSpan span = bytes_of(bytes);
  return {span.begin(), span.end()};
}

template <typename T>
void put(Image& image, std::size_t offset, T value) {
  std::memcpy(image.data() + offset, &value, sizeof value);
}

void seal(Image& image, std::size_t crc_at) {
  put(image, crc_at, crc32c(ByteSpan(image).first(crc_at)));
}

struct Format {
  int server_major;
  std::uint32_t control_version;
  std::uint32_t catalog_version;
  std::size_t crc_at;
};

constexpr Format kFormats[] = {{13, 1300, 202007201, 288}, {14, 1300, 202107181, 288},
                               {15, 1300, 202209061, 288}, {16, 1300, 202307071, 288},
                               {17, 1700, 202406281, 288}, {18, 1800, 202506291, 292}};

// Every field set to something of its own, laid out as ControlFileData of that release.
Image built_image(const Format& format) {
  Image image(kControlFileSizeBytes);
  put<std::uint64_t>(image, 0, 7711653421140677923);
  put<std::uint32_t>(image, 8, format.control_version);
  put<std::uint32_t>(image, 12, format.catalog_version);
  put<std::uint32_t>(image, 16, 5);             // state: in archive recovery
  put<std::int64_t>(image, 24, 1764000001);     // time
  put<std::uint64_t>(image, 32, 0x11'0000028);  // checkPoint
  put<std::uint64_t>(image, 40, 0x10'0000060);  // checkPointCopy.redo
  put<std::uint32_t>(image, 48, 4);             // ThisTimeLineID
  put<std::uint32_t>(image, 52, 3);             // PrevTimeLineID
  put<std::uint8_t>(image, 56, 1);              // fullPageWrites
  if (format.control_version >= 1700) put<std::uint32_t>(image, 60, 1);  // its wal_level
  put<std::int64_t>(image, 104, 1764000002);                             // checkPointCopy.time
  put<std::uint64_t>(image, 128, 1000);                                  // unloggedLSN
  put<std::uint64_t>(image, 136, 0x12'0000000);                          // minRecoveryPoint
  put<std::uint32_t>(image, 144, 5);                                     // minRecoveryPointTLI
  put<std::uint64_t>(image, 152, 0x13'0000000);                          // backupStartPoint
  put<std::uint64_t>(image, 160, 0x14'0000000);                          // backupEndPoint
  put<std::uint8_t>(image, 168, 1);                                      // backupEndRequired
  put<std::uint32_t>(image, 172, 2);                                     // wal_level: logical
  put<std::uint8_t>(image, 176, 1);                                      // wal_log_hints
  put<std::uint32_t>(image, 204, 8);                                     // maxAlign
  put<double>(image, 208, 1234567.0);                                    // floatFormat
  put<std::uint32_t>(image, 216, 4096);                                  // blcksz
  put<std::uint32_t>(image, 220, 6);                                     // relseg_size
  put<std::uint32_t>(image, 224, 16384);                                 // xlog_blcksz
  put<std::uint32_t>(image, 228, 1U << 20);                              // xlog_seg_size
  put<std::uint32_t>(image, 252, 1);                                     // data_checksum_version
  if (format.control_version == 1800) put<std::uint8_t>(image, 256, 1);  // char signedness
  seal(image, format.crc_at);
  return image;
}

Image changed_image(const std::function<void(Image&)>& change) {
  Image image = golden_image();
  change(image);
  seal(image, 288);
  return image;
}

ErrorCode code_of(const Image& image) {
  const Result<ControlFile> parsed = parse_control_file(image);
  EXPECT_FALSE(parsed);
  return parsed ? ErrorCode::usage : parsed.error().code();
}

TEST(ControlFile, GoldenImageOfRelease15IsRead) {
  const Result<ControlFile> parsed = parse_control_file(golden_image());
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->system_identifier, 7711653421140677923U);
  EXPECT_EQ(parsed->pg_control_version, 1300U);
  EXPECT_EQ(parsed->catalog_version, 202209061U);
  EXPECT_EQ(parsed->server_major, 15);
  EXPECT_EQ(parsed->state, DatabaseState::shut_down);
  EXPECT_EQ(parsed->modified_s, 1795509230);
  EXPECT_EQ(to_string(parsed->checkpoint), "0/17529B0");
  EXPECT_EQ(to_string(parsed->checkpoint_redo), "0/17529B0");
  EXPECT_EQ(parsed->timeline, TimelineId{1});
  EXPECT_EQ(parsed->previous_timeline, TimelineId{1});
  EXPECT_TRUE(parsed->full_page_writes);
  EXPECT_FALSE(parsed->min_recovery_point.valid());
  EXPECT_FALSE(parsed->backup_end_required);
  EXPECT_EQ(parsed->wal_level, WalLevel::replica);
  EXPECT_FALSE(parsed->wal_log_hints);
  EXPECT_EQ(parsed->block_size_bytes, 8192U);
  EXPECT_EQ(parsed->relation_segment_blocks, 131072U);
  EXPECT_EQ(parsed->wal_block_size_bytes, 8192U);
  EXPECT_EQ(parsed->wal_segment_size_bytes, 16777216U);
  EXPECT_EQ(parsed->data_checksum_version, 1U);
  EXPECT_TRUE(parsed->data_checksums());
  EXPECT_TRUE(parsed->cleanly_shut_down());
  EXPECT_EQ(parsed->relation_segment_size_bytes(), std::uint64_t{1} << 30);
}

TEST(ControlFile, EveryReleaseIsReadFieldByField) {
  for (const Format& format : kFormats) {
    SCOPED_TRACE(format.server_major);
    const Result<ControlFile> parsed = parse_control_file(built_image(format));
    ASSERT_TRUE(parsed) << parsed.error().message();
    EXPECT_EQ(parsed->server_major, format.server_major);
    EXPECT_EQ(parsed->pg_control_version, format.control_version);
    EXPECT_EQ(parsed->catalog_version, format.catalog_version);
    EXPECT_EQ(parsed->system_identifier, 7711653421140677923U);
    EXPECT_EQ(parsed->state, DatabaseState::in_archive_recovery);
    EXPECT_EQ(parsed->modified_s, 1764000001);
    EXPECT_EQ(parsed->checkpoint, Lsn{0x11'0000028});
    EXPECT_EQ(parsed->checkpoint_redo, Lsn{0x10'0000060});
    EXPECT_EQ(parsed->timeline, TimelineId{4});
    EXPECT_EQ(parsed->previous_timeline, TimelineId{3});
    EXPECT_TRUE(parsed->full_page_writes);
    EXPECT_EQ(parsed->checkpoint_time_s, 1764000002);
    EXPECT_EQ(parsed->min_recovery_point, Lsn{0x12'0000000});
    EXPECT_EQ(parsed->min_recovery_timeline, TimelineId{5});
    EXPECT_EQ(parsed->backup_start_point, Lsn{0x13'0000000});
    EXPECT_EQ(parsed->backup_end_point, Lsn{0x14'0000000});
    EXPECT_TRUE(parsed->backup_end_required);
    EXPECT_EQ(parsed->wal_level, WalLevel::logical);
    EXPECT_TRUE(parsed->wal_log_hints);
    EXPECT_EQ(parsed->block_size_bytes, 4096U);
    EXPECT_EQ(parsed->relation_segment_blocks, 6U);
    EXPECT_EQ(parsed->wal_block_size_bytes, 16384U);
    EXPECT_EQ(parsed->wal_segment_size_bytes, 1U << 20);
    EXPECT_EQ(parsed->data_checksum_version, 1U);
    EXPECT_FALSE(parsed->cleanly_shut_down());
  }
}

TEST(ControlFile, EveryFlippedByteUnderTheChecksumIsRefused) {
  for (const Format& format : kFormats) {
    const Image image = built_image(format);
    for (std::size_t at = 0; at < format.crc_at + 4; ++at) {
      Image damaged = image;
      damaged[at] ^= std::byte{0x40};
      EXPECT_FALSE(parse_control_file(damaged)) << format.server_major << " byte " << at;
    }
  }
}

TEST(ControlFile, AnotherLengthIsCorrupt) {
  Image image = golden_image();
  image.pop_back();
  EXPECT_EQ(code_of(image), ErrorCode::corrupt);
  image.resize(kControlFileSizeBytes + 1);
  EXPECT_EQ(code_of(image), ErrorCode::corrupt);
  EXPECT_EQ(code_of({}), ErrorCode::corrupt);
}

TEST(ControlFile, UnknownVersionsAreUnsupportedWithAHint) {
  const auto with_versions = [](std::uint32_t control, std::uint32_t catalog) {
    return changed_image([&](Image& image) {
      put(image, 8, control);
      put(image, 12, catalog);
    });
  };
  EXPECT_EQ(code_of(with_versions(1201, 201909212)), ErrorCode::unsupported);
  EXPECT_EQ(code_of(with_versions(1900, 202600000)), ErrorCode::unsupported);
  EXPECT_EQ(code_of(with_versions(1300, 202209060)), ErrorCode::unsupported);
  EXPECT_EQ(code_of(with_versions(1700, 202209061)), ErrorCode::unsupported);
  EXPECT_EQ(code_of(with_versions(0, 0)), ErrorCode::unsupported);
  EXPECT_NE(parse_control_file(with_versions(1201, 201909212)).error().hint(), "");
}

TEST(ControlFile, OtherByteOrderIsNamed) {
  const Image image =
      changed_image([](Image& bytes) { put(bytes, 8, std::byteswap(std::uint32_t{1300})); });
  const Result<ControlFile> parsed = parse_control_file(image);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code(), ErrorCode::unsupported);
  EXPECT_NE(parsed.error().message().find("byte order"), std::string::npos);
}

TEST(ControlFile, ImpossibleFieldsAreCorrupt) {
  const auto with = [](std::size_t at, std::uint32_t value) {
    return changed_image([&](Image& image) { put(image, at, value); });
  };
  EXPECT_EQ(code_of(with(16, 7)), ErrorCode::corrupt);   // state
  EXPECT_EQ(code_of(with(172, 3)), ErrorCode::corrupt);  // wal_level
  EXPECT_EQ(code_of(with(48, 0)), ErrorCode::corrupt);   // timeline
  EXPECT_EQ(code_of(with(216, 0)), ErrorCode::corrupt);  // block size
  EXPECT_EQ(code_of(with(216, 512)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(with(216, 65536)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(with(216, 8191)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(with(220, 0)), ErrorCode::corrupt);    // relation segment
  EXPECT_EQ(code_of(with(224, 512)), ErrorCode::corrupt);  // WAL block size
  EXPECT_EQ(code_of(with(224, 131072)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(with(228, 1U << 19)), ErrorCode::corrupt);  // WAL segment size
  EXPECT_EQ(code_of(with(228, 3U << 20)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(with(252, 2)), ErrorCode::unsupported);  // checksum version
}

TEST(ControlFile, SystemIdentifierZeroIsCorrupt) {
  EXPECT_EQ(code_of(changed_image([](Image& image) { put<std::uint64_t>(image, 0, 0); })),
            ErrorCode::corrupt);
}

TEST(ControlFile, OtherFloatingPointFormatIsUnsupported) {
  EXPECT_EQ(code_of(changed_image([](Image& image) { put<double>(image, 208, 7.5); })),
            ErrorCode::unsupported);
}

TEST(ControlFile, LimitsOfSizesAreAccepted) {
  for (const std::uint32_t size : {1024U, 32768U}) {
    EXPECT_TRUE(parse_control_file(changed_image([&](Image& image) { put(image, 216, size); })));
  }
  for (const std::uint32_t size : {1024U, 65536U}) {
    EXPECT_TRUE(parse_control_file(changed_image([&](Image& image) { put(image, 224, size); })));
  }
  EXPECT_TRUE(parse_control_file(changed_image([](Image& image) { put(image, 228, 1U << 30); })));
  EXPECT_TRUE(parse_control_file(changed_image([](Image& image) { put(image, 252, 0U); })));
}

TEST(ControlFile, CatalogNumbersAndReleasesMatch) {
  for (const Format& format : kFormats) {
    EXPECT_EQ(server_major_of_catalog(format.catalog_version), format.server_major);
    EXPECT_EQ(catalog_version_of_server(format.server_major), format.catalog_version);
  }
  EXPECT_EQ(server_major_of_catalog(201909212), 0);
  EXPECT_EQ(catalog_version_of_server(12), 0U);
  EXPECT_EQ(catalog_version_of_server(19), 0U);
}

TEST(ControlFile, StatesAreNamedAsByPostgres) {
  EXPECT_EQ(to_string(DatabaseState::starting_up), "starting up");
  EXPECT_EQ(to_string(DatabaseState::shut_down), "shut down");
  EXPECT_EQ(to_string(DatabaseState::shut_down_in_recovery), "shut down in recovery");
  EXPECT_EQ(to_string(DatabaseState::shutting_down), "shutting down");
  EXPECT_EQ(to_string(DatabaseState::in_crash_recovery), "in crash recovery");
  EXPECT_EQ(to_string(DatabaseState::in_archive_recovery), "in archive recovery");
  EXPECT_EQ(to_string(DatabaseState::in_production), "in production");
  EXPECT_EQ(to_string(WalLevel::minimal), "minimal");
}

// Gives the reads of one file one after the other, the last for ever; nothing else works.
class ScriptedDirectory final : public io::Directory {
 public:
  explicit ScriptedDirectory(std::function<Result<Image>(int)> script)
      : script_(std::move(script)) {}

  int reads = 0;

  Result<std::unique_ptr<io::File>> open_file(std::string_view path, io::Caching) override;
  Result<std::unique_ptr<io::File>> open_for_update(std::string_view, io::Caching) override {
    return refused();
  }
  Result<std::unique_ptr<io::File>> create_file(std::string_view, std::uint32_t,
                                                io::Caching) override {
    return refused();
  }
  Result<std::unique_ptr<io::File>> create_temporary(std::string_view, io::Caching) override {
    return refused();
  }
  Status publish(io::File&, std::string_view) override { return refused(); }
  Status publish_over(io::File&, std::string_view) override { return refused(); }
  Result<io::FileInfo> info(std::string_view) override { return refused(); }
  Status for_each_entry(std::string_view, const io::DirectoryEntryVisitor&) override {
    return refused();
  }
  Result<std::string> read_link(std::string_view) override { return refused(); }
  Status make_directory(std::string_view, std::uint32_t) override { return refused(); }
  Status make_link(const std::string&, std::string_view) override { return refused(); }
  Status set_mode(std::string_view, std::uint32_t) override { return refused(); }
  Status set_owner(std::string_view, std::uint32_t, std::uint32_t) override { return refused(); }
  Status remove_file(std::string_view) override { return refused(); }
  Status remove_directory(std::string_view) override { return refused(); }
  Status sync_directory(std::string_view) override { return refused(); }
  Status sync_file_system() override { return refused(); }
  bool can_sync_file_system() override { return false; }
  Result<std::unique_ptr<io::Directory>> open_directory(std::string_view) override {
    return refused();
  }
  const std::string& name() const override { return name_; }

 private:
  static Error refused() { return {ErrorCode::io, "not scripted"}; }

  std::function<Result<Image>(int)> script_;
  std::string name_ = "data";
};

class ImageFile final : public support::RefusingFile {
 public:
  explicit ImageFile(Image image) : image_(std::move(image)) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteSpan into) override {
    const std::size_t at = std::min<std::size_t>(offset, image_.size());
    const std::size_t count = std::min(into.size(), image_.size() - at);
    std::copy_n(image_.begin() + static_cast<std::ptrdiff_t>(at), count, into.begin());
    return count;
  }

 private:
  Image image_;
};

Result<std::unique_ptr<io::File>> ScriptedDirectory::open_file(std::string_view path, io::Caching) {
  EXPECT_EQ(path, "global/pg_control");
  return std::make_unique<ImageFile>(HAUL_TRY(script_(reads++)));
}

// Time passes only by sleeping.
class SleepClock final : public Clock {
 public:
  UtcTime now_utc() override { return {}; }
  std::chrono::nanoseconds now_monotonic() override { return now_; }
  void sleep_for(std::chrono::nanoseconds duration) override { now_ += duration; }

 private:
  std::chrono::nanoseconds now_{0};
};

// Half of one version and half of another, never twice the same.
Image torn_image(int read) {
  Image image = golden_image();
  put(image, 24, std::int64_t{read});
  return image;
}

TEST(ReadControlFile, GoodCopyIsReadOnceWithItsBytes) {
  ScriptedDirectory directory([](int) { return golden_image(); });
  SleepClock clock;
  const Result<ControlFileImage> read = read_control_file(directory, clock);
  ASSERT_TRUE(read);
  EXPECT_EQ(directory.reads, 1);
  EXPECT_EQ(read->bytes, golden_image());
  EXPECT_EQ(read->parsed.server_major, 15);
  EXPECT_EQ(clock.now_monotonic().count(), 0);
}

TEST(ReadControlFile, TornCopiesAreReadAgainUntilOneIsWhole) {
  ScriptedDirectory directory(
      [](int read) { return read < 99 ? torn_image(read) : golden_image(); });
  SleepClock clock;
  EXPECT_TRUE(read_control_file(directory, clock));
  EXPECT_EQ(directory.reads, 100);
  EXPECT_EQ(clock.now_monotonic(), std::chrono::milliseconds(990));
}

TEST(ReadControlFile, HundredTornCopiesAreCorrupt) {
  ScriptedDirectory directory([](int read) { return torn_image(read); });
  SleepClock clock;
  const Result<ControlFileImage> read = read_control_file(directory, clock);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), ErrorCode::corrupt);
  EXPECT_EQ(directory.reads, 100);
}

TEST(ReadControlFile, SameBadBytesFiftyMillisecondsLaterAreCorrupt) {
  ScriptedDirectory directory([](int) { return torn_image(1); });
  SleepClock clock;
  const Result<ControlFileImage> read = read_control_file(directory, clock);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), ErrorCode::corrupt);
  EXPECT_EQ(directory.reads, 6);
}

TEST(ReadControlFile, SameBadBytesForAShorterTimeAreReadAgain) {
  ScriptedDirectory directory([](int read) { return read < 5 ? torn_image(1) : golden_image(); });
  SleepClock clock;
  EXPECT_TRUE(read_control_file(directory, clock));
}

TEST(ReadControlFile, StabilityCountsFromTheLastChange) {
  ScriptedDirectory directory([](int read) {
    if (read == 10) return golden_image();
    return torn_image(read < 5 ? 1 : 2);
  });
  SleepClock clock;
  EXPECT_TRUE(read_control_file(directory, clock));
}

TEST(ReadControlFile, UnsupportedVersionIsNotReadAgain) {
  ScriptedDirectory directory(
      [](int) { return changed_image([](Image& image) { put(image, 8, 1201U); }); });
  SleepClock clock;
  EXPECT_EQ(read_control_file(directory, clock).error().code(), ErrorCode::unsupported);
  EXPECT_EQ(directory.reads, 1);
}

TEST(ReadControlFile, MissingFileIsNotFound) {
  ScriptedDirectory directory(
      [](int) -> Result<Image> { return Error(ErrorCode::not_found, "no such file"); });
  SleepClock clock;
  EXPECT_EQ(read_control_file(directory, clock).error().code(), ErrorCode::not_found);
}

TEST(ReadControlFile, LongerFileIsCorrupt) {
  ScriptedDirectory directory([](int) { return Image(kControlFileSizeBytes + 1); });
  SleepClock clock;
  EXPECT_EQ(read_control_file(directory, clock).error().code(), ErrorCode::corrupt);
}

}  // namespace
}  // namespace haul::postgres
