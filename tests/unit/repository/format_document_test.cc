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
#include "engine/repository/repository.h"
#include "engine/repository/tree.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_object_store.h"
#include "tests/unit/repository/repository_fixture.h"

namespace haul::repository {
namespace {

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

// What the page says it shows: made again from the same seed.
struct ExampleRepository : RepositoryFixture {
  TestChunk data = chunk("Pages lie in chunks, chunks lie in packs.\n");
  FinishedPack pack = write_pack({data});
  RunRef run{kLease, 1};
  Objects objects;

  ExampleRepository() {
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
  const RunEntry entry = run.read_block(0).value().at(0);
  EXPECT_EQ(std::to_string(run.entries()), stated("entries"));
  EXPECT_EQ(to_hex(run.packs().at(0).ref.name.bytes), stated("pack name"));
  EXPECT_EQ(std::to_string(run.packs().at(0).size_bytes), stated("pack bytes"));
  EXPECT_EQ(to_hex(entry.id.bytes), stated("chunk id"));
}

TEST(FormatDocument, PackOfTheExampleHasTheStatedValues) {
  ReadExample read;
  const PackRef ref = read.index->runs().at(0)->packs().at(0).ref;
  const PackReader pack = PackReader::open(read.cluster, ref).value();
  EXPECT_THAT(pack.find_damage().value(), ::testing::IsEmpty());
  ASSERT_EQ(pack.chunks().size(), 1U);
  const PackedChunk& chunk = pack.chunks()[0];
  EXPECT_EQ(to_hex(chunk.id.bytes), stated("chunk id"));
  EXPECT_EQ(std::to_string(chunk.offset), stated("chunk offset"));
  EXPECT_EQ(std::to_string(chunk.raw_bytes), stated("chunk bytes"));
  EXPECT_EQ(std::to_string(chunk.page_size_bytes), stated("page size"));
  ByteWriter tag;
  tag.u64(chunk.tags.at(0));
  EXPECT_EQ(to_hex(tag.view()), stated("page tag"));

  ChunkReader chunks(read.cluster, *read.index, read.findings);
  const ChunkBytes bytes = chunks.read(ChunkKind::data, chunk.id, chunk.raw_bytes).value();
  EXPECT_EQ(std::string(text_of(*bytes)), stated("chunk content") + "\n");
  const Digest digest = read.cluster.identity->page_digest(*bytes);
  EXPECT_EQ(to_hex(digest.bytes), stated("page digest"));
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
