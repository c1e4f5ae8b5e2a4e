// Which blocks a real server's WAL changes: compared with what pg_waldump prints of the same WAL,
// and with the pages of the data directory before and after.
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/format.h"
#include "base/random.h"
#include "engine/postgres/file_grammar.h"
#include "engine/repository/repository.h"
#include "engine/wal/change_window.h"
#include "engine/wal/segment_changes.h"
#include "engine/wal/wal_archive.h"
#include "io/posix_directory.h"
#include "tests/integration/changes/dumped_changes.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_object_store.h"
#include "tests/support/pg_server.h"
#include "tests/support/temporary_directory.h"

namespace haul::integration {
namespace {

namespace fs = std::filesystem;
using postgres::Fork;
using postgres::RelationFork;
using postgres::WalGeometry;
using postgres::WalSegment;
using support::PgServer;
using support::PgServerOptions;

constexpr std::uint32_t kSegmentBytes = 1U << 20;
constexpr std::size_t kPageBytes = 8192;
constexpr std::uint32_t kRelationSegmentBlocks = 131'072;

template <typename T>
::testing::AssertionResult succeeded(const Result<T>& result) {
  if (result) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << result.error().message();
}

class ChangesOnServer : public ::testing::TestWithParam<PgServerOptions::Checksums> {
 protected:
  void SetUp() override {
    if (support::pg_bin_directory().empty()) GTEST_SKIP() << "there is no PostgreSQL";
    PgServerOptions options;
    options.checksums = GetParam();
    options.wal_segment_size_mb = 1;
    options.settings = {"wal_keep_size = 8GB", "max_prepared_transactions = 10", "autovacuum = off",
                        "max_wal_size = 4GB"};
    // Without checksums hint bits are logged only then.
    if (GetParam() == PgServerOptions::Checksums::off) {
      options.settings.emplace_back("wal_log_hints = on");
    }
    if (support::pg_major() >= 15) options.settings.emplace_back("allow_in_place_tablespaces = on");
    auto created = PgServer::create(options);
    ASSERT_TRUE(succeeded(created));
    server_ = std::move(created).take();
    ASSERT_TRUE(succeeded(server_->start()));
  }

  std::string query(const std::string& sql, const std::string& database = "postgres") const {
    auto answer = server_->query(sql, database);
    EXPECT_TRUE(succeeded(answer)) << sql;
    return answer.value_or("");
  }

  std::string strategy(const char* name) const {
    return support::pg_major() >= 15 ? std::string(" STRATEGY ") + name : "";
  }

  // Tables whose files the later changes meet again.
  void prepare() const {
    ASSERT_TRUE(succeeded(server_->pgbench_initialize(1)));
    for (const char* table : {"shrinks", "emptied", "goes", "moves", "kept", "goes_later"}) {
      query(
          format("CREATE TABLE {0} (id int PRIMARY KEY, body text);"
                 " INSERT INTO {0} SELECT g, repeat(md5(g::text), 8)"
                 " FROM generate_series(1, 5000) g",
                 table));
    }
    query("CREATE UNLOGGED TABLE unlogged (a int); INSERT INTO unlogged VALUES (1)");
    query("CREATE SEQUENCE counter");
    query("CREATE DATABASE old_copy" + strategy("file_copy"));
    query("CREATE DATABASE moved");
    query("CREATE TABLE there AS SELECT * FROM generate_series(1, 3000) a", "moved");
    if (support::pg_major() >= 15) {
      query("CREATE DATABASE reused OID 100000 STRATEGY file_copy");
      query("CREATE TABLE same (a int); INSERT INTO same SELECT generate_series(1, 9000)",
            "reused");
      query("CREATE DATABASE patterned TEMPLATE reused STRATEGY file_copy");
      query("UPDATE same SET a = -a", "patterned");
      query("CREATE TABLESPACE inside LOCATION ''");
    }
    query("VACUUM");
  }

