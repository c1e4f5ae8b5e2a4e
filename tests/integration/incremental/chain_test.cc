// Chains of backups, each overlaid on the one before: every link, restored, is page by page what
// the server had on disk, and what a full backup into another repository restores.
//
//   PGHAUL_TEST_SEEDS=100-199   other chains than those that always run

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/incremental/compare_trees.h"
#include "tests/integration/incremental/random_cluster.h"
#include "tests/integration/main_job/program.h"

namespace haul::integration {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct SeedRange {
  std::uint64_t first = 1;
  std::uint64_t last = 10;
};

SeedRange seeds() {
  SeedRange range;
  const char* const given = std::getenv("PGHAUL_TEST_SEEDS");
  if (given == nullptr) return range;
  char* end = nullptr;
  range.first = range.last = std::strtoull(given, &end, 10);
  if (*end == '-') range.last = std::strtoull(end + 1, nullptr, 10);
  return range;
}

// One cluster, its repository, and a second one for full backups.
class Chain {
 public:
  explicit Chain(std::uint64_t seed) : seed_(seed), cluster_(RandomCluster::make(seed, {})) {}

  void run() {
    ASSERT_NE(cluster_, nullptr);
    for (const char* repository : {"repo", "reference"}) {
      ASSERT_EQ(workshop_.pghaul("init --repo " + workshop_.path(repository)).status, 0);
    }
    const std::uint64_t links = 5 + cluster_->draw(8);
    for (std::uint64_t link = 0; link < links; ++link) {
      cluster_->work();
      const std::string backup = back_up("repo", cluster_->draw(12) == 0 ? "--type full" : "");
      ASSERT_NE(backup, "") << where(link);
      expect_same("repo", backup, where(link));
      if (testing::Test::HasFailure()) return;
    }
    const std::string full = back_up("reference", "--type full");
    expect_same("reference", full, where(links));
    const Outcome verified = workshop_.pghaul("verify --data --repo " + workshop_.path("repo"));
    EXPECT_EQ(verified.status, 0) << verified.err << verified.out << where(links);
  }

 private:
  std::string where(std::uint64_t link) const {
    return format("seed {}, link {}\n{}", seed_, link, cluster_->history());
  }

  std::string back_up(const std::string& repository, const std::string& options) {
    const std::string codec = std::array{"lz4", "zstd", "none"}.at(cluster_->draw(3));
    const Outcome outcome = workshop_.pghaul(
        format("backup --repo {} -D {} -d '{}' -c fast --json -q --wal include -Z {} {}",
               workshop_.path(repository), cluster_->server().data_directory(),
               cluster_->server().conninfo(), codec, options));
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.status == 0 ? json_of(outcome).string_at("backup").value_or("") : "";
  }

  void expect_same(const std::string& repository, const std::string& backup,
                   const std::string& where) {
    std::string mapping;
    for (const std::string& space : cluster_->tablespaces()) {
      mapping += format(" -T {}={}", space,
                        workshop_.path("restored") + space.substr(space.rfind('/') + 1));
    }
    const Outcome restored =
        workshop_.pghaul(format("restore {} --repo {} -D {} -q{}", backup,
                                workshop_.path(repository), workshop_.path("restored"), mapping));
    EXPECT_EQ(restored.status, 0) << restored.err << where;
    EXPECT_THAT(compare_trees(cluster_->server().data_directory(), workshop_.path("restored")),
                IsEmpty())
        << where;
    workshop_.shell_as_server(format("rm -rf {0} {0}space0 {0}space1", workshop_.path("restored")));
  }

  const std::uint64_t seed_;
  Workshop workshop_;
  std::unique_ptr<RandomCluster> cluster_;
};

TEST(Chain, EveryLinkRestoresToWhatWasThere) {
  const SeedRange range = seeds();
  for (std::uint64_t seed = range.first; seed <= range.last && !HasFailure(); ++seed) {
    Chain(seed).run();
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                HasFailure() ? "failed" : "passed");
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace haul::integration
