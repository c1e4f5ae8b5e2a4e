#include "engine/wal/wal_archive.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/format.h"
#include "engine/postgres/backup_facts.h"
#include "engine/repository/snapshot.h"

namespace haul::wal {
namespace {

using repository::Cluster;

// Looks no further than the first one: a crash may have left prefixes without any object.
Result<bool> has_object(io::ObjectStore& store, const std::string& prefix) {
  const io::ObjectNames names = HAUL_TRY(store.list_names(prefix));
  if (!names.objects.empty()) return true;
  for (const std::string& name : names.prefixes) {
    if (HAUL_TRY(has_object(store, prefix + "/" + name))) return true;
  }
  return false;
}

// Of the newest backup that can be read.
Result<std::optional<std::uint64_t>> system_of_backups(const Cluster& cluster) {
  const std::vector<std::string> ids = HAUL_TRY(repository::list_snapshots(cluster));
  std::optional<Error> damage;
  for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
    auto snapshot = repository::read_snapshot(cluster, *id);
    auto facts = snapshot ? postgres::backup_facts_from_json(snapshot->facts)
                          : Result<postgres::BackupFacts>(snapshot.error());
    if (facts) return std::optional(facts->system_identifier);
    damage = std::move(facts).take_error();
  }
  if (damage) return *std::move(damage);
  return std::nullopt;
}

// The systems that prefixes are there of, whether or not they hold anything.
Result<std::vector<std::uint64_t>> systems_listed(const Cluster& cluster) {
  std::vector<std::uint64_t> systems;
  for (const std::string& name :
       HAUL_TRY(cluster.store->list_names(cluster.layout.wal())).prefixes) {
    if (const auto system = parse_system_identifier(name)) systems.push_back(*system);
  }
  return systems;
}

Error another_system(const Cluster& cluster, std::uint64_t bound, std::uint64_t other) {
  return {ErrorCode::server_state,
          format("cluster {} belongs to system identifier {}, not {}", cluster.name, bound, other),
          "another cluster needs another --cluster name"};
}

}  // namespace

Result<std::optional<std::uint64_t>> bound_system(const Cluster& cluster) {
  std::optional<std::uint64_t> bound;
  for (const std::uint64_t system : HAUL_TRY(systems_listed(cluster))) {
    if (!HAUL_TRY(has_object(*cluster.store, WalLayout(cluster.layout, system).root()))) continue;
    if (bound) return another_system(cluster, *bound, system);
    bound = system;
  }
  if (bound) return bound;
  return system_of_backups(cluster);
}

Status check_system(const Cluster& cluster, std::uint64_t system_identifier) {
  const std::vector<std::uint64_t> systems = HAUL_TRY(systems_listed(cluster));
  // Whose prefix is there alone was checked when it came.
  if (systems.size() == 1 && systems.front() == system_identifier) return ok();
  const auto bound = HAUL_TRY(bound_system(cluster));
  if (!bound || *bound == system_identifier) return ok();
  return another_system(cluster, *bound, system_identifier);
}

Result<WalArchive::Put> WalArchive::put(const WalName& name, const WalFacts& facts,
                                        ByteSpan content) {
  const WalSource source{{system_identifier_, name}, facts, content};
  const std::string key = layout_.key(name);
  touch(name);
  const auto present = cluster_.store->head(key);
  if (!present) {
    if (present.error().code() != ErrorCode::not_found) return present.error();
    Status stored = store(source, key);
    if (stored) return Put::stored;
    if (stored.error().code() != ErrorCode::already_exists) return std::move(stored).take_error();
  }
  return compare(source);
}

Status WalArchive::store(const WalSource& source, const std::string& key) {
  const EncodedWal encoded = HAUL_TRY(encode_wal_object(cluster_, source, workers_));
  const auto writer = HAUL_TRY(cluster_.store->create(key));
  HAUL_TRY(writer->append(encoded.head));
  for (const std::vector<std::byte>& frame : encoded.frames) HAUL_TRY(writer->append(frame));
  return writer->commit();
}

// A name is given to synced bytes only, so that what is there needs no sync but of its directory.
Result<WalArchive::Put> WalArchive::compare(const WalSource& source) const {
  const std::string& text = source.key.name.text;
  auto stored = read_wal_content(cluster_, source.key);
  if (!stored) {
    Error error = std::move(stored).take_error();
    if (error.code() != ErrorCode::corrupt) return error;
    return std::move(error)
        .with_context(format("the archived copy of {} is damaged", text))
        .with_hint("it is not replaced; move it away once you know what damaged it");
  }
  if (equal_bytes(*stored, source.content)) return Put::was_there;
  const std::size_t common = std::min(stored->size(), source.content.size());
  const auto differs =
      std::mismatch(stored->begin(), stored->begin() + static_cast<std::ptrdiff_t>(common),
                    source.content.begin());
  return Error(ErrorCode::already_exists,
               format("{} is in the archive with another content, from byte {} on", text,
                      differs.first - stored->begin()),
               "two servers with one history push as one cluster, or this one was restored: "
               "give it a --cluster name of its own");
}

Status WalArchive::make_durable() {
  if (!is_bound_) HAUL_TRY(check_system(cluster_, system_identifier_));
  is_bound_ = true;
  while (!touched_.empty()) {
    HAUL_TRY(cluster_.store->make_durable(*touched_.begin()));
    touched_.erase(touched_.begin());
  }
  return ok();
}

Result<std::vector<std::byte>> WalArchive::get(const WalName& name) const {
  return read_wal_content(cluster_, {system_identifier_, name});
}

}  // namespace haul::wal
