#include "tests/unit/verify/verify_fixture.h"

#include <algorithm>

#include "engine/postgres/backup_facts.h"
#include "tests/support/memory_object_store.h"

namespace haul::verify {

DamagedRepository::DamagedRepository(std::uint64_t seed) : workload_(seed) {
  auto store = support::make_memory_object_store();
  HAUL_ASSERT(workload_.init(*store).has_value());
  repository_ = repository::Repository::open(std::move(store)).value();
  options.workers = 1;
  facts.server_version = 150000;
  facts.system_identifier = 1;
  facts.block_size_bytes = 8192;
  facts.wal_segment_size_bytes = 16 << 20;
  facts.start_timeline = facts.stop_timeline = TimelineId{1};
  facts.wal_included = true;
  facts.start = Lsn{0x3000028};
  facts.stop = Lsn{0x3000100};
}

std::string DamagedRepository::back_up(const support::FileTree& tree) {
  const std::string id = workload_.back_up(*repository_, tree).value();
  // The workload knows nothing of PostgreSQL; what it commits gets facts here.
  repository::Snapshot snapshot = repository::read_snapshot(cluster(), id).value();
  snapshot.facts = postgres::to_json(facts);
  remove(cluster().layout.snapshot(id));
  HAUL_ASSERT(repository::commit_snapshot(snapshot, cluster()).has_value());
  return id;
}

void DamagedRepository::leave_killed_backup(const support::FileTree& tree) {
  HAUL_ASSERT(workload_.back_up_partly(*repository_, tree).has_value());
}

std::vector<std::string> DamagedRepository::keys() const { return keys_with(""); }

std::vector<std::string> DamagedRepository::keys_with(std::string_view part) const {
  std::vector<std::string> keys;
  const std::vector<io::ObjectInfo> objects = repository_->store().list("").value();
  for (const io::ObjectInfo& object : objects) {
    if (object.key.contains(part)) keys.push_back(object.key);
  }
  return keys;
}

std::string DamagedRepository::get(const std::string& key) const {
  const std::vector<std::byte> bytes = repository_->store().get(key, 1 << 24).value();
  return std::string(text_of(bytes));
}

void DamagedRepository::put(const std::string& key, std::string_view content) {
  HAUL_ASSERT(repository_->store().replace(key, bytes_of(content)).has_value());
}

void DamagedRepository::remove(const std::string& key) {
  HAUL_ASSERT(repository_->store().remove(key).has_value());
}

Result<VerifyReport> DamagedRepository::verify(VerifyOptions::Depth depth) {
  options.depth = depth;
  return verify_in(*repository_);
}

Result<VerifyReport> DamagedRepository::verify_anew() {
  options.depth = VerifyOptions::Depth::data;
  auto store = support::make_memory_object_store();
  for (const std::string& key : keys()) HAUL_TRY(store->put_if_absent(key, bytes_of(get(key))));
  const repository::Repository opened = HAUL_TRY(repository::Repository::open(std::move(store)));
  return verify_in(opened);
}

Result<VerifyReport> DamagedRepository::verify_in(const repository::Repository& repository) {
  SystemClock clock;
  SilentLog log;
  VerifyEnvironment environment;
  environment.repository = &repository;
  environment.clock = &clock;
  environment.log = &log;
  environment.stop = stop.get_token();
  environment.progress = &progress;
  environment.program = "pghaul test";
  if (leaves_records) environment.random = &random_;
  return run_verify(options, environment);
}

bool mentions(const std::vector<std::string>& lines, std::string_view text) {
  return std::ranges::any_of(lines,
                             [text](const std::string& line) { return line.contains(text); });
}

}  // namespace haul::verify
