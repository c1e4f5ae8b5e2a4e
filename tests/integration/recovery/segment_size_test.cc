// Segments of other sizes than the usual: archived, delivered, backed up with, replayed.

#include <sys/resource.h>

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/recovery/archiving_server.h"

namespace haul::integration {
namespace {

using testing::HasSubstr;
using testing::Not;

// Delivered from the archive, it is the file that the server has.
void expect_delivered(const Workshop& workshop, const std::string& repository,
                      const std::string& wal_directory, const std::string& segment) {
  const std::string delivered = workshop.path("delivered");
  const Outcome got = workshop.pghaul(
      format("wal get --repo {} --prefetch 0 {} {}", repository, segment, delivered));
  EXPECT_EQ(got.status, 0) << got.err;
  const Outcome same = workshop.shell(format("cmp {} {}/{}", delivered, wal_directory, segment));
  EXPECT_EQ(same.status, 0) << same.out << same.err;
}

// By way of the archive a backup has no WAL of its own.
bool has_its_wal(const ArchivingServer& archiving, const std::string& backup) {
  const Outcome info = archiving.workshop().pghaul(
      format("info {} --repo {} --json", backup, archiving.repository()));
  return json_of(info).bool_at("wal_included").value();
}

TEST(SegmentSize, Of64MiBGoesThroughBackupArchiveAndRecovery) {
  support::PgServerOptions options;
  options.wal_segment_size_mb = 64;
  options.settings = {"min_wal_size = 128MB", "max_wal_size = 256MB"};
  const auto archiving = ArchivingServer::make(options);
  ASSERT_NE(archiving, nullptr);
  support::PgServer& server = archiving->server();
  ASSERT_TRUE(server.query("CREATE TABLE t (n int)"));
  EXPECT_FALSE(has_its_wal(*archiving, archiving->backup_name("--wal archive")));
  EXPECT_FALSE(has_its_wal(*archiving, archiving->backup_name("--wal auto")));

  ASSERT_TRUE(server.query("INSERT INTO t SELECT generate_series(1, 1000)"));
  const std::string target = server.query("SELECT pg_current_wal_insert_lsn()").value_or("?");
  ASSERT_TRUE(server.query("INSERT INTO t SELECT generate_series(1001, 2000)"));
  const std::string segment = archiving->archive_segment();
  expect_delivered(archiving->workshop(), archiving->repository(),
                   server.data_directory() + "/pg_wal", segment);
  const Outcome list = archiving->workshop().pghaul("wal list --repo " + archiving->repository());
  EXPECT_THAT(list.out, Not(HasSubstr("missing")));
  ASSERT_TRUE(server.stop());

  const Outcome restored =
      archiving->restore("restored", format("--target-lsn {} --start", target));
  ASSERT_EQ(restored.status, 0) << restored.err;
  EXPECT_EQ(json_of(restored).string_at("server").value_or(""), "ready");
  EXPECT_EQ(archiving->query("SELECT count(*) || ' ' || max(n) FROM t"), "1000 1000");
  EXPECT_EQ(archiving->query("SHOW wal_segment_size"), "64MB");
}

// The largest there are. A new cluster has one.
TEST(SegmentSize, OfOneGiBIsArchivedAndDelivered) {
  if (std::getenv("PGHAUL_TEST_FULL") == nullptr) GTEST_SKIP() << "PGHAUL_TEST_FULL is not set";
  constexpr std::int64_t kResidentMaxKib = std::int64_t{3} << 20;
  support::PgServerOptions options;
  options.wal_segment_size_mb = 1024;
  options.settings = {"min_wal_size = 2GB", "max_wal_size = 4GB"};
  const auto made = support::PgServer::create(options);
  ASSERT_TRUE(made) << made.error().message();
  const Workshop workshop;
  const std::string repository = workshop.path("repo");
  const std::string wal_directory = (*made)->data_directory() + "/pg_wal";
  const std::string segment = "000000010000000000000001";
  ASSERT_EQ(workshop.pghaul("init --repo " + repository).status, 0);
  const Outcome push =
      workshop.pghaul(format("wal push --repo {} {}/{}", repository, wal_directory, segment));
  ASSERT_EQ(push.status, 0) << push.err;
  expect_delivered(workshop, repository, wal_directory, segment);
  // Of the largest program so far.
  rusage usage{};
  ASSERT_EQ(::getrusage(RUSAGE_CHILDREN, &usage), 0);
  RecordProperty("resident_kib", std::to_string(usage.ru_maxrss));
  EXPECT_LT(usage.ru_maxrss, kResidentMaxKib);
}

}  // namespace
}  // namespace haul::integration
