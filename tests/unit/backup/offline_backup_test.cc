// A whole backup of a cluster that was shut down, source and repository on simulated disks.

#include <functional>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/backup/backup.h"
#include "engine/postgres/crc32c.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/lease.h"
#include "io/fault_directory.h"
#include "io/posix_object_store.h"
#include "io/sim_directory.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/support/stored_content.h"

namespace haul::backup {
namespace {

using support::fake_page;
using support::fake_relation;
using support::kFakePageSize;
using support::write_file;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

class StillClock final : public Clock {
 public:
  UtcTime now_utc() override { return {1'764'000'000'000'000}; }
  std::chrono::nanoseconds now_monotonic() override { return {}; }
  void sleep_for(std::chrono::nanoseconds) override {}
};

// Every file of a backup with its content, read back through the repository.
std::map<std::string, std::string> read_back(const repository::Cluster& cluster,
                                             const repository::Snapshot& snapshot) {
  repository::Findings findings;
  auto index = repository::Index::open(cluster, findings).value();
  repository::ChunkReader chunks(cluster, *index, findings);
  std::map<std::string, std::string> files;
  const Status walked = repository::walk_tree(
      chunks, snapshot.tree, [&](const repository::TreeEntry& entry) -> Status {
        if (entry.kind != repository::EntryKind::file) return ok();
        files[entry.path] = HAUL_TRY(support::read_stored_file(chunks, entry));
        return ok();
      });
  EXPECT_TRUE(walked) << walked.error().message();
  EXPECT_EQ(findings.count(), 0U);
  return files;
}

class OfflineBackup : public testing::Test {
 protected:
  void SetUp() override {
    auto top = source_disk.open("").value();
    ASSERT_TRUE(top->make_directory("data", 0700));
    data = source_disk.open("data").value();
    ASSERT_TRUE(support::make_fake_cluster(*data));
    auto store = make_store();
    ASSERT_TRUE(repository::Repository::init(*store, {8, 1U << 20}, random, clock));
  }

  std::unique_ptr<io::ObjectStore> make_store() {
    return io::make_posix_object_store(repository_disk.open("").value(), {});
  }

  Result<BackupReport> backup() {
    opened.emplace(repository::Repository::open(make_store()).value());
    BackupEnvironment environment;
    environment.repository = &*opened;
    environment.clock = source_clock;
    environment.random = &random;
    environment.log = &log;
    environment.stop = stop.get_token();
    environment.progress = &progress;
    environment.spool = [this] { return source_disk.open(""); };
    environment.program = "test";
    environment.open_directory =
        [this](const std::string& path) -> Result<std::unique_ptr<io::Directory>> {
      auto directory = HAUL_TRY(source_disk.open(path.substr(1)));
      if (!faults.empty()) directory = io::make_fault_directory(std::move(directory), plan);
      return directory;
    };
    if (!faults.empty()) plan = io::parse_fault_plan(faults).value();
    BackupOptions options;
    options.mode = BackupOptions::Mode::offline;
    options.data_directory = "/data";
    options.workers = 1;
    options.bytes_per_second = bytes_per_second;
    options.run = run;
    options.type = type;
    return run_backup(options, environment);
  }

  repository::Cluster cluster() { return opened->cluster("main").value(); }
  std::size_t snapshots() { return repository::list_snapshots(cluster()).value().size(); }
  std::size_t leases() { return repository::list_leases(cluster()).value().size(); }
  void put(const std::string& path, const std::string& content) {
    if (data->info(path)) {
      ASSERT_TRUE(data->remove_file(path));
    }
    const Status written = write_file(*data, path, content);
    ASSERT_TRUE(written) << path;
  }

  io::SimDisk source_disk;
  io::SimDisk repository_disk;
  std::unique_ptr<io::Directory> data;
  StillClock clock;
  Clock* source_clock = &clock;
  SeededRandom random{7};
  SilentLog log;
  std::stop_source stop;
  BackupProgress progress;
  std::string faults;
  std::shared_ptr<io::FaultPlan> plan;
  BackupOptions::Run run = BackupOptions::Run::real;
  BackupOptions::Type type = BackupOptions::Type::automatic;
  std::uint64_t bytes_per_second = 0;
  std::optional<repository::Repository> opened;
};

TEST_F(OfflineBackup, EveryFileReadsBackIdentical) {
  put("base/5/16385", fake_relation(1300, 0, 1));  // three leaves
  put("base/5/16386", std::string(5 << 20, '\0') + fake_page(640, 1, 2));
  put("base/5/16387", "");
  put("pg_logical/odd", std::string(kFakePageSize * 3 + 17, 'o'));
  const auto report = backup();
  ASSERT_TRUE(report) << report.error().message();
  const auto files = read_back(cluster(), report->snapshot);
  for (const auto& [path, content] : files) {
    const auto original = support::read_file(*data, path);
    ASSERT_TRUE(original) << path;
    EXPECT_TRUE(*original == content) << path;
  }
  EXPECT_EQ(files.size(), report->snapshot.statistics.files);
  EXPECT_TRUE(files.contains("global/pg_control"));
  EXPECT_TRUE(files.contains("pg_wal/" + std::string(support::kFakeCheckpointSegment)));
  EXPECT_EQ(progress.bytes_done, progress.bytes_total);
}

TEST_F(OfflineBackup, FactsDescribeTheCluster) {
  const auto report = backup();
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->facts.online);
  EXPECT_EQ(report->facts.system_identifier, support::kFakeSystemIdentifier);
  EXPECT_EQ(report->facts.server_version, 150000);
  EXPECT_EQ(report->facts.block_size_bytes, kFakePageSize);
  EXPECT_TRUE(report->facts.wal_included);
  EXPECT_TRUE(report->facts.backup_label.empty());
  EXPECT_EQ(postgres::backup_facts_from_json(report->snapshot.facts).value(), report->facts);
}

TEST_F(OfflineBackup, HolesAreCountedAndNotStored) {
  put("base/5/16386", std::string(8 << 20, '\0'));
  const auto report = backup();
  ASSERT_TRUE(report);
  EXPECT_GE(report->snapshot.statistics.hole_bytes, 8U << 20);
  EXPECT_LT(report->snapshot.statistics.stored_bytes, 2U << 20);
}

TEST_F(OfflineBackup, SecondBackupOfTheSameDataStoresNoDataAgain) {
  const auto first = backup();
  ASSERT_TRUE(first);
  const auto second = backup();
  ASSERT_TRUE(second);
  EXPECT_GT(second->snapshot.id, first->snapshot.id);
  EXPECT_EQ(second->snapshot.statistics.chunks_stored, 0U);
  EXPECT_EQ(read_back(cluster(), second->snapshot), read_back(cluster(), first->snapshot));
  EXPECT_EQ(snapshots(), 2U);
}

TEST_F(OfflineBackup, SecondBackupIsOverlaidAndFindsNothingChanged) {
  put("base/5/16385", fake_relation(1300, 0, 1));
  put("base/5/9", fake_relation(7, 0, 2));
  put("base/5/16385_vm", std::string(kFakePageSize + 17, 'v'));
  put("pg_logical/odd", std::string(kFakePageSize * 3 + 17, 'o'));
  const auto first = backup();
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->snapshot.id.ends_with("-F"));
  EXPECT_EQ(first->snapshot.parent, "");
  const auto second = backup();
  ASSERT_TRUE(second);
  EXPECT_TRUE(second->snapshot.id.ends_with("-I"));
  EXPECT_EQ(second->snapshot.parent, first->snapshot.id);
  const auto& statistics = second->snapshot.statistics;
  EXPECT_EQ(statistics.changed_bytes, 0U);
  EXPECT_GT(statistics.read_bytes, 1300U * kFakePageSize);
  EXPECT_EQ(statistics.chunks_stored, 0U);
  EXPECT_EQ(second->snapshot.tree, first->snapshot.tree);
  EXPECT_EQ(second->snapshot.packs, first->snapshot.packs);
  EXPECT_THAT(second->findings, IsEmpty());
}

TEST_F(OfflineBackup, FullBackupConsultsNoOther) {
  ASSERT_TRUE(backup());
  type = BackupOptions::Type::full;
  const auto report = backup();
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->snapshot.id.ends_with("-F"));
  EXPECT_EQ(report->snapshot.parent, "");
  EXPECT_GT(report->snapshot.statistics.changed_bytes, 0U);
  EXPECT_EQ(report->snapshot.statistics.chunks_stored, 0U);
}

TEST_F(OfflineBackup, ChangedPagesAloneAreStored) {
  std::string relation = fake_relation(1300, 0, 1);
  put("base/5/16385", relation);
  ASSERT_TRUE(backup());
  for (const std::uint32_t block : {3U, 700U, 701U, 1299U}) {
    relation.replace(block * kFakePageSize, kFakePageSize, fake_page(block, 9, 77));
  }
  put("base/5/16385", relation);
  const auto report = backup();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->snapshot.statistics.changed_bytes, 4U * kFakePageSize);
  EXPECT_LT(report->snapshot.statistics.stored_bytes, 12U * kFakePageSize);
  EXPECT_TRUE(read_back(cluster(), report->snapshot).at("base/5/16385") == relation);
}

