#include "engine/verify/ledger.h"

#include <algorithm>
#include <set>
#include <utility>

#include "compress/checksum.h"
#include "engine/repository/byte_io.h"

namespace haul::verify {

using repository::PackRef;

namespace {

constexpr std::size_t kGroupDigits = 16;

std::uint64_t first_word(ByteSpan bytes) { return repository::ByteReader(bytes).u64(); }

std::string group_of(std::string_view segment) {
  return std::string(segment.substr(0, kGroupDigits));
}

// Calls `visit(name, size_bytes)` for every whole segment.
template <typename Visit>
void for_each_segment(const Inventory& inventory, Visit visit) {
  for (const WalFile& file : inventory.wal) {
    if (file.key.name.kind == wal::WalFileKind::segment) {
      visit(file.key.name.text, file.size_bytes);
    }
  }
}

Result<UtcTime> time_at(const Json& json, std::string_view key) {
  return UtcTime{HAUL_TRY(json.int_at(key))};
}

// How many segments there are now that a record knew of, by their group.
using KnownSegments = std::map<std::string, std::uint64_t>;

KnownSegments known_segments(const Inventory& inventory, const VerificationRecord& record) {
  KnownSegments known;
  for_each_segment(inventory, [&](const std::string& name, std::uint64_t) {
    const auto group = record.segments.find(group_of(name));
    if (group != record.segments.end() && name <= group->second.last) ++known[group->first];
  });
  return known;
}

// What is left of a coverage while records are gone through, newest first.
class Unread {
 public:
  Unread(const Inventory& inventory, Coverage& coverage)
      : inventory_(&inventory), coverage_(&coverage) {
    for (const auto& [pack, size] : inventory.packs) {
      packs_.push_back(&pack);
      ++packs_now_[pack.lease];
    }
    for_each_segment(inventory, [&](const std::string& name, std::uint64_t size_bytes) {
      segments_.push_back({name, size_bytes, std::nullopt});
    });
  }

  bool nothing() const { return packs_.empty() && segments_.empty(); }

  void take_off(const VerificationRecord& record) {
    std::erase_if(packs_, [&](const PackRef* pack) {
      const auto there_were = record.packs.find(pack->lease);
      return there_were != record.packs.end() && packs_now_.at(pack->lease) <= there_were->second &&
             record.shard.takes(*pack) && read_at(record.began);
    });
    const KnownSegments known = known_segments(*inventory_, record);
    std::erase_if(segments_, [&](Segment& segment) {
      const auto group = record.segments.find(group_of(segment.name));
      if (group == record.segments.end() || segment.name > group->second.last ||
          known.at(group->first) > group->second.count) {
        return false;
      }
      segment.known_since = record.began;
      return record.shard.takes(segment.name) && read_at(record.began);
    });
  }

  // What no record has read.
  void add_rest(std::optional<UtcTime> stored_at_least_since) {
    for (const PackRef* pack : packs_) {
      coverage_->never_read_bytes += inventory_->packs.at(*pack);
      read_at(repository::backup_time(pack->lease).value_or(UtcTime{}));
    }
    for (const Segment& segment : segments_) {
      coverage_->never_read_bytes += segment.size_bytes;
      const auto since = segment.known_since ? segment.known_since : stored_at_least_since;
      if (since) read_at(*since);
    }
  }

 private:
  struct Segment {
    std::string name;
    std::uint64_t size_bytes = 0;
    std::optional<UtcTime> known_since;  // of the oldest record that knew of it
  };

  // True, for those that call it last.
  bool read_at(UtcTime time) {
    auto& since = coverage_->unread_since;
    since = since ? std::min(*since, time) : time;
    return true;
  }

