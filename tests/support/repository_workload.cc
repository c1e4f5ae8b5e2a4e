#include "tests/support/repository_workload.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/format.h"
#include "engine/repository/tree_store.h"
#include "tests/support/file_content.h"

namespace haul::support {

using repository::ChunkEncoder;
using repository::ChunkId;
using repository::ChunkKind;
using repository::ContentKind;
using repository::EntryKind;
using repository::Extent;
using repository::FileShape;
using repository::PackStream;
using repository::TreeEntry;

namespace {

// Text that compresses.
std::string prose(std::size_t size_bytes, std::uint64_t seed) {
  std::string text;
  for (std::uint64_t row = seed; text.size() < size_bytes; ++row) {
    text += format("row {} of a table of rows that look alike\n", row);
  }
  text.resize(size_bytes);
  return text;
}

// Every directory on the way to a file.
std::set<std::string> directories_of(const FileTree& tree) {
  std::set<std::string> directories;
  for (const auto& [path, content] : tree) {
    for (std::size_t end = path.find('/'); end != std::string::npos;
         end = path.find('/', end + 1)) {
      directories.insert(path.substr(0, end));
    }
  }
  return directories;
}

TreeEntry directory_entry(const std::string& path) {
  TreeEntry entry;
  entry.kind = EntryKind::directory;
  entry.path = path;
  entry.mode = 0700;
  return entry;
}

// Stores what is left of `content`, region by region; the ids, zero for holes.
Result<std::vector<ChunkId>> store_regions(const FileShape& shape, std::string_view content,
                                           ChunkEncoder& encoder, PackStream& data) {
  const repository::Identity& identity = *encoder.cluster().identity;
  std::vector<ChunkId> ids;
  for (std::uint64_t offset = 0; offset < content.size(); offset += shape.region_bytes()) {
    const ByteSpan bytes = bytes_of(content.substr(offset, shape.region_bytes()));
    if (compress::is_zero(bytes)) {
      ids.emplace_back();
      continue;
    }
    std::vector<repository::Digest> digests(
        repository::page_count(bytes.size(), shape.page_size_bytes));
    identity.page_digests(bytes, shape.page_size_bytes, digests);
    const ChunkId id =
        identity.chunk_id(ChunkKind::data, shape.page_size_bytes, bytes.size(), digests);
    HAUL_TRY(encoder.store({ChunkKind::data, shape.page_size_bytes, bytes, digests, id}, data));
    ids.push_back(id);
  }
  return ids;
}

}  // namespace

FileTree shaped_files(std::uint64_t seed) {
  FileTree tree;
  tree["PG_VERSION"] = "15\n";
  tree["empty"] = "";
  tree["base/1/112"] = pattern(kWorkloadPageSize, seed + 1);
  tree["base/1/1259"] = pattern(9 * kWorkloadPageSize + 17, seed + 2);
  tree["base/1/2619"] = prose(70'000, seed + 3);
  tree["base/1/2619.1"] = prose(70'000, seed + 3);
  tree["base/1/16384"] = std::string(50'000, '\0');
  std::string sparse(700'000, '\0');
  sparse.replace(100'000, 3'000, pattern(3'000, seed + 4));
  sparse.replace(690'000, 10'000, prose(10'000, seed + 5));
  tree["base/1/16385"] = sparse;
  tree["global/pg_filenode.map"] = pattern(512, seed + 6);
  return tree;
}

FileTree changed_files(FileTree tree, std::uint64_t seed) {
  tree["base/1/1259"].replace(2 * kWorkloadPageSize, 100, pattern(100, seed));
  tree["base/1/16385"].replace(400'000, 2'000, pattern(2'000, seed + 1));
  tree["base/1/2619"] += prose(5'000, seed + 2);
  tree.erase("base/1/112");
  tree["base/1/16390"] = pattern(20'000, seed + 3);
  return tree;
}

Result<TreeEntry> store_file(const std::string& path, std::string_view content,
                             std::uint32_t page_size_bytes, ChunkEncoder& encoder, PackStream& data,
                             PackStream& metadata) {
  TreeEntry entry;
  entry.path = path;
  entry.mode = 0600;
  entry.size_bytes = content.size();
  entry.page_size_bytes = page_size_bytes;
  if (content.empty()) return entry;
  const FileShape shape{content.size(), page_size_bytes, encoder.cluster().parameters.chunk_pages};
  if (shape.inlined()) {
    entry.content = ContentKind::inlined;
    entry.ids = HAUL_TRY(store_regions(shape, content, encoder, data));
    return entry;
  }
  std::vector<ChunkId> leaves;
  for (std::uint64_t leaf = 0; leaf < shape.leaves(); ++leaf) {
    const std::string_view part = content.substr(leaf * shape.leaf_bytes(), shape.leaf_bytes());
    const std::vector<ChunkId> ids = HAUL_TRY(store_regions(shape, part, encoder, data));
    leaves.push_back(HAUL_TRY(
        repository::store_leaf(repository::plain_leaf(ids, shape, leaf), encoder, metadata)));
  }
  HAUL_TRY(repository::finish_map(std::move(leaves), entry, encoder, metadata));
  return entry;
}

Result<std::string> read_stored_file(repository::ChunkReader& chunks, const TreeEntry& entry) {
  const auto map = HAUL_TRY(repository::FileMapReader::open(chunks, entry));
  const std::uint32_t page_size = entry.page_size_bytes;
  std::string content;
  for (std::uint64_t number = 0; number < map.shape().leaves(); ++number) {
    const repository::MapLeaf leaf = HAUL_TRY(map.read_leaf(number));
    for (const Extent& extent : leaf.extents) {
      const std::uint64_t wanted = std::min<std::uint64_t>(std::uint64_t{extent.pages} * page_size,
                                                           entry.size_bytes - content.size());
      if (extent.chunk == Extent::kHole) {
        content.append(wanted, '\0');
        continue;
      }
      const repository::ChunkBytes bytes =
          HAUL_TRY(chunks.read(ChunkKind::data, leaf.chunks[extent.chunk],
                               static_cast<std::uint32_t>(map.shape().region_bytes())));
      const std::uint64_t from = std::uint64_t{extent.first_page} * page_size;
      if (from > bytes->size() || wanted > bytes->size() - from) {
        return Error(ErrorCode::corrupt, format("{}: a chunk is too short", entry.path));
      }
      content += text_of(ByteSpan(*bytes).subspan(from, wanted));
    }
  }
  return content;
}

repository::Cluster workload_cluster(const repository::Repository& repository,
                                     const WorkloadOptions& options) {
  repository::Cluster cluster = repository.cluster(kWorkloadCluster).value();
  cluster.parameters.pack_size_bytes = options.pack_size_bytes;
  return cluster;
}

Status Workload::init(io::ObjectStore& store) {
  return repository::Repository::init(store, kWorkloadParameters, random_, clock_);
}

Result<repository::TreeRootId> Workload::store(const FileTree& tree,
                                               repository::ChunkWriter& writer) {
  PackStream data(writer);
  PackStream metadata(writer);
  ChunkEncoder encoder = HAUL_TRY(ChunkEncoder::open(writer, options_.codec));
  std::vector<TreeEntry> entries;
  for (const std::string& path : directories_of(tree)) entries.push_back(directory_entry(path));
  for (const auto& [path, content] : tree) {
    entries.push_back(
        HAUL_TRY(store_file(path, content, options_.page_size_bytes, encoder, data, metadata)));
  }
  std::ranges::sort(entries, repository::entry_less);
  repository::TreeWriter writer_of_tree(encoder, metadata);
  for (const TreeEntry& entry : entries) HAUL_TRY(writer_of_tree.add(entry));
  const repository::TreeRootId root = HAUL_TRY(writer_of_tree.finish());
  HAUL_TRY(data.close());
  HAUL_TRY(metadata.close());
  return root;
}

Result<std::string> Workload::back_up(const repository::Repository& repository,
                                      const FileTree& tree) {
  const repository::Cluster cluster = workload_cluster(repository, options_);
  clock_.advance(std::chrono::seconds(60));
  const auto lease = HAUL_TRY(
      repository::Lease::create_for_backup(cluster, 'F', {"backup", "host", "boot", 1}, clock_));
  repository::Findings findings;
  const auto index = HAUL_TRY(repository::Index::open(cluster, findings));
  HAUL_TRY(index->load_packs_without_run());
  repository::ChunkWriter writer(cluster, *index, lease->id(), random_);
  repository::Snapshot snapshot;
  snapshot.tree = HAUL_TRY(store(tree, writer));
  HAUL_TRY(writer.finish());
  statistics_ = writer.statistics();

  snapshot.id = lease->id();
  snapshot.cluster = cluster.name;
  snapshot.program = "workload";
  snapshot.started = clock_.now_utc();
  snapshot.finished = clock_.now_utc();
  snapshot.statistics.files = tree.size();
  snapshot.facts = Json::object();
  snapshot.packs = writer.pack_table();
  HAUL_TRY(lease->health());
  HAUL_TRY(repository::commit_snapshot(snapshot, cluster));
  // Whether the lease goes too does not change that the backup is committed.
  static_cast<void>(lease->release());
  return snapshot.id;
}

Status Workload::back_up_partly(const repository::Repository& repository, const FileTree& tree) {
  const repository::Cluster cluster = workload_cluster(repository, options_);
  clock_.advance(std::chrono::seconds(60));
  const auto lease = HAUL_TRY(
      repository::Lease::create_for_backup(cluster, 'F', {"backup", "host", "boot", 1}, clock_));
  repository::Findings findings;
  const auto index = HAUL_TRY(repository::Index::open(cluster, findings));
  repository::ChunkWriter writer(cluster, *index, lease->id(), random_);
  HAUL_TRY(store(tree, writer));
  return ok();
}

Result<FileTree> read_back(const repository::Cluster& cluster, const std::string& id,
                           repository::Findings& findings) {
  const repository::Snapshot snapshot = HAUL_TRY(repository::read_snapshot(cluster, id));
  const auto index = HAUL_TRY(repository::Index::open(cluster, findings));
  repository::ChunkReader chunks(cluster, *index, findings);
  FileTree tree;
  HAUL_TRY(repository::walk_tree(chunks, snapshot.tree, [&](const TreeEntry& entry) -> Status {
    if (entry.kind == EntryKind::file) tree[entry.path] = HAUL_TRY(read_stored_file(chunks, entry));
    return ok();
  }));
  return tree;
}

Result<FileTree> read_back(const repository::Cluster& cluster, const std::string& id) {
  repository::Findings findings;
  return read_back(cluster, id, findings);
}

}  // namespace haul::support
