#include "tests/fault/power_loss_campaign.h"

#include <algorithm>
#include <map>

#include "base/format.h"
#include "io/posix_object_store.h"
#include "tests/support/forwarding_store.h"
#include "tests/support/repository_check.h"
#include "tests/support/repository_workload.h"

namespace haul::fault {

namespace {

using repository::Cluster;
using repository::Repository;
using support::FileTree;
using support::Workload;

constexpr std::uint64_t kBackups = 3;

std::unique_ptr<io::ObjectStore> plain_store(io::SimDisk& disk) {
  return io::make_posix_object_store(disk.open("").value(), {});
}

// What the series was told: what it may rely on after the crash.
struct Acknowledged {
  bool init = false;
  std::map<std::string, FileTree> backups;
};

FileTree tree_of_round(std::uint64_t round) {
  FileTree tree = support::shaped_files(1);
  for (std::uint64_t i = 0; i < round; ++i) tree = support::changed_files(std::move(tree), i);
  return tree;
}

// A process that is killed when it would make its index run durable.
class KilledAtIndexSync final : public support::ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  Status make_durable(const std::string& prefix) override {
    if (prefix.ends_with("/index")) return Error(ErrorCode::interrupted, "killed");
    return inner().make_durable(prefix);
  }
};

// Another process stores the tree of `round` and is killed, before or right after it published its
// index run. False when the disk failed before that.
bool leave_objects(io::SimDisk& disk, const PowerLossCampaign& campaign, std::uint64_t round) {
  auto store = plain_store(disk);
  if (campaign.wrap) store = campaign.wrap(std::move(store));
  store = std::make_unique<KilledAtIndexSync>(std::move(store));
  const auto repository = Repository::open(std::move(store));
  if (!repository) return false;
  Workload workload(10 + round);
  if (round % 2 == 0) return workload.back_up_partly(*repository, tree_of_round(round)).has_value();
  const auto killed = workload.back_up(*repository, tree_of_round(round));
  HAUL_ASSERT(!killed);
  return killed.error().code() == ErrorCode::interrupted;
}

// Init, then backups of a changing tree, until something fails.
Acknowledged run_series(io::SimDisk& disk, const PowerLossCampaign& campaign) {
  Acknowledged acknowledged;
  auto store = plain_store(disk);
  if (campaign.wrap) store = campaign.wrap(std::move(store));
  Workload workload(1);
  if (!workload.init(*store)) return acknowledged;
  acknowledged.init = true;
  const auto repository = Repository::open(std::move(store));
  if (!repository) return acknowledged;
  for (std::uint64_t round = 0; round < kBackups; ++round) {
    FileTree tree = tree_of_round(round);
    const auto id = workload.back_up(*repository, tree);
    if (!id) return acknowledged;
    acknowledged.backups.emplace(*id, std::move(tree));
    // The next backup builds on what this leaves, some of which was never made durable.
    if (!leave_objects(disk, campaign, round + 1)) return acknowledged;
  }
  return acknowledged;
}

class Inspection {
 public:
  Inspection(io::SimDisk& disk, const Acknowledged& acknowledged)
      : disk_(disk), acknowledged_(acknowledged) {}

  std::vector<std::string> run() {
    auto repository = Repository::open(plain_store(disk_));
    if (!repository && repository.error().code() == ErrorCode::no_repository) {
      if (acknowledged_.init) violation("an acknowledged repository is gone");
      repository = init_again();
    }
    if (!repository) {
      violation(repository.error().message());
      return std::move(violations_);
    }
    inspect(support::workload_cluster(*repository));
    back_up_again(*repository);
    return std::move(violations_);
  }

 private:
  void violation(std::string line) { violations_.push_back(std::move(line)); }

  Result<Repository> init_again() {
    auto store = plain_store(disk_);
    HAUL_TRY(Workload(2).init(*store));
    return Repository::open(std::move(store));
  }

  void inspect(const Cluster& cluster) {
    for (const std::string& line : support::check_everything(cluster)) violation(line);
    const auto listed = repository::list_snapshots(cluster);
    if (!listed) return violation(listed.error().message());
    for (const auto& [id, tree] : acknowledged_.backups) {
      if (std::ranges::find(*listed, id) == listed->end()) {
        violation(format("acknowledged backup {} is gone", id));
      }
    }
    for (const std::string& id : *listed) inspect_backup(cluster, id);
  }

  // A backup that was cut down right at its end may be there; then it is whole.
  void inspect_backup(const Cluster& cluster, const std::string& id) {
    const auto known = acknowledged_.backups.find(id);
    const FileTree expected = known != acknowledged_.backups.end()
                                  ? known->second
                                  : tree_of_round(acknowledged_.backups.size());
    const auto back = support::read_back(cluster, id);
    if (!back) return violation(back.error().message());
    if (*back != expected) violation(format("backup {} reads back differently", id));
  }

  void back_up_again(const Repository& repository) {
    Workload workload(3);
    const FileTree tree = tree_of_round(1);
    const auto id = workload.back_up(repository, tree);
    if (!id) return violation(format("the next backup fails: {}", id.error().message()));
    const auto back = support::read_back(support::workload_cluster(repository), *id);
    if (!back || *back != tree) violation("the next backup does not read back");
  }

  io::SimDisk& disk_;
  const Acknowledged& acknowledged_;
  std::vector<std::string> violations_;
};

}  // namespace

std::uint64_t operations_of_series(const PowerLossCampaign& campaign) {
  io::SimDisk disk;
  const Acknowledged acknowledged = run_series(disk, campaign);
  HAUL_ASSERT(acknowledged.backups.size() == kBackups);
  return disk.operations();
}

std::vector<std::string> run_power_loss(const PowerLossCampaign& campaign,
                                        const PowerLossCase& power_loss) {
  io::SimDisk disk;
  disk.set_breakage(campaign.breakage);
  disk.set_fault(power_loss.fault);
  const Acknowledged acknowledged = run_series(disk, campaign);
  disk.crash(power_loss.seed);
  disk.set_breakage({});
  std::vector<std::string> violations = Inspection(disk, acknowledged).run();
  for (std::string& line : violations) {
    line =
        format("operation {}, seed {}: {}", power_loss.fault.at_operation, power_loss.seed, line);
  }
  return violations;
}

}  // namespace haul::fault
