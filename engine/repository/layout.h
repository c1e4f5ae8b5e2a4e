// Where things lie in a repository: the one place that builds and takes apart object keys. Those
// beneath wal() are made of PostgreSQL's names, and engine/wal's.
//
// Errors:   usage (a name that breaks the grammar).
// Format:   docs/format.md, "Layout".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/types.h"

namespace haul::repository {

inline constexpr std::string_view kConfigKey = "config";

// 32 random bytes, the pack's name and later its key-derivation salt; never reused.
struct PackName {
  std::array<std::byte, 32> bytes{};

  auto operator<=>(const PackName&) const = default;
};

// A pack's place: the lease it was written under and its name.
struct PackRef {
  std::string lease;
  PackName name;

  auto operator<=>(const PackRef&) const = default;
};

struct RunRef {
  std::string lease;
  std::uint32_t number = 0;  // from 1 within its lease

  auto operator<=>(const RunRef&) const = default;
};

// Letters, digits, '_', '-', '.', at most 63, beginning with a letter, digit or '_'.
Status check_cluster_name(std::string_view name);
// A backup's name is the second it began and its kind: "20261123T020222Z-F" or "-I". Its time, or
// nothing when this is no such name.
std::optional<UtcTime> backup_time(std::string_view name);
bool is_backup_name(std::string_view name);

// Keys of one cluster. A value; cheap to copy.
class ClusterLayout {
 public:
  explicit ClusterLayout(const std::string& cluster) : root_("clusters/" + cluster) {}

  const std::string& root() const { return root_; }
  std::string leases() const { return root_ + "/leases"; }
  std::string lease(std::string_view id) const { return leases() + "/" + std::string(id); }
  std::string snapshots() const { return root_ + "/snapshots"; }
  std::string snapshot(std::string_view id) const { return snapshots() + "/" + std::string(id); }
  std::string packs() const { return root_ + "/packs"; }
  std::string packs_of(std::string_view lease) const { return packs() + "/" + std::string(lease); }
  std::string pack(const PackRef& pack) const {
    return packs_of(pack.lease) + "/" + to_hex(pack.name.bytes);
  }
  std::string index() const { return root_ + "/index"; }
  std::string run(const RunRef& run) const {
    return index() + "/" + run.lease + "-" + std::to_string(run.number);
  }
  std::string gc() const { return root_ + "/gc"; }
  std::string wal() const { return root_ + "/wal"; }
  std::string records() const { return root_ + "/records"; }

  // The inverses; nothing when the key is not of this kind.
  std::optional<PackRef> parse_pack(std::string_view key) const;
  std::optional<RunRef> parse_run(std::string_view key) const;
  std::optional<std::string> parse_snapshot(std::string_view key) const;

 private:
  std::string root_;
};

}  // namespace haul::repository

template <>
struct std::hash<haul::repository::PackName> {
  std::size_t operator()(const haul::repository::PackName& name) const noexcept {
    std::size_t value = 0;
    static_assert(sizeof value <= sizeof name.bytes);
    __builtin_memcpy(&value, name.bytes.data(), sizeof value);
    return value;
  }
};