TEST_F(OfflineBackup, FileThatCameBackUnderTheSameNameIsAnother) {
  const std::string before = fake_relation(100, 0, 1);
  put("base/5/16385", before);
  ASSERT_TRUE(backup());
  ASSERT_TRUE(data->remove_file("base/5/16385"));
  const auto without = backup();
  ASSERT_TRUE(without);
  EXPECT_FALSE(read_back(cluster(), without->snapshot).contains("base/5/16385"));
  const std::string after = fake_relation(90, 0, 2);
  put("base/5/16385", after);
  const auto again = backup();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->snapshot.statistics.changed_bytes, 90U * kFakePageSize);
  EXPECT_TRUE(read_back(cluster(), again->snapshot).at("base/5/16385") == after);
}

// Other pages at their place, other lengths, zeros, files that come and go: every backup of the
// chain still reads back what was there when it was made.
TEST_F(OfflineBackup, EveryBackupOfARandomChainReadsBack) {
  SeededRandom dice(11);
  const auto below = [&](std::size_t bound) {
    return static_cast<std::uint32_t>(dice.next() % bound);
  };
  std::map<std::string, std::string> files;
  std::vector<std::pair<repository::Snapshot, std::map<std::string, std::string>>> chain;
  std::uint64_t seed = 0;
  for (int i = 0; i < 6; ++i) {
    files[format("base/5/{}", 16390 + 7 * i)] =
        fake_relation(i == 0 ? 1200 : 1 + below(90), 0, ++seed);
  }
  for (std::uint32_t link = 0; link < 30; ++link) {
    for (auto& [path, content] : files) {
      put(path, content);
      const std::size_t pages = content.size() / kFakePageSize;
      for (std::size_t i = below(12); i > 0 && pages > 0; --i) {
        const auto block = below(pages);
        content.replace(
            block * kFakePageSize, kFakePageSize,
            below(5) == 0 ? std::string(kFakePageSize, '\0') : fake_page(block, link, ++seed));
      }
      switch (below(8)) {
        case 0: content.resize(content.size() - content.size() / (2 + below(30))); break;
        case 1:
          content += fake_relation(1 + below(20), static_cast<std::uint32_t>(pages), ++seed);
          break;
        case 2: content.resize(content.size() + below(3 * kFakePageSize)); break;
        default: break;
      }
    }
    const auto report = backup();
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_THAT(report->findings, IsEmpty());
    std::map<std::string, std::string> now;
    for (const auto& [path, content] : files) now[path] = support::read_file(*data, path).value();
    chain.emplace_back(report->snapshot, std::move(now));
    const std::string gone = files.begin()->first;
    if (link % 10 == 9) {
      ASSERT_TRUE(data->remove_file(gone));
      files.erase(gone);
      files[format("base/5/{}", 20000 + link)] = fake_relation(30, 0, ++seed);
    }
  }
  for (const auto& [snapshot, expected] : chain) {
    const auto stored = read_back(cluster(), snapshot);
    for (const auto& [path, content] : expected) {
      ASSERT_TRUE(stored.contains(path)) << snapshot.id << " " << path;
      EXPECT_TRUE(stored.at(path) == content) << snapshot.id << " " << path;
    }
  }
}

