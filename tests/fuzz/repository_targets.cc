#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <string>

#include "base/assert.h"
#include "compress/checksum.h"
#include "compress/codec.h"
#include "engine/repository/framed_object.h"
#include "engine/repository/index_run.h"
#include "engine/repository/layout.h"
#include "engine/repository/map.h"
#include "engine/repository/pack_reader.h"
#include "engine/repository/pack_table.h"
#include "engine/repository/repository.h"
#include "engine/repository/snapshot.h"
#include "engine/repository/tree.h"
#include "tests/fuzz/target.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_object_store.h"
#include "tests/support/repository_workload.h"

namespace haul::fuzz {

namespace {

using namespace repository;  // every line below speaks of it

constexpr std::uint32_t kChunkPages = 32;
const std::string kLease = "20261123T020222Z-F";

// One repository for all inputs of a process; objects are put, read and removed again.
struct Shared {
  Shared() {
    auto made = support::make_memory_object_store();
    SeededRandom random(1);
    support::ManualClock clock;
    HAUL_ASSERT(Repository::init(*made, {}, random, clock).has_value());
    repository = std::make_unique<Repository>(Repository::open(std::move(made)).value());
    cluster = repository->cluster("main").value();
  }

  std::unique_ptr<Repository> repository;
  Cluster cluster;
};

const Cluster& cluster() {
  static const Shared shared;
  return shared.cluster;
}

// A store of one object.
class OneObjectStore {
 public:
  OneObjectStore(const std::string& key, ByteSpan bytes)
      : store_(support::make_memory_object_store()), cluster_(fuzz::cluster()) {
    HAUL_ASSERT(store_->put_if_absent(key, bytes).has_value());
    cluster_.store = store_.get();
  }
  const Cluster& cluster() const { return cluster_; }

