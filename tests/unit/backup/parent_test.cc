#include "engine/backup/parent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/repository/chunk_writer.h"
#include "engine/repository/repository.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/file_content.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_object_store.h"

namespace haul::backup {
namespace {

using repository::TreeEntry;
using repository::TreeRoot;
using support::code_of;
using support::pattern;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint32_t kPage = 1024;

postgres::BackupFacts facts_of(std::uint64_t system_identifier, std::uint32_t block_size_bytes) {
  postgres::BackupFacts facts;
  facts.online = false;
  facts.server_version = 150000;
  facts.system_identifier = system_identifier;
  facts.catalog_version = 202209061;
  facts.block_size_bytes = block_size_bytes;
  facts.relation_segment_blocks = 131072;
  facts.wal_segment_size_bytes = 1U << 20;
  facts.start = facts.stop = Lsn{0x3000028};
  facts.start_timeline = facts.stop_timeline = TimelineId{1};
  facts.data_directory = "/data";
  facts.owner_user = facts.owner_group = "postgres";
  return facts;
}

class ParentBackup : public testing::Test {
 protected:
  void SetUp() override {
    auto store = support::make_memory_object_store();
    ASSERT_TRUE(repository::Repository::init(*store, {8, 1U << 20}, random, clock));
    repository.emplace(repository::Repository::open(std::move(store)).value());
    cluster.emplace(repository->cluster("main").value());
  }

  // A backup with these entries: files of one chunk, different for each path.
  struct File {
    std::string path;
    TreeRoot root = TreeRoot::data_directory;
    std::size_t pages = 1;  // none: a directory
  };
  repository::Snapshot commit(const std::vector<File>& files,
                              const postgres::BackupFacts& facts = facts_of(1, 8192)) {
    const std::string id = format("20261123T0202{:02}Z-F", backups++);
    repository::Findings none;
    const auto listed = repository::Index::open(*cluster, none).value();
    repository::ChunkWriter writer(*cluster, *listed, id, random);
    auto encoder = repository::ChunkEncoder::open(writer, {}).value();
    repository::PackStream data(writer);
    repository::PackStream metadata(writer);
    repository::TreeWriter tree(encoder, metadata);
    for (const File& file : files) {
      EXPECT_TRUE(tree.add(store(file, encoder, data)));
    }
    repository::Snapshot snapshot;
    snapshot.tree = tree.finish().value();
    EXPECT_TRUE(data.close());
    EXPECT_TRUE(metadata.close());
    EXPECT_TRUE(writer.finish());
    snapshot.id = id;
    snapshot.cluster = "main";
    snapshot.program = "test";
    snapshot.facts = postgres::to_json(facts);
    snapshot.packs = writer.pack_table();
    EXPECT_TRUE(repository::commit_snapshot(snapshot, *cluster));
    return snapshot;
  }

  TreeEntry store(const File& file, repository::ChunkEncoder& encoder,
                  repository::PackStream& data) const {
    TreeEntry entry;
    entry.root = file.root;
    entry.path = file.path;
    entry.mode = 0600;
    if (file.pages == 0) {
      entry.kind = repository::EntryKind::directory;
      return entry;
    }
    const std::string content = pattern(file.pages * kPage, std::hash<std::string>()(file.path));
    std::vector<repository::Digest> digests(file.pages);
    cluster->identity->page_digests(bytes_of(content), kPage, digests);
    const auto id =
        cluster->identity->chunk_id(repository::ChunkKind::data, kPage, content.size(), digests);
    EXPECT_TRUE(
        encoder.store({repository::ChunkKind::data, kPage, bytes_of(content), digests, id}, data));
    entry.size_bytes = content.size();
    entry.page_size_bytes = kPage;
    entry.content = repository::ContentKind::inlined;
    entry.ids = {id};
    return entry;
  }

  std::unique_ptr<Parent> open(const repository::Snapshot& snapshot) {
    index = repository::Index::open(*cluster, findings).value();
    return std::make_unique<Parent>(snapshot, *index, findings, *cluster);
  }
  std::optional<repository::Snapshot> choose(const postgres::BackupFacts& facts) {
    return choose_parent(*cluster, facts, findings).value();
  }
  // Puts other bytes where a snapshot or pack lies.
  void damage(const std::string& key) {
    std::vector<std::byte> bytes = cluster->store->get(key, 1U << 30).value();
    bytes[bytes.size() / 2] ^= std::byte{0x10};
    ASSERT_TRUE(cluster->store->replace(key, bytes));
  }