// What an earlier backup has lost the next one stores anew, and says so.
class LostPack : public OfflineBackup {
 protected:
  // Backs up, breaks the largest pack, backs up again.
  void run_with(const std::function<void(io::ObjectStore&, const std::string& pack)>& break_pack) {
    put("base/5/16385", fake_relation(300, 0, 1));
    const auto first = backup();
    ASSERT_TRUE(first);
    const auto largest = std::ranges::max_element(
        first->snapshot.packs, {}, [](const auto& pack) { return pack.second.size_bytes; });
    const std::string key = cluster().layout.pack(largest->first);
    const auto store = make_store();
    break_pack(*store, key);
    const auto second = backup();
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_GE(second->snapshot.statistics.changed_bytes, 100U * kFakePageSize);
    EXPECT_GT(second->snapshot.statistics.chunks_stored, 12U);
    EXPECT_THAT(second->findings, Contains(HasSubstr(key)));
    EXPECT_FALSE(second->snapshot.packs.contains(largest->first));
    // Whole without the pack.
    static_cast<void>(store->remove(key));
    repository::Findings findings;
    const auto index = repository::Index::open(cluster(), findings).value();
    repository::ChunkReader chunks(cluster(), *index, findings);
    ASSERT_TRUE(repository::walk_tree(
        chunks, second->snapshot.tree, [&](const repository::TreeEntry& entry) -> Status {
          if (entry.kind != repository::EntryKind::file) return ok();
          const std::string content = HAUL_TRY(support::read_stored_file(chunks, entry));
          EXPECT_TRUE(content == support::read_file(*data, entry.path).value()) << entry.path;
          return ok();
        }));
  }
};