  void change_tables() const {
    query("UPDATE kept SET body = body || 'x' WHERE id % 7 = 0");
    query("DELETE FROM shrinks WHERE id > 500");
    query("VACUUM shrinks");
    query("INSERT INTO shrinks SELECT g, 'again' FROM generate_series(6000, 6100) g");
    query("TRUNCATE emptied; INSERT INTO emptied VALUES (1, 'one')");
    query("DROP TABLE goes");
    query("BEGIN; CREATE TABLE undone AS SELECT * FROM kept; ROLLBACK");
    for (const char* command : {"REINDEX TABLE", "VACUUM FULL", "VACUUM (FREEZE)"}) {
      query(format("{} kept", command));
    }
    query(
        "CREATE TABLE fresh AS SELECT g AS id, md5(g::text) AS t FROM generate_series(1, 9000) g");
    query("CREATE INDEX ON fresh USING hash (id); CREATE INDEX ON fresh USING brin (id)");
    query("CREATE INDEX ON fresh USING gin (to_tsvector('simple', t))");
    query("CREATE INDEX ON fresh USING gist (point(id, id))");
    query("SELECT count(nextval('counter')) FROM generate_series(1, 100)");
    query("ALTER TABLE unlogged SET LOGGED; CREATE UNLOGGED TABLE later (a int)");
    query("SELECT count(*) FROM kept, fresh WHERE fresh.id = kept.id");
    query("SELECT pg_logical_emit_message(true, 'long', repeat('m', 3000000))");
  }

  void end_prepared() const {
    query("BEGIN; DROP TABLE goes_later; PREPARE TRANSACTION 'drops'");
    query("BEGIN; CREATE TABLE never AS SELECT * FROM kept; PREPARE TRANSACTION 'creates'");
    query("COMMIT PREPARED 'drops'");
    query("ROLLBACK PREPARED 'creates'");
  }

  void change_databases() const {
    query("CREATE DATABASE by_log" + strategy("wal_log"));
    query("CREATE DATABASE by_copy" + strategy("file_copy"));
    query("CREATE TABLE here AS SELECT * FROM generate_series(1, 3000) a", "by_log");
    query("CREATE TABLE here AS SELECT * FROM generate_series(1, 3000) a", "by_copy");
    query("DROP DATABASE old_copy");
    if (support::pg_major() < 15) return;
    query("DROP DATABASE reused");
    query("CREATE DATABASE reused OID 100000 TEMPLATE patterned STRATEGY file_copy");
    query("ALTER DATABASE moved SET TABLESPACE inside");
    query("ALTER TABLE moves SET TABLESPACE inside");
    query("CREATE TABLE within (a int) TABLESPACE inside; INSERT INTO within VALUES (1)");
    query("ALTER DATABASE moved SET TABLESPACE pg_default");
  }

  void change_everything() const {
    change_tables();
    end_prepared();
    change_databases();
    ASSERT_TRUE(succeeded(server_->run_pgbench(4, 2)));
    query("VACUUM");
    change_tables_after_crash();
  }

  void change_tables_after_crash() const {
    ASSERT_TRUE(succeeded(server_->stop(PgServer::StopMode::immediate)));
    ASSERT_TRUE(succeeded(server_->start()));
    query("DELETE FROM fresh WHERE id > 4000");
    query("VACUUM fresh");
    query("UPDATE kept SET body = 'short'");
  }

  // Where the server's shutdown checkpoint begins.
  Lsn stop_cleanly() const {
    EXPECT_TRUE(succeeded(server_->stop()));
    const auto control = server_->run({"pg_controldata", server_->data_directory()});
    EXPECT_TRUE(succeeded(control));
    const std::string text = control.value_or("");
    const std::string label = "Latest checkpoint location:";
    const std::size_t at = text.find_first_not_of(' ', text.find(label) + label.size());
    const std::string system = "Database system identifier:";
    system_ = std::stoull(text.substr(text.find(system) + system.size()));
    return parse_lsn(text.substr(at, text.find('\n', at) - at)).value();
  }

  std::string wal_directory() const { return server_->data_directory() + "/pg_wal"; }
  WalGeometry geometry() const { return {support::pg_major(), system_, kSegmentBytes, kPageBytes}; }
  std::string segment_name(Lsn lsn) const {
    return postgres::to_name(postgres::segment_of(lsn, TimelineId{1}, kSegmentBytes),
                             kSegmentBytes);
  }