 private:
  std::unique_ptr<io::ObjectStore> store_;
  Cluster cluster_;
};

bool same(ByteSpan left, ByteSpan right) { return std::ranges::equal(left, right); }

void put(Input& object, std::size_t offset, ByteSpan bytes) {
  std::ranges::copy(bytes, object.begin() + static_cast<std::ptrdiff_t>(offset));
}

std::uint64_t u64_at(ByteSpan bytes, std::size_t offset) {
  return ByteReader(bytes.subspan(offset)).u64();
}

Input copy_of(ByteSpan bytes) { return {bytes.begin(), bytes.end()}; }

// -- framed objects ---------------------------------------------------------------------------

void run_frame(ByteSpan input) {
  const auto frame = unframe_object(ObjectKind::snapshot, "key", input);
  if (!frame) return;
  HAUL_ASSERT(
      same(frame_object(ObjectKind::snapshot, frame->repository, "key", frame->body), input));
}

std::vector<Input> frame_seeds() {
  return {frame_object(ObjectKind::snapshot, cluster().repository, "key", bytes_of("body"))};
}

void run_config(ByteSpan input) {
  const std::string key(kConfigKey);
  auto store = support::make_memory_object_store();
  HAUL_ASSERT(
      store->put_if_absent(key, frame_object(ObjectKind::config, cluster().repository, key, input))
          .has_value());
  static_cast<void>(Repository::open(std::move(store)));
}

std::vector<Input> config_seeds() {
  const std::string key(kConfigKey);
  const Input object = cluster().store->get(key, 1 << 16).value();
  return {unframe_object(ObjectKind::config, key, object).value().body};
}

void run_snapshot(ByteSpan input) {
  const std::string key = cluster().layout.snapshot(kLease);
  const Input object = frame_object(ObjectKind::snapshot, cluster().repository, key, input);
  const auto snapshot = decode_snapshot(object, cluster(), kLease);
  if (!snapshot) return;
  const auto again = decode_snapshot(encode_snapshot(*snapshot, cluster()), cluster(), kLease);
  HAUL_ASSERT(again.has_value() && again->packs == snapshot->packs &&
              again->tree == snapshot->tree);
}

std::vector<Input> snapshot_seeds() {
  Snapshot snapshot;
  snapshot.id = kLease;
  snapshot.cluster = "main";
  snapshot.facts = Json::object();
  PackRef pack{kLease, {}};
  snapshot.packs[pack] = {1'000, 2, 3};
  pack.name.bytes[0] = std::byte{1};
  snapshot.packs[pack] = {2'000, 3, 4};
  const std::string key = cluster().layout.snapshot(kLease);
  return {
      unframe_object(ObjectKind::snapshot, key, encode_snapshot(snapshot, cluster())).value().body};
}

// A snapshot's last part, without the snapshot around it.
void run_pack_table(ByteSpan input) {
  ByteReader in(input);
  const auto table = read_pack_table(in);
  if (!table) return;
  ByteWriter out;
  write_pack_table(out, *table);
  ByteReader written(out.view());
  const auto again = read_pack_table(written);
  HAUL_ASSERT(again.has_value() && *again == *table && written.finished());
}

std::vector<Input> pack_table_seeds() {
  PackTable table;
  PackRef pack{kLease, {}};
  table[pack] = {1'000, 2, 3};
  pack.lease = "20261124T020222Z-I";
  table[pack] = {2'000, 3, 4};
  ByteWriter out;
  write_pack_table(out, table);
  return {std::move(out).take()};
}

// A key taken apart is the key that its parts build.
void run_object_key(ByteSpan input) {
  const std::string_view key = text_of(input);
  const ClusterLayout& layout = cluster().layout;
  const auto pack = layout.parse_pack(key);
  HAUL_ASSERT(!pack || layout.pack(*pack) == key);
  const auto run = layout.parse_run(key);
  HAUL_ASSERT(!run || layout.run(*run) == key);
  const auto snapshot = layout.parse_snapshot(key);
  HAUL_ASSERT(!snapshot || layout.snapshot(*snapshot) == key);
  static_cast<void>(check_cluster_name(key));
}

std::vector<Input> object_key_seeds() {
  const ClusterLayout& layout = cluster().layout;
  return {copy_of(bytes_of(layout.pack({kLease, {}}))), copy_of(bytes_of(layout.run({kLease, 1}))),
          copy_of(bytes_of(layout.snapshot(kLease)))};
}

// -- packs ------------------------------------------------------------------------------------

// Makes every frame's checksum good, as far as the lengths in the frames lead.
void seal_frames(Input& pack) {
  std::uint64_t offset = kPackHeaderBytes;
  while (offset + kChunkFrameBytes <= pack.size()) {
    const ByteSpan frame = ByteSpan(pack).subspan(offset, kChunkFrameBytes);
    const std::uint32_t stored_bytes = ByteReader(frame).u32();
    put(pack, offset + 12, ByteSpan(compress::checksum(frame.first(12)).bytes).first(8));
    offset += kChunkFrameBytes + std::uint64_t{stored_bytes};
  }
}

void seal_footer(Input& pack, const PackName& name) {
  if (pack.size() < kPackBytesMin) return;
  const std::size_t trailer = pack.size() - kPackTrailerBytes;
  const std::uint64_t footer = u64_at(pack, trailer + 8);
  if (footer > trailer) return;
  const std::size_t end = pack.size() - 16;
  compress::Checksummer sum;
  sum.update(name.bytes).update(ByteSpan(pack).subspan(footer, end - footer));
  put(pack, end, sum.finish().bytes);
}

void run_pack_of(Input pack, const PackRef& ref) {
  const std::string key = cluster().layout.pack(ref);
  const OneObjectStore store(key, pack);
  const auto reader = PackReader::open(store.cluster(), ref);
  if (!reader) return;
  std::uint64_t end = kPackHeaderBytes;
  for (const PackedChunk& chunk : reader->chunks()) {
    HAUL_ASSERT(chunk.offset == end + kChunkFrameBytes && chunk.tags.size() == chunk.pages());
    end = chunk.offset + chunk.stored_bytes;
    HAUL_ASSERT(end <= pack.size());
  }
  static_cast<void>(reader->find_damage());
}

// What follows the header of a pack, with the frames' checksums made good.
void run_pack_frames(ByteSpan input) {
  const PackRef ref{kLease, {}};
  Input pack = encode_pack_header(cluster().repository, ref.name);
  pack.insert(pack.end(), input.begin(), input.end());
  seal_frames(pack);
  run_pack_of(std::move(pack), ref);
}

// The same, with the footer's checksum made good as well.
void run_pack_footer(ByteSpan input) {
  const PackRef ref{kLease, {}};
  Input pack = encode_pack_header(cluster().repository, ref.name);
  pack.insert(pack.end(), input.begin(), input.end());
  seal_footer(pack, ref.name);
  run_pack_of(std::move(pack), ref);
}

std::vector<Input> pack_seeds() {
  const Identity& identity = *cluster().identity;
  PackFooter footer;
  const PackRef ref{kLease, {}};
  Input pack = encode_pack_header(cluster().repository, ref.name);
  for (const std::string_view content : {"a chunk of data", "and another one"}) {
    PackedChunk chunk;
    chunk.raw_bytes = chunk.stored_bytes = static_cast<std::uint32_t>(content.size());
    chunk.page_size_bytes = 1024;
    chunk.id = identity.chunk_id_of(ChunkKind::data, 1024, bytes_of(content));
    chunk.tags = {identity.page_digest(bytes_of(content)).tag()};
    const Input frame = encode_chunk_frame(chunk);
    pack.insert(pack.end(), frame.begin(), frame.end());
    chunk.offset = pack.size();
    std::ranges::copy(bytes_of(content), std::back_inserter(pack));
    footer.chunks.push_back(chunk);
  }
  footer.footer_offset = pack.size();
  footer.data_checksum = compress::checksum(pack);
  const Input tail = encode_pack_footer(footer, ref.name);
  pack.insert(pack.end(), tail.begin(), tail.end());
  return {copy_of(ByteSpan(pack).subspan(kPackHeaderBytes))};
}

// -- index runs -------------------------------------------------------------------------------

constexpr std::size_t kRunHeaderBytes = 96;
constexpr std::size_t kRunBlockBytes = 16'384;

// The checksums of directory and blocks, wherever the header says they are.
void seal_run(Input& run, const std::string& key) {
  if (run.size() < kRunHeaderBytes) return;
  const std::uint64_t directory_bytes = u64_at(run, 40);
  if (directory_bytes > run.size() - kRunHeaderBytes) return;
  compress::Checksummer sum;
  sum.update(bytes_of(key)).update(ByteSpan(run).first(80));
  sum.update(ByteSpan(run).subspan(kRunHeaderBytes, directory_bytes));
  put(run, 80, sum.finish().bytes);
  std::uint64_t number = 0;
  for (std::size_t at = kRunHeaderBytes + directory_bytes; at + 24 <= run.size();
       at += kRunBlockBytes) {
    const std::size_t end = std::min(at + kRunBlockBytes, run.size()) - 16;
    ByteWriter number_bytes;
    number_bytes.u64(number++);
    compress::Checksummer block;
    block.update(bytes_of(key)).update(number_bytes.view());
    block.update(ByteSpan(run).subspan(at, end - at));
    put(run, end, block.finish().bytes);
  }
}

// Everything behind the object header.
void run_index_run(ByteSpan input) {
  const RunRef ref{kLease, 1};
  const std::string key = cluster().layout.run(ref);
  ByteWriter header;
  write_object_header(header, ObjectKind::index_run, cluster().repository);
  Input object = copy_of(header.view());
  object.insert(object.end(), input.begin(), input.end());
  seal_run(object, key);
  const OneObjectStore store(key, object);
  const auto run = IndexRun::open(store.cluster(), ref);
  if (!run) return;
  for (std::size_t number = 0; number < run->blocks(); ++number) {
    const auto block = run->read_block(number);
    if (!block) continue;
    for (const RunEntry& entry : *block) {
      HAUL_ASSERT(entry.pack < run->packs().size() &&
                  entry.ordinal < run->packs()[entry.pack].chunks);
      const auto found = run->find(entry.id);
      HAUL_ASSERT(!found || !*found || (*found)->id == entry.id);
    }
  }
  static_cast<void>(run->find(ChunkId{}));
}

std::vector<Input> index_run_seeds() {
  IndexRunContent content;
  content.packs = {{{kLease, {}}, 1'000, 500}};
  content.superseded = {{kLease, 7}};
  for (std::uint32_t i = 0; i < 3; ++i) {
    RunEntry entry{{}, 0, i};
    entry.id.bytes[0] = static_cast<std::byte>(i * 50);
    entry.id.bytes[9] = std::byte{0x5A};
    content.entries.push_back(entry);
  }
  const std::string key = cluster().layout.run({kLease, 1});
  const Input object = encode_index_run(content, cluster().repository, key);
  return {copy_of(ByteSpan(object).subspan(kObjectHeaderBytes))};
}

// -- maps -------------------------------------------------------------------------------------

// The first two bytes are the number of pages that the file asks for.
void run_map_leaf(ByteSpan input) {
  if (input.size() < 2) return;
  const std::uint32_t pages = ByteReader(input).u16();
  const ByteSpan bytes = input.subspan(2);
  const auto leaf = decode_map_leaf(bytes, pages, kChunkPages);
  if (!leaf) return;
  HAUL_ASSERT(leaf->pages() == pages && same(encode_map_leaf(*leaf), bytes));
  for (const Extent& extent : leaf->extents) {
    HAUL_ASSERT(extent.chunk == Extent::kHole || extent.chunk < leaf->chunks.size());
  }
  for (std::size_t i = 0; i < leaf->region_digests.size(); ++i) {
    static_cast<void>(leaf->region_digest(i, kChunkPages));
  }
}

std::vector<Input> map_leaf_seeds() {
  ChunkId id;
  id.bytes.fill(std::byte{7});
  MapLeaf plain;
  append_region(plain, id, 32);
  append_region(plain, ChunkId{}, 32);
  append_region(plain, id, 6);
  MapLeaf mixed;
  mixed.chunks = {id};
  mixed.extents = {{0, 0, 10}, {Extent::kHole, 0, 5}, {0, 15, 17}};
  mixed.region_digests = {id};
  std::vector<Input> seeds;
  for (const MapLeaf& leaf : {plain, mixed}) {
    ByteWriter out;
    out.u16(static_cast<std::uint16_t>(leaf.pages()));
    out.bytes(encode_map_leaf(leaf));
    seeds.push_back(std::move(out).take());
  }
  return seeds;
}

void run_map_node(ByteSpan input) {
  const auto children = decode_map_node(input);
  if (children) HAUL_ASSERT(same(encode_map_node(*children), input));
}

std::vector<Input> map_node_seeds() { return {encode_map_node(std::vector<ChunkId>(3))}; }

// -- trees ------------------------------------------------------------------------------------

void run_tree_leaf(ByteSpan input) {
  const auto entries = decode_tree_leaf(input, kChunkPages);
  if (!entries) return;
  ByteWriter out;
  const TreeEntry* last = nullptr;
  for (const TreeEntry& entry : *entries) {
    HAUL_ASSERT(last == nullptr || entry_less(*last, entry));
    last = &entry;
    encode_entry(out, entry);
  }
  HAUL_ASSERT(same(out.view(), input));
}

std::vector<Input> tree_leaf_seeds() {
  TreeEntry directory;
  directory.kind = EntryKind::directory;
  directory.path = "base";
  TreeEntry file;
  file.path = "base/16384.1";
  file.size_bytes = 5;
  file.content = ContentKind::inlined;
  file.ids.resize(1);
  TreeEntry link;
  link.kind = EntryKind::link;
  link.path = "pg_tblspc/1";
  link.link_target = "/x";
  ByteWriter out;
  for (const TreeEntry& entry : {directory, file, link}) encode_entry(out, entry);
  return {std::move(out).take()};
}

void run_tree_node(ByteSpan input) {
  const auto node = decode_tree_node(input);
  if (node) HAUL_ASSERT(same(encode_tree_node(node->level, node->children), input));
}

std::vector<Input> tree_node_seeds() {
  std::vector<TreeChild> children(2);
  children[1].id.bytes[0] = std::byte{1};
  return {encode_tree_node(1, children)};
}

// Two paths, one line each: the order has no contradictions.
void run_path_order(ByteSpan input) {
  const std::string_view text = text_of(input);
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view left = text.substr(0, end);
  const std::string_view right = text.substr(std::min(end + 1, text.size()));
  const auto order = compare_paths(left, right);
  HAUL_ASSERT((order == 0) == (left == right));
  HAUL_ASSERT((order < 0) == (compare_paths(right, left) > 0));
}

std::vector<Input> path_order_seeds() { return {copy_of(bytes_of("base/5/01.2\nbase/5/1.10"))}; }

// -- codecs -----------------------------------------------------------------------------------

// A byte for the codec, two for the raw size, then the stored bytes.
void run_codec(ByteSpan input) {
  ByteReader in(input);
  const auto codec = compress::codec_from_byte(in.u8());
  const std::size_t raw_bytes = in.u16();
  if (!codec || !in.ok()) return;
  // Bytes behind the declared size show any write beyond it.
  Input raw(raw_bytes + 64, std::byte{0xA5});
  compress::Decompressor decompressor;
  static_cast<void>(decompressor.decompress(*codec, in.bytes(in.remaining()),
                                            MutableByteSpan(raw).first(raw_bytes)));
  HAUL_ASSERT(std::ranges::all_of(ByteSpan(raw).last(64),
                                  [](std::byte b) { return b == std::byte{0xA5}; }));
}

std::vector<Input> codec_seeds() {
  const std::string raw(1'000, 'x');
  std::vector<Input> seeds;
  for (const compress::Codec codec : {compress::Codec::lz4, compress::Codec::zstd}) {
    auto compressor = compress::Compressor::open({codec, 0}).value();
    Input memory(compress::compressed_size_max(raw.size()));
    const auto compressed = compressor.compress(bytes_of(raw), memory).value();
    ByteWriter out;
    out.u8(static_cast<std::uint8_t>(compressed.codec));
    out.u16(static_cast<std::uint16_t>(raw.size()));
    out.bytes(compressed.bytes);
    seeds.push_back(std::move(out).take());
  }
  return seeds;
}

constexpr std::array<Target, 14> kTargets{{
    {"frame", run_frame, frame_seeds},
    {"config", run_config, config_seeds},
    {"snapshot", run_snapshot, snapshot_seeds},
    {"pack_table", run_pack_table, pack_table_seeds},
    {"object_key", run_object_key, object_key_seeds},
    {"pack_frames", run_pack_frames, pack_seeds},
    {"pack_footer", run_pack_footer, pack_seeds},
    {"index_run", run_index_run, index_run_seeds},
    {"map_leaf", run_map_leaf, map_leaf_seeds},
    {"map_node", run_map_node, map_node_seeds},
    {"tree_leaf", run_tree_leaf, tree_leaf_seeds},
    {"tree_node", run_tree_node, tree_node_seeds},
    {"path_order", run_path_order, path_order_seeds},
    {"codec", run_codec, codec_seeds},
}};

}  // namespace

std::span<const Target> repository_targets() { return kTargets; }

}  // namespace haul::fuzz
