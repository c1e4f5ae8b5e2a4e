// The WAL of one cluster: put in, and got out again.
//
// A cluster's name is bound to one system identifier by what was first stored under it, a backup or
// WAL; nothing of another system ever joins it.
//
// Durability: put() syncs the bytes; the name survives a crash only after make_durable().
// Memory:   see engine/wal/wal_object.h.
// Threads:  one owner at a time.
// Errors:   server_state (the cluster is another system's, or unknown), already_exists (the name is
//           taken by another content), corrupt (what is stored under the name is damaged; it is
//           never replaced), not_found (authoritative: the store answered), and the store's own.
// Format:   docs/format.md, "WAL objects".
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/repository/cluster.h"
#include "engine/wal/wal_object.h"

namespace haul::wal {

// The system whose WAL or backups the cluster holds; nothing when it holds none.
Result<std::optional<std::uint64_t>> bound_system(const repository::Cluster& cluster);
// server_state when the cluster holds another system's.
Status check_system(const repository::Cluster& cluster, std::uint64_t system_identifier);

class WalArchive {
 public:
  // The caller has checked the system. At most `workers` threads compress.
  WalArchive(const repository::Cluster& cluster, std::uint64_t system_identifier,
             std::size_t workers = 1)
      : cluster_(cluster),
        layout_(cluster.layout, system_identifier),
        system_identifier_(system_identifier),
        workers_(workers) {}

  std::uint64_t system_identifier() const { return system_identifier_; }

  enum class Put { stored, was_there };
  // Stores an examined content under its name. A name that is taken by the very same content is a
  // success: who pushes again may not know that it was there.
  Result<Put> put(const WalName& name, const WalFacts& facts, ByteSpan content);
  // As put() does, for objects that the caller stores beside this name.
  void touch(const WalName& name) { touched_.insert(layout_.prefix(name)); }
  // Every name that put() and touch() were given so far survives a crash from now on. Of two
  // systems whose first files come at the same time one at least is refused here.
  Status make_durable();

  Result<std::vector<std::byte>> get(const WalName& name) const;

 private:
  Status store(const WalSource& source, const std::string& key);
  Result<Put> compare(const WalSource& source) const;

  const repository::Cluster cluster_;
  const WalLayout layout_;
  const std::uint64_t system_identifier_;
  const std::size_t workers_;
  std::set<std::string> touched_;  // prefixes with names that may not be durable yet
  bool is_bound_ = false;          // found to be the cluster's after something of it was stored
};

}  // namespace haul::wal
