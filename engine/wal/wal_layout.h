// Where WAL lies in a repository: one object per file of the server, found by its name alone.
//
// Threads:  values.
// Format:   docs/format.md, "WAL objects".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/repository/layout.h"
#include "engine/wal/wal_name.h"

namespace haul::wal {

// The WAL of one system within a cluster.
class WalLayout {
 public:
  WalLayout(const repository::ClusterLayout& cluster, std::uint64_t system_identifier)
      : root_(cluster.wal() + "/" + std::to_string(system_identifier)) {}

  const std::string& root() const { return root_; }
  // All segments of a timeline, by the first 16 digits of their names.
  std::string timeline(TimelineId timeline) const;
  std::string histories() const { return root_ + "/history"; }
  std::string partials() const { return root_ + "/partial"; }
  std::string backup_histories() const { return root_ + "/backup"; }
  // The prefix under which the object of this name lies, and its key.
  std::string prefix(const WalName& name) const;
  std::string key(const WalName& name) const { return prefix(name) + "/" + name.text; }

 private:
  std::string root_;
};

// Decimal, without leading zeros, not 0.
std::optional<std::uint64_t> parse_system_identifier(std::string_view text);

struct WalKey {
  std::uint64_t system_identifier = 0;
  WalName name;

  bool operator==(const WalKey&) const = default;
};

// The inverse of WalLayout::key(); nothing when no file of a server has this key.
std::optional<WalKey> parse_wal_key(const repository::ClusterLayout& cluster, std::string_view key);

}  // namespace haul::wal
