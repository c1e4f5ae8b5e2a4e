#include "engine/restore/manifest.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/postgres/crc32c.h"
#include "io/posix_directory.h"
#include "io/sim_directory.h"
#include "tests/support/file_content.h"
#include "tests/support/pg_server.h"
#include "tests/support/temporary_directory.h"
#include "tests/unit/restore/restore_fixture.h"

namespace haul::restore {
namespace {

constexpr UtcTime kNow{1'764'000'001'500'000};  // 2025-11-24 16:00:01.5

class ManifestTest : public testing::Test {
 protected:
  ManifestTest() { file_ = root_->create_file("m", 0600, io::Caching::buffered).value(); }

  std::string content() { return support::read_file(*root_, "m").value(); }
  // Everything before the last line has this digest.
  static std::string last_line_of(std::string_view text) {
    const std::string digest = to_hex(compress::sha256(bytes_of(text)));
    return "\"Manifest-Checksum\": \"" + digest + "\"}\n";
  }

  io::SimDisk disk_;
  std::unique_ptr<io::Directory> root_ = disk_.open("").value();
  std::unique_ptr<io::File> file_;
};

TEST_F(ManifestTest, VersionOneHasTheServersText) {
  ManifestWriter writer(*file_, {16, 42, kNow});
  ASSERT_TRUE(writer.add({"PG_VERSION", 3, 0x01020304}).has_value());
  ASSERT_TRUE(writer.add({"base/1/\"quoted\"", 0, 0}).has_value());
  const WalRange wal{{1}, {0x2000028}, {0x2000100}};
  ASSERT_TRUE(writer.finish(&wal).has_value());
  const std::string text =
      "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n"
      "\"Files\": [\n"
      "{ \"Path\": \"PG_VERSION\", \"Size\": 3, \"Last-Modified\": \"2025-11-24 16:00:01 GMT\", "
      "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"04030201\" },\n"
      "{ \"Path\": \"base/1/\\\"quoted\\\"\", \"Size\": 0, "
      "\"Last-Modified\": \"2025-11-24 16:00:01 GMT\", "
      "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"00000000\" }\n"
      "],\n"
      "\"WAL-Ranges\": [\n"
      "{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }\n"
      "],\n";
  EXPECT_EQ(content(), text + last_line_of(text));
}

TEST_F(ManifestTest, VersionTwoNamesTheSystem) {
  ManifestWriter writer(*file_, {17, 42, kNow});
  ASSERT_TRUE(writer.finish(nullptr).has_value());
  const std::string text =
      "{ \"PostgreSQL-Backup-Manifest-Version\": 2,\n"
      "\"System-Identifier\": 42,\n"
      "\"Files\": [\n],\n"
      "\"WAL-Ranges\": [\n],\n";
  EXPECT_EQ(content(), text + last_line_of(text));
}

TEST_F(ManifestTest, LargeManifestIsWrittenInPieces) {
  ManifestWriter writer(*file_, {15, 42, kNow});
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(writer.add({format("base/5/{}", i), 8192, 1}).has_value());
  }
  EXPECT_GT(content().size(), 100'000U);
  ASSERT_TRUE(writer.finish(nullptr).has_value());
  const std::string text = content();
  const std::size_t last = text.rfind('\n', text.size() - 2) + 1;
  EXPECT_EQ(text.substr(last), last_line_of(std::string_view(text).substr(0, last)));
}

TEST_F(ManifestTest, PathsThatAreNotUtf8AreEncoded) {
  for (const std::string_view path :
       {"\xFF", "a\x80", "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF0\x80\x80\x80",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82"}) {
    const auto file = root_->create_temporary("", io::Caching::buffered).value();
    ManifestWriter writer(*file, {15, 42, kNow});
    ASSERT_TRUE(writer.add({std::string(path), 0, 0}).has_value());
    ASSERT_TRUE(writer.finish(nullptr).has_value());
    std::string text(file->info()->size_bytes, '\0');
    ASSERT_TRUE(file->read_at(0, std::as_writable_bytes(std::span(text))).has_value());
    const std::string wanted = format("\"Encoded-Path\": \"{}\"", to_hex(bytes_of(path)));
    EXPECT_NE(text.find(wanted), std::string::npos) << text;
  }
}

TEST_F(ManifestTest, Utf8PathsStayReadable) {
  for (const std::string_view path :
       {"\xC3\xA4", "\xE2\x82\xAC", "\xED\x9F\xBF", "\xF0\x9F\x90\x98", "\xF4\x8F\xBF\xBF"}) {
    const auto file = root_->create_temporary("", io::Caching::buffered).value();
    ManifestWriter writer(*file, {15, 42, kNow});
    ASSERT_TRUE(writer.add({std::string(path), 0, 0}).has_value());
    ASSERT_TRUE(writer.finish(nullptr).has_value());
    std::string text(file->info()->size_bytes, '\0');
    ASSERT_TRUE(file->read_at(0, std::as_writable_bytes(std::span(text))).has_value());
    EXPECT_EQ(text.find("Encoded-Path"), std::string::npos) << text;
  }
}

TEST_F(ManifestTest, FailureToWriteIsReported) {
  ManifestWriter writer(*file_, {15, 42, kNow});
  disk_.set_fault(
      {disk_.operations() + 1, io::SimFault::Kind::no_space, io::SimFault::Repeat::from_then_on});
  EXPECT_EQ(support::code_of(writer.finish(nullptr)), ErrorCode::no_space);
}

// --- judged by PostgreSQL itself

class RealDiskTest : public testing::Test {
 protected:
  RealDiskTest() {
    restore_.environment.open_directory = {};
    restore_.options.target = directory_.path_of("pg");
    restore_.options.owner = io::FileOwner{::geteuid(), ::getegid()};
    restore_.options.workers = 2;
  }

  // What pg_verifybackup says; true for a directory that fits its manifest.
  bool verify() const {
    const std::string command = support::pg_bin_directory() + "/pg_verifybackup -n -q " +
                                restore_.options.target + " > " + directory_.path_of("log") +
                                " 2>&1";
    const int status = std::system(command.c_str());
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  std::string log() const {
    return support::read_whole_file(directory_.path_of("log")).value_or("(no log)");
  }
  std::unique_ptr<io::Directory> restored() const {
    return io::open_posix_directory(restore_.options.target).value();
  }

  support::TemporaryDirectory directory_;
  TestRepository repository_;
  SimTarget unused_;
  RestoreRun restore_{repository_, unused_};
};

TEST_F(RealDiskTest, PgVerifybackupAgrees) {
  if (support::pg_bin_directory().empty()) GTEST_SKIP() << "no PostgreSQL installed";
  std::string sparse = support::pattern(9'000'000, 3);
  sparse.replace(1'000'000, 6'000'000, std::string(6'000'000, '\0'));
  BackupBuilder backup(repository_);
  backup.online()
      .data_directory()
      .tablespace(16385, directory_.path_of("space"))
      .file("base/5/16384", support::pattern(30'000, 1))
      .file("base/5/16386", "")
      .file("base/5/16387", sparse)
      .paged_file("base/5/16388", support::pattern(1'200'345, 4))
      .file("base/5/not-utf8-\xFF", "x")
      .file("postgresql.auto.conf", "")
      .configuration("/etc/pg/postgresql.conf", "config_file", "data_directory = '/x'\n")
      .configuration("/etc/pg/conf.d/a.conf", "include", "port = 1\n");
  backup.file("pg_tblspc/16385/PG_15_202209061/1", support::pattern(12'000, 5)).commit();

  const auto report = restore_();
  ASSERT_TRUE(report.has_value()) << report.error().message();
  EXPECT_TRUE(verify()) << log();
}

TEST_F(RealDiskTest, PgVerifybackupFindsAChangedByte) {
  if (support::pg_bin_directory().empty()) GTEST_SKIP() << "no PostgreSQL installed";
  BackupBuilder backup(repository_);
  backup.data_directory().file("base/5/16384", support::pattern(30'000, 1)).commit();
  ASSERT_TRUE(restore_().has_value());
  const auto file = restored()->open_for_update("base/5/16384", io::Caching::buffered).value();
  ASSERT_TRUE(file->write_at(29'000, bytes_of("!")).has_value());
  EXPECT_FALSE(verify());
  EXPECT_NE(log().find("base/5/16384"), std::string::npos) << log();
}

TEST_F(RealDiskTest, FilesComeBackIdenticalAndSparse) {
  std::string sparse = support::pattern(9'000'000, 3);
  sparse.replace(1'000'000, 6'000'000, std::string(6'000'000, '\0'));
  BackupBuilder backup(repository_);
  backup.data_directory()
      .file("base/5/1", sparse)
      .file("base/5/2", std::string(5'000'001, '\0'))
      .commit();
  ASSERT_TRUE(restore_().has_value());
  const auto root = restored();
  for (const auto& [path, content] : backup.contents()) {
    EXPECT_TRUE(support::read_file(*root, path).value() == content) << path;
  }
  struct stat status{};
  ASSERT_EQ(::stat((restore_.options.target + "/base/5/1").c_str(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 4'000'000);
  ASSERT_EQ(::stat((restore_.options.target + "/base/5/2").c_str(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 100'000);
}

}  // namespace
}  // namespace haul::restore
