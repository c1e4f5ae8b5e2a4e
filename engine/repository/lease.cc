#include "engine/repository/lease.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/format.h"
#include "base/json.h"
#include "engine/repository/framed_object.h"

namespace haul::repository {

namespace {

constexpr std::uint64_t kLeaseBytesMax = 64 * 1024;
constexpr int kNameAttemptsMax = 100;
constexpr std::size_t kBackupNameBytes = 18;  // "20261123T020222Z-F"

// The newest name that anything in the cluster bears; empty when there is none. Packs lie one level
// further down, so that their number does not matter.
Result<std::string> newest_name(const Cluster& cluster) {
  std::string newest;
  for (const std::string& prefix : {cluster.layout.leases(), cluster.layout.snapshots(),
                                    cluster.layout.packs(), cluster.layout.index()}) {
    const io::ObjectNames names = HAUL_TRY(cluster.store->list_names(prefix));
    for (const std::string& full :
         prefix == cluster.layout.packs() ? names.prefixes : names.objects) {
      const std::string name = full.substr(0, kBackupNameBytes);  // of a run without its number
      if (is_backup_name(name)) newest = std::max(newest, name);
    }
  }
  return newest;
}

// The clock's second, or the first one after `newest`: names never go back, whatever the clock
// does.
UtcTime second_after(UtcTime time, const std::string& newest) {
  const std::optional<UtcTime> taken = backup_time(newest);
  return taken ? std::max(time, UtcTime{taken->microseconds + 1'000'000}) : time;
}

// A backup that began and ended between our listing and our lease may have borne the name; its
// objects would be taken for ours.
Result<bool> was_used(const Cluster& cluster, const std::string& id) {
  for (const std::string& key : {cluster.layout.snapshot(id), cluster.layout.run({id, 1})}) {
    const auto info = cluster.store->head(key);
    if (info) return true;
    if (info.error().code() != ErrorCode::not_found) return info.error();
  }
  return !HAUL_TRY(cluster.store->list_names(cluster.layout.packs_of(id))).objects.empty();
}

}  // namespace

LeaseHolder this_process(std::string purpose) {
  LeaseHolder holder;
  holder.purpose = std::move(purpose);
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) == 0) holder.host = host;
  std::ifstream boot("/proc/sys/kernel/random/boot_id");
  std::getline(boot, holder.boot_id);
  holder.process = getpid();
  return holder;
}

Lease::Lease(const Cluster& cluster, std::string id, const LeaseHolder& holder, UtcTime started)
    : cluster_(cluster), id_(std::move(id)), holder_(holder), started_(started) {}

Lease::~Lease() = default;

Result<std::unique_ptr<Lease>> Lease::create_for_backup(const Cluster& cluster, char kind,
                                                        const LeaseHolder& holder, Clock& clock,
                                                        std::chrono::nanoseconds refresh_interval) {
  for (int attempt = 0; attempt < kNameAttemptsMax; ++attempt) {
    const UtcTime now = clock.now_utc();
    const UtcTime second = second_after(now, HAUL_TRY(newest_name(cluster)));
    const std::string id = to_compact_iso8601(second) + "-" + std::string(1, kind);
    if (!is_backup_name(id)) break;
    std::unique_ptr<Lease> lease(new Lease(cluster, id, holder, now));
    if (!HAUL_TRY(lease->reserve())) continue;
    lease->refresher_ = std::jthread([raw = lease.get(), refresh_interval](std::stop_token stop) {
      raw->refresh_until_stopped(stop, refresh_interval);
    });
    return lease;
  }
  return Error(ErrorCode::busy,
               format("cluster {}: no name could be reserved for a backup", cluster.name),
               "another process takes the names, or a clock was far ahead; see the cluster's "
               "leases and snapshots");
}

Result<bool> Lease::reserve() {
  Status created = cluster_.store->put_if_absent(cluster_.layout.lease(id_), encode(0));
  if (!created && created.error().code() == ErrorCode::already_exists) return false;
  HAUL_TRY(std::move(created));
  auto used = was_used(cluster_, id_);
  if (used && !*used) {
    HAUL_TRY(cluster_.store->make_durable(cluster_.layout.leases()));
    return true;
  }
  HAUL_TRY(cluster_.store->remove(cluster_.layout.lease(id_)));
  if (!used) return std::move(used).take_error();
  return false;
}

std::vector<std::byte> Lease::encode(std::uint64_t counter) const {
  Json json = Json::object();
  json.set("lease", id_);
  json.set("purpose", holder_.purpose);
  json.set("host", holder_.host);
  json.set("boot_id", holder_.boot_id);
  json.set("process", holder_.process);
  json.set("started_us", started_.microseconds);
  json.set("generation", std::uint64_t{0});
  json.set("counter", counter);
  return frame_object(ObjectKind::lease, cluster_.repository, cluster_.layout.lease(id_),
                      bytes_of(json.dump()));
}

void Lease::refresh_until_stopped(std::stop_token stop, std::chrono::nanoseconds interval) {
  for (std::uint64_t counter = 1;; ++counter) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, interval, [] { return false; });
    if (stop.stop_requested()) return;
    lock.unlock();
    Status refreshed = cluster_.store->replace(cluster_.layout.lease(id_), encode(counter));
    if (refreshed) continue;
    lock.lock();
    failure_ =
        std::move(refreshed).take_error().with_context("the backup's lease could not be refreshed");
    return;
  }
}

Status Lease::health() const {
  const std::scoped_lock lock(mutex_);
  if (failure_) return *failure_;
  return ok();
}

Status Lease::release() {
  if (refresher_.joinable()) {
    refresher_.request_stop();
    refresher_.join();
  }
  return cluster_.store->remove(cluster_.layout.lease(id_));
}

Result<std::vector<std::string>> list_leases(const Cluster& cluster) {
  return HAUL_TRY(cluster.store->list_names(cluster.layout.leases())).objects;
}

Status check_lease(const Cluster& cluster, const std::string& id) {
  const std::string key = cluster.layout.lease(id);
  const Json json = HAUL_TRY(read_framed_json(cluster, ObjectKind::lease, key, kLeaseBytesMax));
  const auto name = json.string_at("lease");
  if (!name || *name != id) {
    return Error(ErrorCode::corrupt, format("{}: describes another lease", key));
  }
  return ok();
}

}  // namespace haul::repository
