// docs/format.md, "WAL objects", and the golden archive: what was written once, every later program
// reads.

#include "base/format.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/wal/segment_changes.h"
#include "engine/wal/wal_inventory.h"
#include "tests/support/memory_object_store.h"
#include "tests/unit/wal/wal_fixture.h"

namespace haul::wal {
namespace {

using testing::ArchiveFixture;
using ::testing::ElementsAre;
using testing::FakeSegment;
using ::testing::IsEmpty;
using testing::kSystem;

const std::string kHere = __FILE__;
const std::string kRoot = kHere.substr(0, kHere.rfind("tests/unit/wal/"));

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  HAUL_ASSERT(file.good());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string hex_dump(const std::string& bytes) {
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    text += format("{:08x} ", at);
    for (const char c : bytes.substr(at, 16)) {
      text += format(" {:02x}", static_cast<unsigned char>(c));
    }
    text += '\n';
  }
  return text;
}

TEST(WalFormatDocument, ExampleIsWhatTheLibraryWrites) {
  ArchiveFixture archive;
  ASSERT_TRUE(archive.push("00000002.history", testing::history_of_2("0/3000000")));
  const std::string key =
      WalLayout(archive.cluster().layout, kSystem).key(parse_wal_name("00000002.history").value());
  const std::string expected = format("```hex {}\n{}```\n", key, hex_dump(archive.object(key)));
  EXPECT_TRUE(read_text(kRoot + "docs/format.md").contains(expected)) << expected;
}

TEST(WalFormatDocument, LimitsAreThoseOfTheCode) {
  const std::string text = read_text(kRoot + "docs/format.md");
  const auto states = [&](const std::string& name, std::uint64_t value) {
    return text.contains(format("| {} | {} |", name, value));
  };
  EXPECT_TRUE(states("bytes of a WAL segment at most", kWalSegmentBytesMax));
  EXPECT_TRUE(states("bytes of another WAL file at most", kWalTextBytesMax));
  EXPECT_TRUE(states("bytes of a WAL object at most", kWalObjectBytesMax));
  EXPECT_TRUE(states("bytes of changes at most", kChangesObjectBytesMax));
  EXPECT_TRUE(text.contains(format("which records count, and as what: {};", kChangesRules)));
  EXPECT_TRUE(text.contains(format("| 64 | 4 | frame size: {} |", kFrameBytes)));
}

// Pages that depend on nothing that could change, mostly compressible.
std::string golden_segment(const FakeSegment& segment, std::uint32_t pages) {
  FakeSegment whole = segment;
  whole.pages = pages;
  std::string content = whole.content();
  for (std::size_t page = 0; page < pages; ++page) {
    // Behind the fields of the header; the first page's is longer.
    const std::size_t header = page == 0 ? 40 : 20;
    content.replace(page * testing::kBlockBytes + header, testing::kBlockBytes - header,
                    testing::kBlockBytes - header, static_cast<char>('a' + page % 26));
  }
  content.replace(20, 4, 4, '\0');
  return content;
}

std::map<std::string, std::string> golden_files() {
  const FakeSegment first{.number = 2, .size_bytes = 2U << 20};
  const FakeSegment last{.number = 3, .size_bytes = 2U << 20};
  return {{first.name(), golden_segment(first, 130)},
          {last.name() + ".partial", golden_segment(last, 2)},
          {first.name() + ".00000028.backup",
           format("START WAL LOCATION: 0/400028 (file {})\n", first.name())},
          {"00000002.history", testing::history_of_2("0/600100")}};
}

std::unique_ptr<io::ObjectStore> golden_store() {
  auto store = support::make_memory_object_store();
  const std::filesystem::path top = kRoot + "tests/golden/wal-v1";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(top)) {
    if (!entry.is_regular_file()) continue;
    const std::string key = std::filesystem::relative(entry.path(), top).string();
    HAUL_ASSERT(store->put_if_absent(key, bytes_of(read_text(entry.path().string()))).has_value());
  }
  return store;
}

TEST(GoldenArchive, EveryFileReadsBack) {
  const auto repository = repository::Repository::open(golden_store());
  ASSERT_TRUE(repository) << repository.error().message();
  const repository::Cluster cluster = repository->cluster("main").value();
  ASSERT_EQ(bound_system(cluster).value(), kSystem);
  for (const auto& [name, content] : golden_files()) {
    const auto back = read_wal_content(cluster, {kSystem, parse_wal_name(name).value()});
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(text_of(*back), content) << name;
  }
}

TEST(GoldenArchive, HasFramesOfEveryKind) {
  const auto repository = repository::Repository::open(golden_store()).value();
  const repository::Cluster cluster = repository.cluster("main").value();
  const auto frame_of = [&](const std::string& name, std::size_t number) {
    return read_wal_header(cluster, {kSystem, parse_wal_name(name).value()}).value().frames[number];
  };
  const std::string first = FakeSegment{.number = 2, .size_bytes = 2U << 20}.name();
  const std::string last = FakeSegment{.number = 3, .size_bytes = 2U << 20}.name();
  EXPECT_EQ(frame_of(first, 0).codec, compress::Codec::lz4);
  EXPECT_EQ(frame_of(first, 1).codec, compress::Codec::lz4);
  EXPECT_EQ(frame_of(last + ".partial", 1).stored_bytes, 0U);
  EXPECT_EQ(frame_of("00000002.history", 0).codec, compress::Codec::none);
}

TEST(GoldenArchive, IsInventoried) {
  const auto repository = repository::Repository::open(golden_store()).value();
  const WalInventory inventory =
      WalInventory::read(repository.cluster("main").value(), kSystem).value();
  EXPECT_THAT(inventory.damage(), IsEmpty());
  ASSERT_EQ(inventory.timelines().size(), 2U);
  EXPECT_THAT(inventory.timelines()[0].ranges,
              ElementsAre(WalRange{Lsn{0x400000}, Lsn{0x600000}, 2U << 20, 1}));
}

// How it was made. PGHAUL_WRITE_GOLDEN_WAL names a directory that does not exist yet.
TEST(GoldenArchive, IsWrittenWhereAsked) {
  const char* directory = std::getenv("PGHAUL_WRITE_GOLDEN_WAL");
  if (directory == nullptr) GTEST_SKIP() << "PGHAUL_WRITE_GOLDEN_WAL is not set";
  ASSERT_FALSE(std::filesystem::exists(directory));
  ArchiveFixture archive;
  for (const auto& [name, content] : golden_files()) ASSERT_TRUE(archive.push(name, content));
  io::ObjectStore& store = archive.repository().store();
  const std::vector<io::ObjectInfo> objects = store.list("").value();
  for (const io::ObjectInfo& object : objects) {
    const std::filesystem::path path = std::filesystem::path(directory) / object.key;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream file(path, std::ios::binary);
    file << archive.object(object.key);
    ASSERT_TRUE(file.good());
  }
}

}  // namespace
}  // namespace haul::wal
