// The power goes, or the disk fails and then the power goes, at every operation of a series of
// pushes. A failing line names the operation and the seed that repeat it.

#include <ostream>

#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/unit/wal/wal_fixture.h"

namespace haul::wal {
namespace {

using testing::ArchiveFixture;
using testing::FakeSegment;

// Two timelines, a history, a second push of the same, and neighbours taken along.
std::vector<std::pair<std::string, std::string>> files() {
  std::vector<std::pair<std::string, std::string>> files;
  const auto add = [&](const FakeSegment& segment) {
    files.emplace_back(segment.name(), segment.content());
  };
  add({.number = 4095, .pages = 3});
  add({.number = 4096, .pages = 2});
  files.push_back(files.back());
  files.emplace_back("00000002.history", testing::history_of_2("1/28"));
  add({.timeline = 2, .number = 4096, .pages = 2, .seed = 2});
  return files;
}

struct Case {
  io::SimFault fault;
  io::SimBreakage breakage;
  std::uint64_t seed = 0;
  // What follows a file that is not acknowledged. A disk that fails to sync a directory and goes on
  // as if nothing were, could not be found out by a later process; file systems with a journal end
  // with such a failure.
  enum class AfterFailure { again, nothing } after_failure = AfterFailure::again;
};

// As an archiver does: each file again, in a process of its own, until it is acknowledged.
std::vector<bool> push_all(ArchiveFixture& fixture, Case::AfterFailure after_failure) {
  const int attempts = after_failure == Case::AfterFailure::again ? 3 : 1;
  std::vector<bool> acknowledged(files().size(), false);
  std::size_t number = 0;
  for (const auto& [name, content] : files()) {
    bool done = false;
    for (int attempt = 0; attempt < attempts && !done; ++attempt) {
      done = fixture.try_reopen() && fixture.push_path("/data/pg_wal/" + name).has_value();
    }
    if (!done && after_failure == Case::AfterFailure::nothing) break;
    acknowledged[number++] = done;
  }
  return acknowledged;
}

void place_files(ArchiveFixture& fixture) {
  for (const auto& [name, content] : files()) fixture.write("data/pg_wal/" + name, content);
  HAUL_ASSERT(fixture.top()->sync_file_system().has_value());
}

// Empty when every promise was kept.
std::string violation(const Case& power_loss) {
  ArchiveFixture fixture;
  place_files(fixture);
  fixture.disk.set_breakage(power_loss.breakage);
  io::SimFault fault = power_loss.fault;
  fault.at_operation += fixture.disk.operations();
  fixture.disk.set_fault(fault);
  const std::vector<bool> acknowledged = push_all(fixture, power_loss.after_failure);
  fixture.disk.crash(power_loss.seed);
  fixture.disk.set_breakage({});
  fixture.reopen();
  const WalArchive archive = fixture.archive();
  std::size_t number = 0;
  for (const auto& [name, content] : files()) {
    const auto found = archive.get(parse_wal_name(name).value());
    const std::string where =
        format("operation {}, seed {}: {}", power_loss.fault.at_operation, power_loss.seed, name);
    const bool absent = !found && found.error().code() == ErrorCode::not_found;
    if (acknowledged[number++] && absent) return where + " was acknowledged and is gone";
    if (!found && !absent) return where + ": " + found.error().message();
    if (found && text_of(*found) != content) return where + " reads back differently";
  }
  for (const bool done : push_all(fixture, Case::AfterFailure::nothing)) {
    if (!done) return format("operation {}: cannot be pushed again", power_loss.fault.at_operation);
  }
  return "";
}

std::uint64_t operations_of_series() {
  ArchiveFixture fixture;
  place_files(fixture);
  const std::uint64_t before = fixture.disk.operations();
  for (const bool done : push_all(fixture, Case::AfterFailure::nothing)) HAUL_ASSERT(done);
  return fixture.disk.operations() - before;
}

// Over all operations, `rounds` times with other seeds.
std::string first_violation(Case power_loss, std::uint64_t rounds) {
  const std::uint64_t operations = operations_of_series();
  for (std::uint64_t number = 0; number < rounds * operations; ++number) {
    power_loss.fault.at_operation = number % operations + 1;
    power_loss.seed = number + 1;
    std::string line = violation(power_loss);
    if (!line.empty()) return line;
  }
  return "";
}

TEST(PushPowerLoss, AtAnyOperationKeepsWhatWasAcknowledged) {
  EXPECT_EQ(first_violation({}, 2), "");
}

struct DiskFailure {
  std::string name;
  io::SimFault fault;
};

void PrintTo(const DiskFailure& failure, std::ostream* out) { *out << failure.name; }

class PushDiskFailure : public ::testing::TestWithParam<DiskFailure> {};

TEST_P(PushDiskFailure, ThenPowerLossKeepsWhatWasAcknowledged) {
  EXPECT_EQ(
      first_violation(
          {.fault = GetParam().fault, .breakage = {}, .after_failure = Case::AfterFailure::nothing},
          1),
      "");
}

INSTANTIATE_TEST_SUITE_P(
    Failures, PushDiskFailure,
    ::testing::Values(
        DiskFailure{"io_error_once", {0, io::SimFault::Kind::io_error, io::SimFault::Repeat::once}},
        DiskFailure{"io_errors",
                    {0, io::SimFault::Kind::io_error, io::SimFault::Repeat::from_then_on}},
        DiskFailure{"no_space",
                    {0, io::SimFault::Kind::no_space, io::SimFault::Repeat::from_then_on}},
        DiskFailure{"short_write",
                    {0, io::SimFault::Kind::short_write, io::SimFault::Repeat::once}}),
    [](const auto& failure) { return failure.param.name; });

TEST(PushPowerLoss, FileSyncThatIsIgnoredIsFound) {
  EXPECT_NE(
      first_violation({.fault = {}, .breakage = {io::SimBreakage::Kind::file_sync_is_ignored}}, 4),
      "");
}

TEST(PushPowerLoss, DirectorySyncThatIsIgnoredIsFound) {
  EXPECT_NE(first_violation(
                {.fault = {}, .breakage = {io::SimBreakage::Kind::directory_sync_is_ignored}}, 4),
            "");
}

}  // namespace
}  // namespace haul::wal