TEST_F(LostPack, DeletedIsMadeUpFor) {
  run_with(
      [](io::ObjectStore& store, const std::string& pack) { ASSERT_TRUE(store.remove(pack)); });
}

TEST_F(LostPack, CutIsMadeUpFor) {
  run_with([](io::ObjectStore& store, const std::string& pack) {
    const auto bytes = store.get(pack, 1U << 30).value();
    ASSERT_TRUE(store.remove(pack));
    ASSERT_TRUE(store.put_if_absent(pack, ByteSpan(bytes).first(1000)));
  });
}

TEST_F(OfflineBackup, PacksOfAKilledBackupAreReused) {
  const auto first = backup();
  ASSERT_TRUE(first);
  // As a kill between packs and index leaves it.
  auto store = make_store();
  for (const char* prefix : {"clusters/main/index", "clusters/main/snapshots"}) {
    const std::vector<io::ObjectInfo> objects = store->list(prefix).value();
    for (const io::ObjectInfo& object : objects) {
      ASSERT_TRUE(store->remove(object.key));
    }
  }
  const auto second = backup();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->snapshot.statistics.chunks_stored, 0U);
  EXPECT_EQ(read_back(cluster(), second->snapshot).size(), second->snapshot.statistics.files);
}

TEST_F(OfflineBackup, DamagedPagesAreStoredCountedAndNamed) {
  std::string relation = fake_relation(40, 0, 16384);
  for (const std::size_t block : {3U, 17U, 39U}) relation[block * kFakePageSize + 4000] ^= 1;
  put("base/5/16384", relation);
  const auto report = backup();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->facts.bad_page_count, 3U);
  EXPECT_THAT(report->facts.bad_pages, testing::ElementsAre(postgres::BadPage{"base/5/16384", 3},
                                                            postgres::BadPage{"base/5/16384", 17},
                                                            postgres::BadPage{"base/5/16384", 39}));
  EXPECT_TRUE(read_back(cluster(), report->snapshot).at("base/5/16384") == relation);
}

