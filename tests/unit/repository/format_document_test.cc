// docs/format.md is the contract: its worked example is read with the library and compared with
// what the page states about it, byte by byte and value by value.
#include <fstream>
#include <iterator>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/map.h"
#include "engine/repository/pack_reader.h"
#include "engine/repository/pack_writer.h"
#include "engine/repository/repository.h"
#include "engine/repository/tree.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_object_store.h"
#include "tests/unit/repository/repository_fixture.h"

namespace haul::repository {
namespace {

using namespace std::string_view_literals;
using testing::kLease;
using testing::RepositoryFixture;
using testing::TestChunk;

using Objects = std::map<std::string, std::vector<std::byte>>;

std::string document() {
  const std::string here = __FILE__;
  const std::string path = here.substr(0, here.rfind("tests/unit/")) + "docs/format.md";
  std::ifstream file(path);
  HAUL_ASSERT(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The part of the document under "## Worked example".
std::string example() {
  const std::string text = document();
  const std::size_t start = text.find("\n## Worked example\n");
  HAUL_ASSERT(start != std::string::npos);
  return text.substr(start);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// One line of a dump: "00000010  50 47 48 ..." with up to 16 bytes.
std::string dump_line(ByteSpan bytes, std::size_t offset) {
  std::string line = format("{:08x} ", offset);
  for (const std::byte b : bytes) line += format(" {:02x}", std::to_integer<unsigned>(b));
  return line;
}

std::vector<std::byte> parse_dump_line(const std::string& line, std::size_t offset) {
  std::string hex;
  for (const char c : line.substr(8)) {
    if (c != ' ') hex += c;
  }
  std::vector<std::byte> bytes(hex.size() / 2);
  HAUL_ASSERT(line.starts_with(format("{:08x} ", offset)) && from_hex(hex, bytes));
  return bytes;
}

// The dumps of the document: a fence "```hex KEY", lines, a fence.
Objects dumped_objects() {
  constexpr std::string_view kFence = "```hex ";
  Objects objects;
  std::string key;
  for (const std::string& line : lines_of(example())) {
    if (line.starts_with(kFence)) {
      key = line.substr(kFence.size());
    } else if (line.starts_with("```")) {
      key.clear();
    } else if (!key.empty()) {
      std::vector<std::byte>& object = objects[key];
      const std::vector<std::byte> bytes = parse_dump_line(line, object.size());
      object.insert(object.end(), bytes.begin(), bytes.end());
    }
  }
  return objects;
}

// "| name | `value` |" of the example.
std::string stated(const std::string& name) {
  const std::string row = "| " + name + " | `";
  for (const std::string& line : lines_of(example())) {
    if (!line.starts_with(row)) continue;
    return line.substr(row.size(), line.find('`', row.size()) - row.size());
  }
  return "(not stated)";
}

// The letter a, 1100 times, as one LZ4 block: a literal, a match of 1094 bytes at distance 1, five
// literals. Spelled out, so that the example does not hang on the version of a library.
constexpr std::string_view kLz4Block =
    "\x1f"
    "a\x01\x00\xff\xff\xff\xff\x37"
    "\x50"
    "aaaaa"sv;

// What the page says it shows: made again from the same seed.
struct ExampleRepository : RepositoryFixture {
  TestChunk first = chunk("Pages lie in chunks, chunks lie in packs.\n");
  TestChunk second = chunk(std::string(1100, 'a'));
  RunRef run{kLease, 1};
  Objects objects;

  FinishedPack write_example_pack() {
    EncodedChunk compressed = testing::encoded(second);
    compressed.codec = compress::Codec::lz4;
    compressed.stored = bytes_of(kLz4Block);
    PackWriter writer = PackWriter::open(cluster, kLease, random).value();
    HAUL_ASSERT(writer.append(testing::encoded(first)).has_value());
    HAUL_ASSERT(writer.append(compressed).has_value());
    return writer.finish().value();
  }

  ExampleRepository() {
    const FinishedPack pack = write_example_pack();
    write_run(run, {pack});
    for (const std::string& key :
         {std::string(kConfigKey), cluster.layout.pack(pack.ref), cluster.layout.run(run)}) {
      objects[key] = get(key);
    }
  }
};

std::string dump_of(const Objects& objects) {
  std::string text;
  for (const auto& [key, bytes] : objects) {
    text += "```hex " + key + "\n";
    for (std::size_t at = 0; at < bytes.size(); at += 16) {
      const std::size_t count = std::min<std::size_t>(16, bytes.size() - at);
      text += dump_line(ByteSpan(bytes).subspan(at, count), at) + "\n";
    }
    text += "```\n";
  }
  return text;
}

TEST(FormatDocument, ExampleIsWhatTheLibraryWrites) {
  const ExampleRepository made;
  EXPECT_EQ(dump_of(dumped_objects()), dump_of(made.objects));
}

struct ReadExample {
  ReadExample() {
    auto store = support::make_memory_object_store();
    for (const auto& [key, bytes] : dumped_objects()) {
      HAUL_ASSERT(store->put_if_absent(key, bytes).has_value());
    }
    repository = std::make_unique<Repository>(Repository::open(std::move(store)).value());
    cluster = repository->cluster("main").value();
    index = Index::open(cluster, findings).value();
  }

  std::unique_ptr<Repository> repository;
  Cluster cluster;
  Findings findings;
  std::unique_ptr<Index> index;
};

TEST(FormatDocument, ConfigOfTheExampleHasTheStatedValues) {
  const ReadExample read;
  EXPECT_EQ(to_string(read.repository->id()), stated("repository id"));
  EXPECT_EQ(std::to_string(read.repository->parameters().chunk_pages), stated("pages per chunk"));
  EXPECT_EQ(std::to_string(read.repository->parameters().pack_size_bytes), stated("pack size"));
}

TEST(FormatDocument, IndexRunOfTheExampleHasTheStatedValues) {
  const ReadExample read;
  ASSERT_EQ(read.index->runs().size(), 1U);
  const IndexRun& run = *read.index->runs()[0];
  const std::vector<RunEntry> block = run.read_block(0).value();
  EXPECT_EQ(std::to_string(run.entries()), stated("entries"));
  EXPECT_EQ(std::to_string(run.blocks()), stated("blocks"));
  EXPECT_EQ(to_hex(run.packs().at(0).ref.name.bytes), stated("pack name"));
  EXPECT_EQ(std::to_string(run.packs().at(0).size_bytes), stated("pack bytes"));
  EXPECT_EQ(to_hex(block.at(0).id.bytes), stated("id of entry 0"));
  EXPECT_EQ(std::to_string(block.at(0).ordinal), stated("ordinal of entry 0"));
  EXPECT_EQ(to_hex(block.at(1).id.bytes), stated("id of entry 1"));
  EXPECT_EQ(std::to_string(block.at(1).ordinal), stated("ordinal of entry 1"));
}

// The tags of a chunk as the page prints them.
std::string tags_of(const PackedChunk& chunk) {
  std::string text;
  for (const std::uint64_t value : chunk.tags) {
    ByteWriter tag;
    tag.u64(value);
    text += (text.empty() ? "" : " ") + to_hex(tag.view());
  }
  return text;
}

TEST(FormatDocument, PackOfTheExampleHasTheStatedValues) {
  const ReadExample read;
  const PackRef ref = read.index->runs().at(0)->packs().at(0).ref;
  const PackReader pack = PackReader::open(read.cluster, ref).value();
  EXPECT_THAT(pack.find_damage().value(), ::testing::IsEmpty());
  EXPECT_EQ(std::to_string(pack.chunks().size()), stated("chunks"));
  for (std::size_t i = 0; i < pack.chunks().size(); ++i) {
    const PackedChunk& chunk = pack.chunks()[i];
    const std::string of = format(" of chunk {}", i);
    EXPECT_EQ(to_hex(chunk.id.bytes), stated("id" + of));
    EXPECT_EQ(std::to_string(chunk.offset), stated("offset" + of));
    EXPECT_EQ(std::to_string(chunk.stored_bytes), stated("stored bytes" + of));
    EXPECT_EQ(std::to_string(chunk.raw_bytes), stated("raw bytes" + of));
    EXPECT_EQ(compress::to_string(chunk.codec), stated("codec" + of));
    EXPECT_EQ(std::to_string(chunk.page_size_bytes), stated("page size" + of));
    EXPECT_EQ(tags_of(chunk), stated("page tags" + of));
  }
}

std::string content_of(ReadExample& read, const PackedChunk& chunk) {
  ChunkReader chunks(read.cluster, *read.index, read.findings);
  return std::string(text_of(*chunks.read(ChunkKind::data, chunk.id, chunk.raw_bytes).value()));
}

TEST(FormatDocument, ChunksOfTheExampleHaveTheStatedContent) {
  ReadExample read;
  const PackRef ref = read.index->runs().at(0)->packs().at(0).ref;
  const PackReader pack = PackReader::open(read.cluster, ref).value();
  ASSERT_EQ(pack.chunks().size(), 2U);
  const std::string first = content_of(read, pack.chunks()[0]);
  EXPECT_EQ(first, stated("content of chunk 0") + "\n");
  EXPECT_EQ(to_hex(read.cluster.identity->page_digest(bytes_of(first)).bytes),
            stated("page digest of chunk 0"));
  EXPECT_EQ(content_of(read, pack.chunks()[1]), std::string(1100, stated("content of chunk 1")[0]));
}

// Constants that the page names in its tables of limits.
TEST(FormatDocument, LimitsAreThoseOfTheCode) {
  const std::string text = document();
  const auto states = [&](const std::string& name, std::uint64_t value) {
    return text.find("| " + name + " | " + std::to_string(value) + " |") != std::string::npos;
  };
  EXPECT_TRUE(states("bytes of a pack at most", kPackBytesMax));
  EXPECT_TRUE(states("bytes of a decoded data chunk at most", kChunkBytesMax));
  EXPECT_TRUE(states("bytes of a decoded metadata chunk at most", kMetadataChunkBytesMax));
  EXPECT_TRUE(states("pages of a chunk at most", kChunkPagesMax));
  EXPECT_TRUE(states("pages of a map leaf at most", kLeafPages));
  EXPECT_TRUE(states("children of a map node at most", kMapNodeFanout));
  EXPECT_TRUE(states("bytes of a tree leaf as written at most", kTreeLeafBytesMax));
  EXPECT_TRUE(states("levels of tree nodes at most", kTreeLevelsMax));
  EXPECT_TRUE(states("chunk ids inlined in an entry at most", kInlineChunksMax));
}

}  // namespace
}  // namespace haul::repository
