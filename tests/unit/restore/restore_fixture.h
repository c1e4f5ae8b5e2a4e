// What restore tests stand on: backups built entry by entry in a repository in memory, targets on a
// simulated disk.
//
// Threads:  one owner at a time.
// Errors:   what cannot fail in a test is asserted.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "engine/repository/chunk_writer.h"
#include "engine/repository/file_map.h"
#include "engine/repository/repository.h"
#include "engine/repository/snapshot.h"
#include "engine/restore/restore.h"
#include "io/sim_directory.h"

namespace haul::restore {

inline constexpr std::string_view kBackup = "20261123T020222Z-F";

class RecordingLog final : public Log {
 public:
  void write(LogLevel level, std::string_view line) override;
  bool has(LogLevel level, std::string_view line) const;

 private:
  mutable std::mutex mutex_;  // guards lines_
  std::vector<std::pair<LogLevel, std::string>> lines_;
};

// Says what runs.
class FakeProcesses final : public postgres::ProcessProbe {
 public:
  bool alive(std::int64_t pid) override { return pid == running_pid; }
  Answer works_in(std::int64_t, std::uint64_t, std::uint64_t) override { return Answer::unknown; }
  bool shared_memory_in_use(const postgres::PostmasterPid&) override { return false; }

  std::int64_t running_pid = 0;
};

class TestRepository {
 public:
  TestRepository();  // in memory
  explicit TestRepository(std::unique_ptr<io::ObjectStore> store);

  const repository::Repository& get() const { return *repository_; }
  io::ObjectStore& store() const { return repository_->store(); }
  repository::Cluster cluster() const { return repository_->cluster("main").value(); }
  SeededRandom& random() { return random_; }

 private:
  SeededRandom random_{1};
  std::optional<repository::Repository> repository_;
};

// Builds one backup. Entries may come in any order; commit() sorts them.
class BackupBuilder {
 public:
  explicit BackupBuilder(TestRepository& repository, std::string_view id = kBackup);

  // Facts of a clean offline backup of release 15; tests change what they are about.
  postgres::BackupFacts facts;

  // What every data directory has: PG_VERSION, global/pg_control, a few directories.
  BackupBuilder& data_directory();
  // An online backup from 0/3000028 to 0/3000100 with its label and WAL.
  BackupBuilder& online();
  BackupBuilder& directory(std::string_view path, std::uint32_t mode = 0700);
  BackupBuilder& file(std::string_view path, std::string_view content, std::uint32_t mode = 0600);
  // The same in pages of 1 KiB, so that half a MiB is a leaf.
  BackupBuilder& paged_file(std::string_view path, std::string_view content);
  BackupBuilder& link(std::string_view path, std::string_view target);
  BackupBuilder& tablespace(std::uint32_t oid, std::string_view location);
  BackupBuilder& configuration(std::string_view path, std::string_view role,
                               std::string_view content);
  BackupBuilder& entry(repository::TreeEntry entry);
  // Drops what was added under this path.
  BackupBuilder& without(std::string_view path);
  // Chunks that follow go to a pack of their own; its key.
  std::string new_pack();

  void commit();
  // With a tree that was made by other means.
  void commit(const repository::TreeRootId& tree);
  repository::ChunkEncoder& encoder() { return *encoder_; }
  repository::PackStream& metadata() { return metadata_; }

  // What the target has to hold, by path.
  const std::map<std::string, std::string>& contents() const { return contents_; }

 private:
  void store(repository::TreeEntry entry, std::string_view content);
  repository::ChunkId store_region(ByteSpan bytes, std::uint32_t page_size_bytes);

  TestRepository& repository_;
  const std::string id_;
  repository::Cluster cluster_;
  repository::Findings findings_;
  std::unique_ptr<repository::Index> index_;
  repository::ChunkWriter writer_;
  std::optional<repository::ChunkEncoder> encoder_;
  repository::PackStream data_;
  repository::PackStream metadata_;
  std::vector<repository::TreeEntry> entries_;
  std::map<std::string, std::string> contents_;
};

// A simulated disk with /data, which is durable.
class SimTarget {
 public:
  SimTarget();

  DirectoryOpener opener();
  // The disk's top.
  std::unique_ptr<io::Directory> top() { return disk.open("").value(); }
  std::optional<std::string> read(std::string_view path);
  bool exists(std::string_view path);
  std::uint32_t mode_of(std::string_view path);
  // Every name beneath, directories with a slash.
  std::vector<std::string> names(const std::string& path);

  io::SimDisk disk;
};

// Options and surroundings for a restore of kBackup to /data/pg on one thread.
struct RestoreRun {
  RestoreRun(TestRepository& repository, SimTarget& target);

  Result<RestoreReport> operator()() { return run_restore(options, environment); }

  RestoreOptions options;
  SystemClock clock;
  RecordingLog log;
  FakeProcesses processes;
  RestoreProgress progress;
  RestoreEnvironment environment;
};

bool mentions(const std::vector<std::string>& lines, std::string_view text);

}  // namespace haul::restore