TEST_F(OfflineBackup, OpaqueFilesHaveNoPagesToCheck) {
  put("pg_xact/0000", std::string(kFakePageSize, 'x'));
  put("base/5/not_a_relation", std::string(kFakePageSize, 'x'));
  const auto report = backup();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->facts.bad_page_count, 0U);
}

TEST_F(OfflineBackup, DryRunLeavesNothingInTheRepository) {
  run = BackupOptions::Run::dry;
  const auto report = backup();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->planned_files, 10U);
  EXPECT_GT(report->planned_bytes, 47U * kFakePageSize);
  EXPECT_EQ(make_store()->list("clusters").value().size(), 0U);
}

// What is stored counts as well: by reading alone it would be done in half of the time.
TEST_F(OfflineBackup, RateBoundsReadingAndStoringTogether) {
  SystemClock running;
  source_clock = &running;
  std::string noise(8 << 20, '\0');
  ASSERT_TRUE(random.fill({reinterpret_cast<std::byte*>(noise.data()), noise.size()}));
  put("pg_logical/noise", noise);
  bytes_per_second = 64 << 20;
  const auto begin = running.now_monotonic();
  ASSERT_TRUE(backup());
  const auto both = std::chrono::milliseconds(250);
  EXPECT_GE(running.now_monotonic() - begin, both * 3 / 4);
}

TEST_F(OfflineBackup, WithARateReadsAreSmaller) {
  SystemClock running;
  source_clock = &running;
  put("base/5/16385", fake_relation(512, 0, 1));  // 4 MiB: 4 reads or 16
  faults = "read:1000000:eio";                    // counts, and does no harm
  ASSERT_TRUE(backup());
  const std::uint64_t at_once = plan->calls("read");
  bytes_per_second = std::uint64_t{1} << 40;
  ASSERT_TRUE(backup());
  EXPECT_GE(plan->calls("read"), at_once + 12);
}

TEST_F(OfflineBackup, ClusterNotShutDownIsRefused) {
  std::string control = support::fake_control_file();
  control[16] = 6;  // in production
  const std::uint32_t crc = postgres::crc32c(bytes_of(control).first(288));
  std::memcpy(control.data() + 288, &crc, sizeof crc);
  put("global/pg_control", control);
  const auto report = backup();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::server_state);
  EXPECT_THAT(report.error().message(), HasSubstr("in production"));
}

TEST_F(OfflineBackup, OtherClusterUnderTheSameNameIsRefused) {
  ASSERT_TRUE(backup());
  put("global/pg_control", support::fake_control_file(42));
  put("pg_wal/" + std::string(support::kFakeCheckpointSegment), support::fake_wal_segment(3, 42));
  const auto report = backup();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::server_state);
  EXPECT_THAT(report.error().hint(), HasSubstr("--cluster"));
  EXPECT_EQ(snapshots(), 1U);
}

TEST_F(OfflineBackup, DirectoryWithoutAControlFileIsRefused) {
  ASSERT_TRUE(data->remove_file("global/pg_control"));
  const auto report = backup();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::server_state);
}

TEST_F(OfflineBackup, MissingCheckpointSegmentFails) {
  ASSERT_TRUE(data->remove_file("pg_wal/" + std::string(support::kFakeCheckpointSegment)));
  const auto report = backup();
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message(), HasSubstr(std::string(support::kFakeCheckpointSegment)));
  EXPECT_EQ(snapshots(), 0U);
  EXPECT_EQ(leases(), 0U);
}

TEST_F(OfflineBackup, SegmentOfAnotherClusterFails) {
  put("pg_wal/" + std::string(support::kFakeCheckpointSegment), support::fake_wal_segment(3, 42));
  const auto report = backup();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::corrupt);
}

TEST_F(OfflineBackup, StopRequestCommitsNothing) {
  stop.request_stop();
  const auto report = backup();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code(), ErrorCode::interrupted);
  EXPECT_EQ(snapshots(), 0U);
  EXPECT_EQ(leases(), 0U);
}