  support::ManualClock clock;
  SeededRandom random{7};
  std::optional<repository::Repository> repository;
  std::optional<repository::Cluster> cluster;
  repository::Findings findings;
  std::unique_ptr<repository::Index> index;
  int backups = 0;
};

TEST_F(ParentBackup, FindsFilesInTheOrderOfTheirPaths) {
  const auto parent = open(commit({{"base/1/9"}, {"base/1/10"}, {"base/5/9"}, {"pg_xact/0000"}}));
  for (const char* path : {"base/1/9", "base/1/10", "base/5/9", "pg_xact/0000"}) {
    EXPECT_NE(parent->find(path).value(), nullptr) << path;
  }
  EXPECT_EQ(parent->find("pg_xact/0001").value(), nullptr);
}

TEST_F(ParentBackup, FindsThePagesOfTheFileAskedFor) {
  const auto snapshot = commit({{"base/1/9", TreeRoot::data_directory, 3}, {"base/1/10"}});
  const auto parent = open(snapshot);
  const auto map = parent->find("base/1/9").value();
  ASSERT_NE(map, nullptr);
  EXPECT_EQ(map->shape().size_bytes, 3U * kPage);
  const auto leaf = parent->read_leaf(*map, 0).value();
  ASSERT_TRUE(leaf);
  EXPECT_EQ(leaf->pages.size(), 3U);
  EXPECT_TRUE(leaf->is_usable(2));
}

TEST_F(ParentBackup, MissingFilesAreNotFoundAndHideNoOthers) {
  const auto parent = open(commit({{"base/1/5"}, {"base/1/7"}, {"base/1/9"}}));
  EXPECT_EQ(parent->find("base/1/4").value(), nullptr);
  EXPECT_NE(parent->find("base/1/5").value(), nullptr);
  EXPECT_EQ(parent->find("base/1/6").value(), nullptr);
  EXPECT_EQ(parent->find("base/1/8").value(), nullptr);
  EXPECT_NE(parent->find("base/1/9").value(), nullptr);
  EXPECT_EQ(parent->find("base/2/1").value(), nullptr);
  EXPECT_EQ(parent->find("base/2/2").value(), nullptr);
}

TEST_F(ParentBackup, WhatIsAskedForOutOfOrderIsNotFound) {
  const auto parent = open(commit({{"base/1/5"}, {"base/1/7"}, {"base/1/9"}}));
  EXPECT_NE(parent->find("base/1/7").value(), nullptr);
  EXPECT_EQ(parent->find("base/1/5").value(), nullptr);
  EXPECT_NE(parent->find("base/1/9").value(), nullptr);
}

TEST_F(ParentBackup, DirectoriesAndConfigurationAreNoFilesOfIt) {
  const auto parent = open(commit({{"base", TreeRoot::data_directory, 0},
                                   {"base/1", TreeRoot::data_directory, 0},
                                   {"base/1/5"},
                                   {"etc/postgresql.conf", TreeRoot::configuration}}));
  EXPECT_EQ(parent->find("base").value(), nullptr);
  EXPECT_NE(parent->find("base/1/5").value(), nullptr);
  EXPECT_EQ(parent->find("etc/postgresql.conf").value(), nullptr);
}

TEST_F(ParentBackup, LeafBeyondTheEndIsNotThere) {
  const auto parent = open(commit({{"base/1/5"}}));
  const auto map = parent->find("base/1/5").value();
  EXPECT_TRUE(parent->read_leaf(*map, 0).value());
  EXPECT_FALSE(parent->read_leaf(*map, 1).value());
  EXPECT_FALSE(parent->read_leaf(*map, 1ULL << 40).value());
}

// More files than a leaf of the tree holds, the second leaf being lost.
TEST_F(ParentBackup, FilesOfADamagedPartOfTheTreeAreNotFoundAndAFindingTells) {
  std::vector<File> files;
  for (int i = 1; i <= 3000; ++i) files.push_back({format("base/1/{}", i)});
  const auto snapshot = commit(files);
  repository::Findings none;
  const auto listed = repository::Index::open(*cluster, none).value();
  repository::ChunkReader chunks(*cluster, *listed, none);
  ASSERT_EQ(snapshot.tree.kind, repository::ChunkKind::tree_node);
  const auto root = chunks.read(snapshot.tree.kind, snapshot.tree.id, 1U << 20).value();
  const auto node = repository::decode_tree_node(*root).value();
  ASSERT_GE(node.children.size(), 3U);
  const auto location = listed->find(node.children[1].id).value().front();
  const auto pack = repository::PackReader::open(*cluster, location.pack).value();
  const std::string key = cluster->layout.pack(location.pack);
  std::vector<std::byte> bytes = cluster->store->get(key, 1U << 30).value();
  bytes[pack.chunks()[location.ordinal].offset + 20] ^= std::byte{0x10};
  ASSERT_TRUE(cluster->store->replace(key, bytes));

  const auto parent = open(snapshot);
  std::uint64_t missing = 0;
  for (const File& file : files) {
    const auto found = parent->find(file.path);
    ASSERT_TRUE(found);
    missing += *found == nullptr ? 1U : 0U;
  }
  EXPECT_EQ(missing, node.children[1].entries);
  EXPECT_GE(findings.count(), 1U);
}

TEST_F(ParentBackup, DamagedTreeHasNoFilesAndAFindingTells) {
  auto snapshot = commit({{"base/1/5"}});
  snapshot.tree.id.bytes[0] ^= std::byte{1};
  const auto parent = open(snapshot);
  EXPECT_EQ(parent->find("base/1/5").value(), nullptr);
  EXPECT_GE(findings.count(), 1U);
}

TEST_F(ParentBackup, DamagedLeafOfAFileIsNotThereAndAFindingTells) {
  const auto snapshot = commit({{"base/1/5"}});
  const auto parent = open(snapshot);
  TreeEntry entry;
  entry.path = "base/1/5";
  entry.size_bytes = 8 * kPage;
  entry.page_size_bytes = kPage;
  entry.content = repository::ContentKind::map;
  entry.ids.resize(1);
  entry.ids[0].bytes[3] = std::byte{1};
  repository::ChunkReader chunks(*cluster, *index, findings);
  const auto map = repository::ParentMap::open(chunks, *index, entry).value();
  const auto leaf = parent->read_leaf(*map, 0);
  ASSERT_TRUE(leaf);
  EXPECT_FALSE(*leaf);
  EXPECT_GE(findings.count(), 1U);
}

// The walk has far more entries than are taken off it.
TEST_F(ParentBackup, MayBeGivenUpInTheMiddle) {
  std::vector<File> files;
  for (int i = 1; i <= 5000; ++i) files.push_back({format("base/1/{}", i)});
  const auto snapshot = commit(files);
  open(snapshot).reset();
  auto parent = open(snapshot);
  EXPECT_NE(parent->find("base/1/1").value(), nullptr);
  parent.reset();
  EXPECT_EQ(findings.count(), 0U);
}

TEST_F(ParentBackup, IsTheNewestOfTheServer) {
  EXPECT_FALSE(choose(facts_of(1, 8192)));
  commit({{"base/1/5"}});
  const auto second = commit({{"base/1/5"}});
  EXPECT_EQ(choose(facts_of(1, 8192))->id, second.id);
  EXPECT_THAT(findings.lines(), IsEmpty());
}

TEST_F(ParentBackup, IsNoneOfAnotherServerOrBlockSize) {
  const auto ours = commit({{"base/1/5"}});
  commit({{"base/1/5"}}, facts_of(2, 8192));
  commit({{"base/1/5"}}, facts_of(1, 16384));
  EXPECT_EQ(choose(facts_of(1, 8192))->id, ours.id);
  EXPECT_FALSE(choose(facts_of(3, 8192)));
  EXPECT_FALSE(choose(facts_of(2, 16384)));
}

TEST_F(ParentBackup, IsAnOlderOneWhereTheNewestCannotBeRead) {
  const auto first = commit({{"base/1/5"}});
  const auto second = commit({{"base/1/5"}});
  damage(cluster->layout.snapshot(second.id));
  EXPECT_EQ(choose(facts_of(1, 8192))->id, first.id);
  EXPECT_THAT(findings.lines(), ElementsAre(HasSubstr(second.id)));
  damage(cluster->layout.snapshot(first.id));
  EXPECT_FALSE(choose(facts_of(1, 8192)));
}

TEST_F(ParentBackup, IsAnOlderOneWhereTheFactsOfTheNewestAreNotValid) {
  const auto first = commit({{"base/1/5"}});
  auto second = commit({{"base/1/5"}});
  second.id = format("20261123T0202{:02}Z-F", backups++);
  second.facts = Json::object();
  ASSERT_TRUE(repository::commit_snapshot(second, *cluster));
  commit({}, facts_of(9, 8192));
  const auto chosen = choose(facts_of(1, 8192));
  EXPECT_NE(chosen->id, second.id);
  EXPECT_GT(chosen->id, first.id);
  EXPECT_THAT(findings.lines(), ElementsAre(HasSubstr(second.id)));
}

}  // namespace
}  // namespace haul::backup