  // From a position to the end of WAL, at which pg_waldump fails.
  DumpedChanges dump(Lsn begin, Lsn last) const {
    const std::string command =
        format("export TZ=UTC; '{}/pg_waldump' -b -p '{}' -s {} {} {} 2>/dev/null || true",
               support::pg_bin_directory(), wal_directory(), to_string(begin), segment_name(begin),
               segment_name(last));
    const auto output = server_->run({"/bin/sh", "-c", command});
    EXPECT_TRUE(succeeded(output));
    return parse_dumped_changes(output.value_or(""), kSegmentBytes);
  }

  // Some of the segments before `to` go into a new archive, and out of pg_wal.
  void archive(Lsn from, Lsn to) {
    auto store = support::make_memory_object_store();
    SeededRandom random(1);
    support::ManualClock clock;
    ASSERT_TRUE(repository::Repository::init(*store, {}, random, clock));
    repository_.emplace(repository::Repository::open(std::move(store)).value());
    wal::WalArchive archive(cluster(), system_);
    WalSegment segment = postgres::segment_of(from, TimelineId{1}, kSegmentBytes);
    for (; segment.end(kSegmentBytes) <= to; ++segment.number) {
      const wal::WalName name =
          wal::parse_wal_name(postgres::to_name(segment, kSegmentBytes)).value();
      const std::string path = wal_directory() + "/" + name.text;
      const std::string content = support::read_whole_file(path).value();
      const wal::WalFacts facts = wal::examine_content(name, bytes_of(content)).value();
      ASSERT_TRUE(succeeded(archive.put(name, facts, bytes_of(content))));
      fs::remove(path);
      ++archived_;
    }
  }

  repository::Cluster cluster() const { return repository_->cluster("main").value(); }

  Result<wal::ChangeWindow> find(Lsn from, Lsn to, std::size_t workers) const {
    const auto directory = io::open_posix_directory(wal_directory()).value();
    wal::ChangeWindowRequest request;
    request.route = {cluster(), geometry(), wal::first_timeline(TimelineId{1}), directory.get()};
    request.from = from;
    request.to = to;
    request.workers = workers;
    return wal::find_changes(request);
  }

  // What is kept beside each archived segment is what the records that begin in it change.
  void expect_segments(Lsn from, const DumpedChanges& dumped) const {
    WalSegment segment = postgres::segment_of(from, TimelineId{1}, kSegmentBytes);
    std::size_t split = 0;
    for (std::size_t i = 0; i < archived_; ++i, ++segment.number) {
      const std::string name = postgres::to_name(segment, kSegmentBytes);
      const auto changes =
          wal::read_changes(cluster(), {system_, wal::parse_wal_name(name).value()});
      ASSERT_TRUE(succeeded(changes));
      if (changes->end.value % kSegmentBytes != 40) ++split;
      const auto expected = dumped.segments.find(segment.number);
      // A segment may lie within one record.
      ASSERT_TRUE(expected == dumped.segments.end() ? changes->changes.blocks.empty()
                                                    : changes->changes.blocks == expected->second)
          << name;
    }
    EXPECT_GT(split, archived_ / 2) << "records lie over most boundaries";
  }

  void copy_data_directory() {
    before_ = copies_.path() + "/before";
    fs::copy(server_->data_directory(), before_, fs::copy_options::recursive);
  }

  std::unique_ptr<PgServer> server_;
  support::TemporaryDirectory copies_;
  std::string before_;
  mutable std::uint64_t system_ = 0;
  std::optional<repository::Repository> repository_;
  std::size_t archived_ = 0;
};

// Compares the pages of relations of two data directories.
class PageComparison {
 public:
  PageComparison(std::string before, std::string after, const postgres::ChangedBlocks& changed)
      : before_(std::move(before)), after_(std::move(after)), changed_(changed) {}

  void run() {
    for (const auto& entry : fs::recursive_directory_iterator(before_)) {
      const std::string path = fs::relative(entry.path(), before_).string();
      const auto file = postgres::parse_relation_file(path);
      if (!file || !entry.is_regular_file() || !fs::exists(after_ + "/" + path)) continue;
      if (file->fork == Fork::fsm || file->fork == Fork::vm || is_unlogged(*file)) continue;
      compare(path, *file);
    }
  }

