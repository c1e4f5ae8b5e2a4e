#include "tests/unit/restore/restore_fixture.h"

#include <algorithm>

#include "base/format.h"
#include "compress/digest.h"
#include "engine/repository/tree_store.h"
#include "engine/restore/target.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/support/memory_object_store.h"

namespace haul::restore {

using repository::ChunkId;
using repository::ContentKind;
using repository::EntryKind;
using repository::TreeEntry;

void RecordingLog::write(LogLevel level, std::string_view line) {
  const std::scoped_lock lock(mutex_);
  lines_.emplace_back(level, line);
}

bool RecordingLog::has(LogLevel level, std::string_view line) const {
  const std::scoped_lock lock(mutex_);
  return std::ranges::any_of(lines_, [&](const auto& entry) {
    return entry.first == level && entry.second.find(line) != std::string::npos;
  });
}

TestRepository::TestRepository() : TestRepository(support::make_memory_object_store()) {}

TestRepository::TestRepository(std::unique_ptr<io::ObjectStore> store) {
  SystemClock clock;
  repository::RepositoryParameters parameters;
  parameters.chunk_pages = repository::kChunkPagesMin;
  HAUL_ASSERT(repository::Repository::init(*store, parameters, random_, clock).has_value());
  repository_ = repository::Repository::open(std::move(store)).value();
}

BackupBuilder::BackupBuilder(TestRepository& repository, std::string_view id)
    : repository_(repository),
      id_(id),
      cluster_(repository.cluster()),
      index_(repository::Index::open(cluster_, findings_).value()),
      writer_(cluster_, *index_, id_, repository.random()),
      encoder_(repository::ChunkEncoder::open(writer_, {}).value()),
      data_(writer_),
      metadata_(writer_) {
  facts.online = false;
  facts.server_version = 150000;
  facts.system_identifier = support::kFakeSystemIdentifier;
  facts.catalog_version = 202209061;
  facts.block_size_bytes = 8192;
  facts.relation_segment_blocks = 131072;
  facts.wal_segment_size_bytes = support::kFakeWalSegmentSize;
  facts.data_checksum_version = 1;
  facts.start = facts.stop = Lsn{0x3000028};
  facts.start_timeline = facts.stop_timeline = TimelineId{1};
  facts.wal_included = true;
  facts.data_directory = "/var/lib/postgresql/15/main";
  facts.owner_user = "postgres";
  facts.owner_group = "postgres";
}

BackupBuilder& BackupBuilder::data_directory() {
  for (const char* path : {"base", "base/5", "global", "pg_tblspc", "pg_wal"}) directory(path);
  directory("pg_wal/archive_status");
  file("PG_VERSION", "15\n");
  return file("global/pg_control", support::fake_control_file());
}

BackupBuilder& BackupBuilder::online() {
  facts.online = true;
  facts.start = Lsn{0x300028};
  facts.stop = Lsn{0x400100};
  // Segments of 1 MiB: the start lies in number 3, the stop in number 4.
  facts.backup_label =
      "START WAL LOCATION: 0/300028 (file 000000010000000000000003)\n"
      "CHECKPOINT LOCATION: 0/300060\n"
      "BACKUP METHOD: streamed\n"
      "BACKUP FROM: primary\n"
      "START TIME: 2026-11-23 02:02:22 UTC\n"
      "LABEL: test\n"
      "START TIMELINE: 1\n";
  file("pg_wal/000000010000000000000003", support::fake_wal_segment(3));
  return file("pg_wal/000000010000000000000004", support::fake_wal_segment(4));
}

BackupBuilder& BackupBuilder::directory(std::string_view path, std::uint32_t mode) {
  TreeEntry entry;
  entry.kind = EntryKind::directory;
  entry.path = path;
  entry.mode = mode;
  entries_.push_back(std::move(entry));
  return *this;
}

BackupBuilder& BackupBuilder::file(std::string_view path, std::string_view content,
                                   std::uint32_t mode) {
  TreeEntry entry;
  entry.path = path;
  entry.mode = mode;
  contents_[entry.path] = content;
  store(std::move(entry), content);
  return *this;
}

BackupBuilder& BackupBuilder::paged_file(std::string_view path, std::string_view content) {
  TreeEntry entry;
  entry.path = path;
  entry.mode = 0600;
  entry.page_size_bytes = 1024;
  contents_[entry.path] = content;
  store(std::move(entry), content);
  return *this;
}

BackupBuilder& BackupBuilder::link(std::string_view path, std::string_view target) {
  TreeEntry entry;
  entry.kind = EntryKind::link;
  entry.path = path;
  entry.link_target = target;
  entries_.push_back(std::move(entry));
  return *this;
}

BackupBuilder& BackupBuilder::tablespace(std::uint32_t oid, std::string_view location) {
  facts.tablespaces.push_back({oid, std::string(location), false});
  if (facts.online) facts.tablespace_map += format("{} {}\n", oid, location);
  directory(tablespace_path(oid));
  return directory(tablespace_path(oid) + "/PG_15_202209061");
}

BackupBuilder& BackupBuilder::configuration(std::string_view path, std::string_view role,
                                            std::string_view content) {
  facts.configuration.push_back({std::string(path), std::string(role)});
  TreeEntry entry;
  entry.root = repository::TreeRoot::configuration;
  entry.path = path.substr(1);
  entry.mode = 0644;
  store(std::move(entry), content);
  return *this;
}

BackupBuilder& BackupBuilder::entry(TreeEntry entry) {
  entries_.push_back(std::move(entry));
  return *this;
}

BackupBuilder& BackupBuilder::without(std::string_view path) {
  std::erase_if(entries_, [&](const TreeEntry& entry) { return entry.path == path; });
  contents_.erase(std::string(path));
  return *this;
}

std::string BackupBuilder::new_pack() {
  HAUL_ASSERT(data_.close().has_value());
  // The key shows only when something is in the pack.
  const std::string marker = support::pattern(100, repository_.random().next());
  file("base/pack-" + std::to_string(contents_.size()), marker);
  const auto found = writer_.find(entries_.back().ids.at(0)).value();
  return cluster_.layout.pack(*found);
}

ChunkId BackupBuilder::store_region(ByteSpan bytes, std::uint32_t page_size_bytes) {
  if (compress::is_zero(bytes)) return {};
  std::vector<repository::Digest> digests(repository::page_count(bytes.size(), page_size_bytes));
  cluster_.identity->page_digests(bytes, page_size_bytes, digests);
  const ChunkId id = cluster_.identity->chunk_id(repository::ChunkKind::data, page_size_bytes,
                                                 bytes.size(), digests);
  HAUL_ASSERT(
      encoder_->store({repository::ChunkKind::data, page_size_bytes, bytes, digests, id}, data_)
          .has_value());
  return id;
}

void BackupBuilder::store(TreeEntry entry, std::string_view content) {
  entry.size_bytes = content.size();
  const repository::FileShape shape{content.size(), entry.page_size_bytes,
                                    cluster_.parameters.chunk_pages};
  std::vector<ChunkId> regions;
  for (std::uint64_t i = 0; i < shape.regions(); ++i) {
    regions.push_back(
        store_region(bytes_of(content.substr(i * shape.region_bytes(), shape.region_bytes())),
                     entry.page_size_bytes));
  }
  if (!content.empty() && shape.inlined()) {
    entry.content = ContentKind::inlined;
    entry.ids = regions;
  } else if (!content.empty()) {
    const std::size_t per_leaf = repository::kLeafPages / shape.chunk_pages;
    std::vector<ChunkId> leaves;
    for (std::uint64_t leaf = 0; leaf < shape.leaves(); ++leaf) {
      const auto rest = std::span(regions).subspan(leaf * per_leaf);
      const auto content_of_leaf =
          repository::plain_leaf(rest.first(std::min(per_leaf, rest.size())), shape, leaf);
      leaves.push_back(repository::store_leaf(content_of_leaf, *encoder_, metadata_).value());
    }
    HAUL_ASSERT(repository::finish_map(std::move(leaves), entry, *encoder_, metadata_).has_value());
  }
  entries_.push_back(std::move(entry));
}

void BackupBuilder::commit() {
  std::ranges::sort(entries_, repository::entry_less);
  repository::TreeWriter tree(*encoder_, metadata_);
  for (const TreeEntry& entry : entries_) HAUL_ASSERT(tree.add(entry).has_value());
  commit(tree.finish().value());
}

void BackupBuilder::commit(const repository::TreeRootId& tree) {
  HAUL_ASSERT(data_.close().has_value());
  HAUL_ASSERT(metadata_.close().has_value());
  HAUL_ASSERT(writer_.finish().has_value());
  repository::Snapshot snapshot;
  snapshot.id = id_;
  snapshot.cluster = "main";
  snapshot.program = "test";
  snapshot.tree = tree;
  snapshot.facts = postgres::to_json(facts);
  snapshot.packs = writer_.pack_table();
  HAUL_ASSERT(repository::commit_snapshot(snapshot, cluster_).has_value());
}

SimTarget::SimTarget() {
  const auto root = top();
  HAUL_ASSERT(root->make_directory("data", 0755).has_value());
  HAUL_ASSERT(root->sync_directory("data").has_value());
  HAUL_ASSERT(root->sync_directory("").has_value());
}

DirectoryOpener SimTarget::opener() {
  return [this](const std::string& path) { return disk.open(path.substr(1)); };
}

std::optional<std::string> SimTarget::read(std::string_view path) {
  auto content = support::read_file(*top(), path);
  if (!content) return std::nullopt;
  return std::move(content).take();
}

bool SimTarget::exists(std::string_view path) { return top()->info(path).has_value(); }

std::uint32_t SimTarget::mode_of(std::string_view path) { return top()->info(path).value().mode; }

std::vector<std::string> SimTarget::names(const std::string& path) {
  std::vector<std::string> result;
  const std::vector<io::DirectoryEntry> entries = top()->list(path).value();
  for (const io::DirectoryEntry& entry : entries) {
    const std::string name = path + "/" + entry.name;
    if (entry.kind == io::FileKind::directory) {
      result.push_back(name + "/");
      std::ranges::copy(names(name), std::back_inserter(result));
    } else {
      result.push_back(name);
    }
  }
  return result;
}

RestoreRun::RestoreRun(TestRepository& repository, SimTarget& target) {
  options.target = "/data/pg";
  options.owner = io::FileOwner{71, 72};
  options.workers = 1;
  environment.repository = &repository.get();
  environment.clock = &clock;
  environment.log = &log;
  environment.open_directory = target.opener();
  environment.processes = &processes;
  environment.progress = &progress;
}

bool mentions(const std::vector<std::string>& lines, std::string_view text) {
  return std::ranges::any_of(
      lines, [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

}  // namespace haul::restore
