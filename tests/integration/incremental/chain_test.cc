// Chains of backups, each overlaid on the one before: every link, restored, is page by page what
// the server had on disk, and what a full backup into another repository restores.
//
//   PGHAUL_TEST_SEEDS=100-199   other chains than those that always run

#include <unistd.h>

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/incremental/compare_trees.h"
#include "tests/integration/incremental/random_cluster.h"
#include "tests/integration/main_job/program.h"

namespace haul::integration {
namespace {

using testing::HasSubstr;
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

// One cluster, which archives into its repository, and a second one for full backups.
class Chain {
 public:
  explicit Chain(std::uint64_t seed) : seed_(seed) {}

  void run() {
    for (const char* repository : {"repo", "reference"}) {
      ASSERT_EQ(workshop_.pghaul("init --repo " + workshop_.path(repository)).status, 0);
    }
    cluster_ = RandomCluster::make(
        seed_,
        {"archive_mode = on", format("archive_command = '{} wal push --repo {} --batch 16 %p'",
                                     workshop_.path("pghaul"), workshop_.path("repo"))});
    ASSERT_NE(cluster_, nullptr);
    const std::uint64_t links = 5 + cluster_->draw(8);
    for (std::uint64_t link = 0; link < links; ++link) {
      cluster_->work();
      // What a backup has copied while pages changed is right only with its WAL: that the next one
      // does not rely on it shows when writes have stopped.
      if (cluster_->draw(3) == 0) {
        const RandomCluster::Load load(*cluster_);
        ASSERT_NE(back_up_by_lot(), "") << where(link);
      }
      const std::string backup = back_up_by_lot();
      ASSERT_NE(backup, "") << where(link);
      expect_same("repo", backup, where(link));
      if (testing::Test::HasFailure()) return;
    }
    const std::string full = back_up("reference", "--type full");
    expect_same("reference", full, where(links));
    const Outcome verified = workshop_.pghaul("verify --data --repo " + workshop_.path("repo"));
    EXPECT_EQ(verified.status, 0) << verified.err << verified.out << where(links);
  }

  std::uint64_t from_wal() const { return from_wal_; }

 private:
  std::string where(std::uint64_t link) const {
    return format("seed {}, link {}\n{}", seed_, link, cluster_->history());
  }

  // Any kind of backup. Where WAL may not be relied upon (what the cluster went through decides) it
  // is a scan.
  std::string back_up_by_lot() {
    const std::uint64_t lot = cluster_->draw(12);
    if (lot == 0) return back_up("repo", "--type full");
    if (lot < 5) return back_up("repo", "--changes scan");
    const Outcome outcome = try_back_up("repo", "--changes wal");
    if (outcome.status == 0) {
      const Json json = json_of(outcome);
      if (json.string_at("changes").value_or("") == "wal") ++from_wal_;
      return json.string_at("backup").value_or("");
    }
    EXPECT_EQ(outcome.status, 15) << outcome.err << cluster_->history();
    EXPECT_THAT(outcome.err, HasSubstr("(condition 4)"));
    return back_up("repo", "--changes scan");
  }

  std::string back_up(const std::string& repository, const std::string& options) {
    const Outcome outcome = try_back_up(repository, options);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.status == 0 ? json_of(outcome).string_at("backup").value_or("") : "";
  }

  Outcome try_back_up(const std::string& repository, const std::string& options) {
    const std::string codec = std::array{"lz4", "zstd", "none"}.at(cluster_->draw(3));
    const std::string wal = repository == "repo" && cluster_->draw(2) == 0 ? "archive" : "include";
    return workshop_.pghaul(
        format("backup --repo {} -D {} -d '{}' -c fast --json -q --wal {} -Z {} {}",
               workshop_.path(repository), cluster_->server().data_directory(),
               cluster_->server().conninfo(), wal, codec, options));
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
  std::uint64_t from_wal_ = 0;
};

TEST(Chain, EveryLinkRestoresToWhatWasThere) {
  const SeedRange range = seeds();
  std::uint64_t from_wal = 0;
  for (std::uint64_t seed = range.first; seed <= range.last && !HasFailure(); ++seed) {
    Chain chain(seed);
    chain.run();
    from_wal += chain.from_wal();
    std::printf("seed %llu: %s, %llu backups from WAL\n", static_cast<unsigned long long>(seed),
                HasFailure() ? "failed" : "passed",
                static_cast<unsigned long long>(chain.from_wal()));
    std::fflush(stdout);
  }
  // One chain by itself may have none.
  if (range.last > range.first) {
    EXPECT_GT(from_wal, 0U);
  }
}

}  // namespace
}  // namespace haul::integration