  std::size_t pages = 0;
  std::size_t different = 0;
  std::size_t reported = 0;
  std::vector<std::string> missed;

 private:
  // What such a relation holds is in no WAL.
  bool is_unlogged(const postgres::RelationFile& file) const {
    if (file.fork == Fork::init) return false;
    const std::string init = format("/{}/{}_init", file.directory, file.relfilenode);
    return fs::exists(before_ + init) || fs::exists(after_ + init);
  }

  void compare(const std::string& path, const postgres::RelationFile& file) {
    const std::string before = support::read_whole_file(before_ + "/" + path).value();
    const std::string after = support::read_whole_file(after_ + "/" + path).value();
    const RelationFork fork = postgres::fork_of(file).value();
    for (std::size_t at = 0; at < std::min(before.size(), after.size()); at += kPageBytes) {
      const auto block =
          static_cast<std::uint32_t>(at / kPageBytes) + file.first_block(kRelationSegmentBlocks);
      const bool is_reported = changed_.blocks_from(fork, block)[0];
      const bool differs = before.compare(at, kPageBytes, after, at, kPageBytes) != 0;
      ++pages;
      reported += is_reported ? 1 : 0;
      different += differs ? 1 : 0;
      if (differs && !is_reported) missed.push_back(format("{} block {}", path, block));
    }
  }

  std::string before_;
  std::string after_;
  const postgres::ChangedBlocks& changed_;
};

TEST_P(ChangesOnServer, AreThoseOfPgWaldumpAndOfThePages) {
  prepare();
  if (HasFatalFailure()) return;
  const Lsn from = stop_cleanly();
  copy_data_directory();
  ASSERT_TRUE(succeeded(server_->start()));
  change_everything();
  const Lsn to = stop_cleanly();
  if (HasFatalFailure()) return;

  const DumpedChanges dumped = dump(Lsn{from.value - from.value % kSegmentBytes}, to);
  ASSERT_EQ(dumped.last, to);
  for (const char* kind :
       {"CREATE", "TRUNCATE", "COMMIT", "ABORT", "COMMIT_PREPARED", "ABORT_PREPARED", "DROP"}) {
    EXPECT_TRUE(dumped.kinds.contains(kind)) << kind;
  }
  if (support::pg_major() >= 15) {
    EXPECT_TRUE(dumped.kinds.contains("CREATE_FILE_COPY"));
    EXPECT_TRUE(dumped.kinds.contains("CREATE_WAL_LOG"));
  }

  // The last 3 MiB are not archived yet.
  archive(from, Lsn{to.value - 3 * std::uint64_t{kSegmentBytes}});
  if (HasFatalFailure()) return;
  ASSERT_GT(archived_, 20U);
  const auto window = find(from, to, 2);
  ASSERT_TRUE(succeeded(window));
  EXPECT_TRUE(window->blocks == dumped.blocks);
  const auto again = find(from, to, 1);
  ASSERT_TRUE(succeeded(again));
  EXPECT_EQ(again->segments_known, archived_);
  EXPECT_TRUE(again->blocks == dumped.blocks);
  EXPECT_EQ(again->events, window->events);

  expect_segments(from, dumped);

  PageComparison comparison(before_, server_->data_directory(), window->blocks);
  comparison.run();
  EXPECT_TRUE(comparison.missed.empty())
      << comparison.missed.size() << " pages, the first one " << comparison.missed.front();
  EXPECT_GT(comparison.different, 500U);
  std::cout << dumped.records << " records in " << window->segments << " segments; of "
            << comparison.pages << " pages that were there before " << comparison.different
            << " differ, " << comparison.reported << " are reported\n";
}

INSTANTIATE_TEST_SUITE_P(Hints, ChangesOnServer,
                         ::testing::Values(PgServerOptions::Checksums::on,
                                           PgServerOptions::Checksums::off),
                         [](const auto& checksums) {
                           return checksums.param == PgServerOptions::Checksums::on
                                      ? "WithChecksums"
                                      : "WithWalLogHints";
                         });

}  // namespace
}  // namespace haul::integration