TEST_F(OfflineBackup, ShortReadsOfTheSourceBecomeZeros) {
  // As if every relation lost its end after its size was taken.
  faults = "read:*:short";
  const auto report = backup();
  if (!report) {
    EXPECT_EQ(snapshots(), 0U);
    return;
  }
  for (const auto& [path, content] : read_back(cluster(), report->snapshot)) {
    EXPECT_EQ(content.size(), data->info(path).value().size_bytes) << path;
  }
}

// Each open of a source file in turn finds the file gone: tolerated where replay makes up for it,
// else the backup fails naming it.
TEST_F(OfflineBackup, EveryFileInTurnVanishesBeforeItIsOpened) {
  faults = "open:999999:enoent";
  ASSERT_TRUE(backup());
  const std::uint64_t opens = plan->calls("open");
  ASSERT_GT(opens, 10U);
  std::size_t tolerated = 0;
  std::size_t refused = 0;
  for (std::uint64_t k = 1; k <= opens; ++k) {
    faults = format("open:{}:enoent", k);
    const std::size_t before = snapshots();
    const auto report = backup();
    if (report) {
      tolerated += report->files_vanished;  // none where the file is not one of the cluster's
    } else {
      ++refused;
      EXPECT_EQ(snapshots(), before) << k;
      EXPECT_EQ(leases(), 0U) << k;
    }
  }
  // The four relations and pg_xact/0000 may go; control file, PG_VERSION, configuration and WAL may
  // not.
  EXPECT_EQ(tolerated, 5U);
  EXPECT_GT(refused, 3U);
}

TEST_F(OfflineBackup, EveryFailingReadEndsTheBackupWithNothingCommitted) {
  faults = "read:999999:eio";
  ASSERT_TRUE(backup());
  const std::uint64_t reads = plan->calls("read");
  ASSERT_GT(reads, 10U);
  for (std::uint64_t k = 1; k <= reads; ++k) {
    faults = format("read:{}+:eio", k);
    const auto report = backup();
    ASSERT_FALSE(report) << k;
    EXPECT_EQ(snapshots(), 1U) << k;
    EXPECT_EQ(leases(), 0U) << k;
  }
}

// Whatever the repository's disk refuses, at whichever operation: what was committed before stays.
// A backup that failed is not there, or, when the last sync failed, there and complete.
TEST_F(OfflineBackup, EveryFailingRepositoryOperationLeavesEarlierBackupsAlone) {
  const auto first = backup();
  ASSERT_TRUE(first);
  const auto content = read_back(cluster(), first->snapshot);
  put("base/5/16384", fake_relation(40, 0, 99));
  const std::uint64_t before = repository_disk.operations();
  ASSERT_TRUE(backup());
  const std::uint64_t operations = repository_disk.operations() - before;
  ASSERT_GT(operations, 20U);
  for (const auto kind : {io::SimFault::Kind::io_error, io::SimFault::Kind::no_space,
                          io::SimFault::Kind::short_write}) {
    for (std::uint64_t k = 1; k <= operations; ++k) {
      put("base/5/16384", fake_relation(40, 0, 100 + k));
      const std::size_t committed = snapshots();
      repository_disk.set_fault(
          {repository_disk.operations() + k, kind, io::SimFault::Repeat::once});
      const auto report = backup();
      repository_disk.set_fault({});
      const std::vector<std::string> ids = repository::list_snapshots(cluster()).value();
      EXPECT_GE(ids.size(), committed + (report ? 1 : 0)) << k;
      EXPECT_LE(ids.size(), committed + 1) << k;
      const repository::Snapshot newest = repository::read_snapshot(cluster(), ids.back()).value();
      EXPECT_EQ(read_back(cluster(), newest).size(), content.size()) << k;
    }
  }
  EXPECT_EQ(read_back(cluster(), first->snapshot), content);
}

}  // namespace
}  // namespace haul::backup
