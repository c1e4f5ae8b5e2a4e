#include "tests/unit/wal/wal_fixture.h"

#include <cstring>

#include "base/format.h"
#include "engine/postgres/wal_segment.h"

namespace haul::wal::testing {

namespace {

template <typename T>
void put(std::string& image, std::size_t offset, T value) {
  std::memcpy(image.data() + offset, &value, sizeof value);
}

}  // namespace

std::string FakeSegment::name() const {
  return postgres::to_name({TimelineId{timeline}, number}, size_bytes);
}

std::string FakeSegment::content() const {
  const std::uint32_t written = pages == 0 ? size_bytes / kBlockBytes : pages;
  std::string content = support::pattern(std::size_t{written} * kBlockBytes, seed);
  content.resize(size_bytes, '\0');
  for (std::uint32_t page = 0; page < written; ++page) {
    const std::size_t offset = std::size_t{page} * kBlockBytes;
    put<std::uint16_t>(content, offset, magic);
    put<std::uint16_t>(content, offset + 2, page == 0 ? 2 : 0);
    put<std::uint32_t>(content, offset + 16, 0);
    put_timeline(content, offset, timeline);
    put_address(content, offset, number * size_bytes + offset);
  }
  put<std::uint64_t>(content, 24, system);
  put<std::uint32_t>(content, 32, size_bytes);
  put<std::uint32_t>(content, 36, kBlockBytes);
  return content;
}

void put_address(std::string& content, std::size_t offset, std::uint64_t address) {
  put<std::uint64_t>(content, offset + 8, address);
}

void put_timeline(std::string& content, std::size_t offset, std::uint32_t timeline) {
  put<std::uint32_t>(content, offset + 4, timeline);
}

std::string history_of_2(std::string_view lsn) {
  return format("1\t{}\tno recovery target specified\n", lsn);
}

ArchiveFixture::ArchiveFixture() {
  const auto root = top();
  HAUL_ASSERT(root->make_directory("data", 0700).has_value());
  HAUL_ASSERT(support::make_fake_cluster(*disk.open("data").value()).has_value());
  SeededRandom random(1);
  HAUL_ASSERT(repository::init_local_repository(
                  opener(),
                  {.path = "/repo", .owner = repository::LocalOwner::process, .parameters = {}},
                  random, clock)
                  .has_value());
  reopen();
}

repository::LocalDirectoryOpener ArchiveFixture::opener() {
  return [this](const std::string& path) -> Result<std::unique_ptr<io::Directory>> {
    auto directory = HAUL_TRY(disk.open(path.substr(1)));
    if (faults) directory = io::make_fault_directory(std::move(directory), faults);
    return directory;
  };
}

bool ArchiveFixture::try_reopen() {
  auto opened =
      repository::open_local_repository(opener(), "/repo", repository::LocalOwner::process);
  if (!opened) return false;
  repository_ = std::move(opened).take();
  return true;
}

Result<PushReport> ArchiveFixture::push_path(const std::string& path, std::size_t batch) {
  const repository::Cluster main = cluster();
  const PushOptions options{path, batch, 2};
  PushEnvironment environment;
  environment.cluster = &main;
  environment.open_directory = opener();
  environment.clock = &clock;
  environment.stop = stop.get_token();
  auto report = push_wal(options, environment);
  side = environment.side;
  return report;
}

Result<PushReport> ArchiveFixture::push(const std::string& name, const std::string& content,
                                        std::size_t batch) {
  write("data/pg_wal/" + name, content);
  return push_path("/data/pg_wal/" + name, batch);
}

Result<Delivery> ArchiveFixture::get(const std::string& name, const std::string& spool) {
  const repository::Cluster main = cluster();
  GetEnvironment environment;
  environment.repository = &*repository_;
  environment.cluster = &main;
  environment.open_directory = opener();
  environment.clock = &clock;
  environment.stop = stop.get_token();
  environment.host = &host;
  environment.boot_id = "boot";
  environment.prefetcher = {"wal", "prefetch"};
  environment.log = &log;
  return get_wal({name, "/data/pg_wal/RECOVERYXLOG", spool}, environment);
}

std::optional<std::string> ArchiveFixture::delivered() {
  auto content = support::read_file(*top(), "data/pg_wal/RECOVERYXLOG");
  if (!content) return std::nullopt;
  return std::move(content).take();
}

void ArchiveFixture::write(const std::string& path, std::string_view content) {
  static_cast<void>(top()->remove_file(path));
  HAUL_ASSERT(support::write_file(*top(), path, content).has_value());
}

void ArchiveFixture::remove(const std::string& path) {
  HAUL_ASSERT(top()->remove_file(path).has_value());
}

std::string ArchiveFixture::object(const std::string& key) const {
  return std::string(text_of(repository_->store().get(key, kWalObjectBytesMax).value()));
}

void ArchiveFixture::overwrite(const std::string& key, std::string_view bytes) {
  HAUL_ASSERT(repository_->store().replace(key, bytes_of(bytes)).has_value());
}

}  // namespace haul::wal::testing
