// A small repository in memory whose objects tests damage, and its verification.
//
// Threads:  one owner at a time.
// Errors:   what cannot fail in a test is asserted.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/postgres/backup_facts.h"
#include "engine/verify/verify.h"
#include "tests/support/repository_workload.h"

namespace haul::verify {

class DamagedRepository {
 public:
  explicit DamagedRepository(std::uint64_t seed = 1);

  // A committed backup; returns its id.
  std::string back_up(const support::FileTree& tree);
  // What a killed backup leaves: a lease, and packs that no run lists.
  void leave_killed_backup(const support::FileTree& tree);

  std::vector<std::string> keys() const;
  // Those that contain `part`, e.g. "/packs/".
  std::vector<std::string> keys_with(std::string_view part) const;
  std::string get(const std::string& key) const;
  // Whatever was there before.
  void put(const std::string& key, std::string_view content);
  void remove(const std::string& key);

  Result<VerifyReport> verify(VerifyOptions::Depth depth = VerifyOptions::Depth::data);
  // As a process of its own would: the config is read anew.
  Result<VerifyReport> verify_anew();

  const repository::Repository& repository() const { return *repository_; }
  repository::Cluster cluster() const { return support::workload_cluster(*repository_); }
  support::Workload& workload() { return workload_; }

  VerifyOptions options;
  bool leaves_records = false;
  postgres::BackupFacts facts;  // of the backups to come
  VerifyProgress progress;
  std::stop_source stop;

 private:
  Result<VerifyReport> verify_in(const repository::Repository& repository);

  SeededRandom random_{5};
  support::Workload workload_;
  std::optional<repository::Repository> repository_;
};

bool mentions(const std::vector<std::string>& lines, std::string_view text);

}  // namespace haul::verify