  const Inventory* inventory_;
  Coverage* coverage_;
  std::map<std::string, std::uint64_t> packs_now_;  // by lease
  std::vector<const PackRef*> packs_;
  std::vector<Segment> segments_;
};

}  // namespace

bool Shard::takes(const PackRef& pack) const {
  return first_word(pack.name.bytes) % of == number - 1;
}

bool Shard::takes(std::string_view segment) const {
  return first_word(compress::checksum(bytes_of(segment)).bytes) % of == number - 1;
}

Json to_json(const VerificationRecord& record) {
  Json json = Json::object();
  json.set("began_us", record.began.microseconds);
  json.set("finished_us", record.finished.microseconds);
  json.set("program", record.program);
  json.set("data", record.data);
  json.set("shard", record.shard.number);
  json.set("shards", record.shard.of);
  json.set("bytes_read", record.bytes_read);
  json.set("findings", record.findings);
  Json affected = Json::array();
  for (const std::string& backup : record.affected) affected.push(backup);
  json.set("affected", std::move(affected));
  Json packs = Json::object();
  for (const auto& [lease, count] : record.packs) packs.set(lease, count);
  json.set("packs", std::move(packs));
  Json segments = Json::object();
  for (const auto& [group, there] : record.segments) {
    Json entry = Json::object();
    entry.set("count", there.count);
    entry.set("last", there.last);
    segments.set(group, std::move(entry));
  }
  json.set("segments", std::move(segments));
  return json;
}

Result<VerificationRecord> verification_from_json(const Json& json) {
  VerificationRecord record;
  record.began = HAUL_TRY(time_at(json, "began_us"));
  record.finished = HAUL_TRY(time_at(json, "finished_us"));
  record.program = HAUL_TRY(json.string_at("program"));
  record.data = HAUL_TRY(json.bool_at("data"));
  const std::uint64_t number = HAUL_TRY(json.uint_at("shard"));
  const std::uint64_t of = HAUL_TRY(json.uint_at("shards"));
  if (number < 1 || number > of || of > kShardsMax) {
    return Error(ErrorCode::corrupt, "there is no such shard");
  }
  record.shard = {static_cast<std::uint32_t>(number), static_cast<std::uint32_t>(of)};
  record.bytes_read = HAUL_TRY(json.uint_at("bytes_read"));
  record.findings = HAUL_TRY(json.uint_at("findings"));
  for (const Json& backup : *HAUL_TRY(json.array_at("affected"))) {
    record.affected.push_back(HAUL_TRY(backup.as_string()));
  }
  for (const auto& [lease, count] : HAUL_TRY(json.object_at("packs"))->members()) {
    record.packs[lease] = HAUL_TRY(count.as_uint());
  }
  for (const auto& [group, there] : HAUL_TRY(json.object_at("segments"))->members()) {
    record.segments[group] = {HAUL_TRY(there.uint_at("count")), HAUL_TRY(there.string_at("last"))};
  }
  return record;
}

void count_objects(const Inventory& inventory, VerificationRecord& record) {
  for (const auto& [pack, size] : inventory.packs) ++record.packs[pack.lease];
  for_each_segment(inventory, [&](const std::string& name, std::uint64_t) {
    VerificationRecord::Segments& group = record.segments[group_of(name)];
    ++group.count;
    group.last = std::max(group.last, name);
  });
}

Coverage find_coverage(const Inventory& inventory, const std::vector<VerificationRecord>& records,
                       std::optional<UtcTime> oldest_backup) {
  Coverage coverage;
  for (const auto& [pack, size] : inventory.packs) coverage.stored_bytes += size;
  for_each_segment(inventory, [&](const std::string&, std::uint64_t size_bytes) {
    coverage.stored_bytes += size_bytes;
  });
  if (!records.empty()) coverage.last = records.back();
  Unread unread(inventory, coverage);
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    if (!record->data) continue;
    if (!coverage.last_data) coverage.last_data = *record;
    if (unread.nothing()) break;
    unread.take_off(*record);
  }
  // A segment that no record knew of came after the newest one.
  unread.add_rest(coverage.last_data ? std::optional(coverage.last_data->began) : oldest_backup);
  return coverage;
}

std::vector<VerificationRecord> standing_damage(const std::vector<VerificationRecord>& records) {
  std::vector<VerificationRecord> standing;
  std::set<std::pair<std::uint32_t, std::uint32_t>> seen;  // shards
  for (auto record = records.rbegin(); record != records.rend(); ++record) {
    // Structure is looked at every time.
    const bool is_newest = record == records.rbegin();
    if (!record->data && !is_newest) continue;
    const bool is_last_of_shard =
        !record->data || seen.emplace(record->shard.number, record->shard.of).second;
    if (is_last_of_shard && record->findings > 0) standing.push_back(*record);
    if (record->data && record->shard.of == 1) break;
  }
  std::ranges::reverse(standing);
  return standing;
}

Result<std::vector<VerificationRecord>> read_verifications(const repository::Cluster& cluster,
                                                           repository::Findings& findings) {
  std::vector<VerificationRecord> records;
  const auto kind = repository::RecordKind::verification;
  for (const std::string& id : HAUL_TRY(repository::list_records(cluster, kind))) {
    const auto json = repository::read_record(cluster, {kind, id});
    auto record = json ? verification_from_json(*json) : Result<VerificationRecord>(json.error());
    if (record) {
      records.push_back(std::move(record).take());
      continue;
    }
    if (!is_damage(record.error())) return std::move(record).take_error();
    const std::string key = repository::record_key(cluster.layout, {kind, id});
    const std::string& message = record.error().message();
    findings.add(message.starts_with(key) ? message : key + ": " + message);
  }
  return records;
}

}  // namespace haul::verify
