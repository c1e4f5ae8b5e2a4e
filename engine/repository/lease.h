// Who is writing or reading a cluster now: reserves a backup's name and lets gc see that someone is
// there.
//
// Creating a lease is the first thing a backup does, before it lists packs: a pack seen after that
// is safe from any gc that begins later. A counter, not a clock, shows that the holder lives; it is
// raised every 30 s by a thread of the lease.
//
// Memory:   constant.
// Threads:  one owner; owns one thread.
// Errors:   busy (the name is taken), io, permission, no_space.
// Format:   docs/format.md, "Leases".
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "engine/repository/cluster.h"

namespace haul::repository {

struct LeaseHolder {
  std::string purpose;  // "backup", "restore", "verify"
  std::string host;
  std::string boot_id;
  std::int64_t process = 0;
};

// This process on this machine.
LeaseHolder this_process(std::string purpose);

class Lease {
 public:
  static constexpr std::chrono::seconds kRefreshInterval{30};

  // Reserves a name for a new backup of the given kind ('F' or 'I'): the clock's second, or the
  // first one after every name that exists. Durable when it returns.
  static Result<std::unique_ptr<Lease>> create_for_backup(
      const Cluster& cluster, char kind, const LeaseHolder& holder, Clock& clock,
      std::chrono::nanoseconds refresh_interval = kRefreshInterval);
  // Abandons: the object stays for gc to judge. release() is the orderly end.
  ~Lease();

  const std::string& id() const { return id_; }
  // The first failure to refresh; the holder must not commit after one.
  Status health() const;
  // Stops refreshing and removes the object.
  Status release();

 private:
  Lease(const Cluster& cluster, std::string id, const LeaseHolder& holder, UtcTime started);
  std::vector<std::byte> encode(std::uint64_t counter) const;
  // False when the name is or was another's.
  Result<bool> reserve();
  void refresh_until_stopped(std::stop_token stop, std::chrono::nanoseconds interval);

  const Cluster cluster_;
  const std::string id_;
  const LeaseHolder holder_;
  const UtcTime started_;
  mutable std::mutex mutex_;  // guards failure_
  std::condition_variable_any wake_;
  std::optional<Error> failure_;
  std::jthread refresher_;
};

// For info and verify: the ids of all leases.
Result<std::vector<std::string>> list_leases(const Cluster& cluster);
// Checks one lease object whole.
Status check_lease(const Cluster& cluster, const std::string& id);

}  // namespace haul::repository
