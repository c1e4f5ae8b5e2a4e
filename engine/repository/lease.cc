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

// The newest name that anything in the cluster bears; empty when there is none.
Result<std::string> newest_name(const Cluster& cluster) {
  std::string newest;
  for (const std::string& prefix :
       {cluster.layout.leases(), cluster.layout.snapshots(), cluster.layout.packs(), cluster.layout.index()}) {
    for (const io::ObjectInfo& object : HAUL_TRY(cluster.store->list(prefix))) {
      const std::string name = object.key.substr(prefix.size() + 1, 18);
      if (is_backup_name(name)) newest = std::max(newest, name);
    }
  }
  return newest;
}

// The first second, from `time` on, whose name comes after `newest`.
UtcTime second_after(UtcTime time, const std::string& newest) {
  while (!newest.empty() && to_compact_iso8601(time) <= newest.substr(0, 16)) time.microseconds += 1'000'000;
  return time;
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

Result<std::unique_ptr<Lease>> Lease::create_for_backup(const Cluster& cluster, char kind, const LeaseHolder& holder,
                                                        Clock& clock) {
  for (int attempt = 0; attempt < kNameAttemptsMax; ++attempt) {
    const UtcTime time = second_after(clock.now_utc(), HAUL_TRY(newest_name(cluster)));
    std::unique_ptr<Lease> lease(
        new Lease(cluster, to_compact_iso8601(time) + "-" + std::string(1, kind), holder, clock.now_utc()));
    Status created = cluster.store->put_if_absent(cluster.layout.lease(lease->id_), lease->encode(0));
    if (!created && created.error().code() == ErrorCode::already_exists) continue;
    if (!created) return std::move(created).take_error();
    HAUL_TRY(cluster.store->make_durable(cluster.layout.leases()));
    lease->refresher_ = std::jthread([raw = lease.get()](std::stop_token stop) { raw->refresh_until_stopped(stop); });
    return lease;
  }
  return Error(ErrorCode::busy, format("cluster {}: no name could be reserved for a backup", cluster.name),
               "another process takes the names; try again");
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
  return frame_object(ObjectKind::lease, cluster_.repository, cluster_.layout.lease(id_), bytes_of(json.dump()));
}

void Lease::refresh_until_stopped(std::stop_token stop) {
  for (std::uint64_t counter = 1;; ++counter) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, stop, kRefreshInterval, [] { return false; });
    if (stop.stop_requested()) return;
    lock.unlock();
    Status refreshed = cluster_.store->replace(cluster_.layout.lease(id_), encode(counter));
    if (refreshed) continue;
    lock.lock();
    failure_ = std::move(refreshed).take_error().with_context("the backup's lease could not be refreshed");
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
  std::vector<std::string> ids;
  const std::string prefix = cluster.layout.leases();
  for (const io::ObjectInfo& object : HAUL_TRY(cluster.store->list(prefix))) {
    ids.push_back(object.key.substr(prefix.size() + 1));
  }
  return ids;
}

Status check_lease(const Cluster& cluster, const std::string& id) {
  const std::string key = cluster.layout.lease(id);
  const std::vector<std::byte> object = HAUL_TRY(cluster.store->get(key, kLeaseBytesMax));
  const FramedObject frame = HAUL_TRY(unframe_object(ObjectKind::lease, key, object));
  if (frame.repository != cluster.repository) {
    return Error(ErrorCode::corrupt, format("{}: belongs to another repository", key));
  }
  HAUL_TRY(Json::parse(text_of(frame.body)));
  return ok();
}

}  // namespace haul::repository
