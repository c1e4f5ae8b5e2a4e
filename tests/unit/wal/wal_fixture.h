// A repository on a simulated disk, and WAL files made of nothing to put into it.
//
// Threads:  one owner at a time.
// Errors:   what cannot fail in a test is asserted.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/repository/local_repository.h"
#include "engine/wal/get.h"
#include "engine/wal/push.h"
#include "engine/wal/wal_archive.h"
#include "io/fault_directory.h"
#include "io/sim_directory.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/support/manual_clock.h"
#include "tests/support/sim_host.h"

namespace haul::wal::testing {

using support::code_of;

inline constexpr std::uint64_t kSystem = support::kFakeSystemIdentifier;
inline constexpr std::uint64_t kOtherSystem = kSystem + 1;
inline constexpr std::uint32_t kSegmentBytes = 1U << 20;
inline constexpr std::uint32_t kBlockBytes = 8192;

struct FakeSegment {
  std::uint32_t timeline = 1;
  std::uint64_t number = 5;
  std::uint64_t system = kSystem;
  std::uint32_t size_bytes = kSegmentBytes;
  std::uint16_t magic = 0xD110;
  // Pages behind these are zeros; 0: all are written.
  std::uint32_t pages = 0;
  std::uint64_t seed = 1;

  std::string name() const;
  std::string content() const;
};

// A page header at this offset of a segment's content, with another address or timeline.
void put_address(std::string& content, std::size_t offset, std::uint64_t address);
void put_timeline(std::string& content, std::size_t offset, std::uint32_t timeline);

// Keeps what is logged.
class LogLines final : public Log {
 public:
  void write(LogLevel, std::string_view line) override { lines.emplace_back(line); }

  std::vector<std::string> lines;
};

// "clusters/main" in a repository at "repo" of the disk, a data directory with pg_wal at "data".
class ArchiveFixture {
 public:
  ArchiveFixture();

  // The repository is opened anew, through faults where there are any. False: they hit.
  bool try_reopen();
  void reopen() { HAUL_ASSERT(try_reopen()); }
  WalArchive archive(std::uint64_t system = kSystem) const { return {cluster(), system, 2}; }
  repository::Cluster cluster(const std::string& name = "main") const {
    return repository_->cluster(name).value();
  }
  const repository::Repository& repository() const { return *repository_; }
  repository::LocalDirectoryOpener opener();

  // Writes a file into pg_wal and pushes it as archive_command does.
  Result<PushReport> push(const std::string& name, const std::string& content,
                          std::size_t batch = 0);
  Result<PushReport> push(const FakeSegment& segment) {
    return push(segment.name(), segment.content());
  }
  Result<PushReport> push_path(const std::string& path, std::size_t batch = 0);
  // Fetches a file to pg_wal/RECOVERYXLOG as restore_command does.
  // Through a spool beside it, where one is wanted.
  Result<Delivery> get(const std::string& name, const std::string& spool = "");
  // What get() left; nothing when there is no such file.
  std::optional<std::string> delivered();

  void write(const std::string& path, std::string_view content);
  void remove(const std::string& path);
  std::string object(const std::string& key) const;
  // Puts these bytes in the place of the object's.
  void overwrite(const std::string& key, std::string_view bytes);
  std::unique_ptr<io::Directory> top() { return disk.open("").value(); }

  io::SimDisk disk;
  support::ManualClock clock;
  support::SimHost host{disk};
  LogLines log;
  std::shared_ptr<io::FaultPlan> faults;
  PushEnvironment::Side side = PushEnvironment::Side::server;
  std::stop_source stop;

 private:
  std::optional<repository::Repository> repository_;
};

// The content of 00000002.history: left timeline 1 at `lsn`.
std::string history_of_2(std::string_view lsn);

}  // namespace haul::wal::testing
