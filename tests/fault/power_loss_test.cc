// Simulated power loss at the layer of the repository, at every operation of a series of backups.
// A failing line names the operation and the seed that repeat it.
#include <cstdlib>
#include <ostream>

#include <gtest/gtest.h>

#include "tests/fault/power_loss_campaign.h"
#include "tests/support/snapshot_first_store.h"

namespace haul::fault {
namespace {

std::uint64_t cases() { return std::getenv("PGHAUL_TEST_FULL") != nullptr ? 3'000 : 300; }

// The first case with a violation, of `count` spread over all operations; empty when there is none.
// Once every operation was met, other seeds follow.
std::vector<std::string> first_violation(const PowerLossCampaign& campaign, std::uint64_t count,
                                         io::SimFault fault = {}) {
  const std::uint64_t operations = operations_of_series(campaign);
  for (std::uint64_t number = 0; number < count; ++number) {
    fault.at_operation = number % operations + 1;
    auto violations = run_power_loss(campaign, {fault, number + 1});
    if (!violations.empty()) return violations;
  }
  return {};
}

TEST(PowerLoss, SeriesIsShortEnoughToBeCutAtEveryOperation) {
  const std::uint64_t operations = operations_of_series({});
  RecordProperty("operations", std::to_string(operations));
  EXPECT_LE(operations, cases());
}

TEST(PowerLoss, AtAnyOperationKeepsEveryAcknowledgedBackup) {
  EXPECT_EQ(first_violation({}, cases()), std::vector<std::string>());
}

struct DiskFailure {
  std::string name;
  io::SimFault fault;
};

void PrintTo(const DiskFailure& failure, std::ostream* out) { *out << failure.name; }

class DiskFailureThenPowerLoss : public testing::TestWithParam<DiskFailure> {};

TEST_P(DiskFailureThenPowerLoss, AtAnyOperationKeepsEveryAcknowledgedBackup) {
  EXPECT_EQ(first_violation({}, cases(), GetParam().fault), std::vector<std::string>());
}

INSTANTIATE_TEST_SUITE_P(
    Failures, DiskFailureThenPowerLoss,
    testing::Values(
        DiskFailure{"io_error_once", {0, io::SimFault::Kind::io_error, io::SimFault::Repeat::once}},
        DiskFailure{"io_errors",
                    {0, io::SimFault::Kind::io_error, io::SimFault::Repeat::from_then_on}},
        DiskFailure{"no_space",
                    {0, io::SimFault::Kind::no_space, io::SimFault::Repeat::from_then_on}},
        DiskFailure{"short_write",
                    {0, io::SimFault::Kind::short_write, io::SimFault::Repeat::once}}),
    [](const auto& failure) { return failure.param.name; });

TEST(PowerLoss, FileSyncThatIsIgnoredIsFound) {
  PowerLossCampaign campaign;
  campaign.breakage = {io::SimBreakage::Kind::file_sync_is_ignored};
  EXPECT_FALSE(first_violation(campaign, cases()).empty());
}

TEST(PowerLoss, DirectorySyncThatIsIgnoredIsFound) {
  PowerLossCampaign campaign;
  campaign.breakage = {io::SimBreakage::Kind::directory_sync_is_ignored};
  EXPECT_FALSE(first_violation(campaign, cases()).empty());
}

// What finds the broken order is the power loss, not the store by itself.
TEST(PowerLoss, SnapshotBeforeItsPacksGoesUnnoticedWhileThePowerIsOn) {
  PowerLossCampaign campaign;
  campaign.wrap = support::make_snapshot_first_store;
  EXPECT_EQ(run_power_loss(campaign, {}), std::vector<std::string>());
}

TEST(PowerLoss, SnapshotBeforeItsPacksIsFound) {
  PowerLossCampaign campaign;
  campaign.wrap = support::make_snapshot_first_store;
  EXPECT_FALSE(first_violation(campaign, cases()).empty());
}

}  // namespace
}  // namespace haul::fault
