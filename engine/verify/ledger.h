// Which bytes of a cluster were last read when: what each verification leaves in the repository,
// and what all of them come to.
//
// A verification may read a share of the data, by a shard: daily shards 1/7 to 7/7 have read
// everything within a week. What a shard takes depends on names alone. A record says how much there
// was to share out, so that what came later does not pass for read.
//
// Units:    sizes are bytes, times UTC.
// Memory:   about 200 bytes per object of the repository.
// Threads:  functions from any thread.
// Errors:   those of the store; corrupt (a record).
// Format:   docs/format.md, "Records".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "engine/verify/inventory.h"

namespace haul::verify {

inline constexpr std::uint32_t kShardsMax = 10'000;

// The number-th of `of` equal shares.
struct Shard {
  std::uint32_t number = 1;  // from 1
  std::uint32_t of = 1;

  // Packs, and WAL segments by their names.
  bool takes(const repository::PackRef& pack) const;
  bool takes(std::string_view segment) const;

  bool operator==(const Shard&) const = default;
};

struct VerificationRecord {
  // Segments of 4 GiB of WAL, by the first 16 digits of their names.
  struct Segments {
    std::uint64_t count = 0;
    std::string last;

    bool operator==(const Segments&) const = default;
  };

  UtcTime began;
  UtcTime finished;
  std::string program;
  bool data = false;  // every byte of the shard; else the structure alone
  Shard shard;
  std::uint64_t bytes_read = 0;
  std::uint64_t findings = 0;
  std::vector<std::string> affected;  // backups

  // What there was: packs by lease, and segments.
  std::map<std::string, std::uint64_t> packs;
  std::map<std::string, Segments> segments;

  bool operator==(const VerificationRecord&) const = default;
};

Json to_json(const VerificationRecord& record);
Result<VerificationRecord> verification_from_json(const Json& json);

// Counts what there is into the record.
void count_objects(const Inventory& inventory, VerificationRecord& record);

struct Coverage {
  std::optional<VerificationRecord> last;       // of any depth
  std::optional<VerificationRecord> last_data;  // that read data
  std::uint64_t stored_bytes = 0;               // packs and WAL segments
  std::uint64_t never_read_bytes = 0;           // since they were stored
  // Since when some byte has not been read: where it never was, since it was stored as far as that
  // is known. Nothing: there is nothing to read.
  std::optional<UtcTime> unread_since;
};

// `records` from the oldest to the newest; `oldest_backup` began when, if there is one.
Coverage find_coverage(const Inventory& inventory, const std::vector<VerificationRecord>& records,
                       std::optional<UtcTime> oldest_backup);

// Those that found damage and after which nobody looked at the same again, oldest first.
std::vector<VerificationRecord> standing_damage(const std::vector<VerificationRecord>& records);

// All verifications of a cluster, oldest first; a record that is damaged becomes a finding.
Result<std::vector<VerificationRecord>> read_verifications(const repository::Cluster& cluster,
                                                           repository::Findings& findings);

}  // namespace haul::verify
