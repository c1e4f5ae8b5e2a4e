#include "engine/wal/wal_object.h"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/wal/frame_coder.h"
#include "tests/unit/wal/wal_fixture.h"

namespace haul::wal {
namespace {

using testing::ArchiveFixture;
using testing::code_of;
using testing::FakeSegment;
using ::testing::HasSubstr;
using testing::kSegmentBytes;
using testing::kSystem;

class WalObject : public ::testing::Test {
 protected:
  // Stores a file and gives its key.
  std::string store(const std::string& name, const std::string& content) {
    HAUL_ASSERT(archive.push(name, content).has_value());
    key = {kSystem, parse_wal_name(name).value()};
    return WalLayout(archive.cluster().layout, kSystem).key(key.name);
  }
  std::string store(const FakeSegment& segment) { return store(segment.name(), segment.content()); }
  Result<std::vector<std::byte>> read() { return read_wal_content(archive.cluster(), key); }

  void expect_corrupt(const std::string& why) {
    const auto content = read();
    ASSERT_EQ(code_of(content), ErrorCode::corrupt) << why;
    EXPECT_THAT(content.error().message(), HasSubstr(why));
    EXPECT_THAT(content.error().message(), HasSubstr(key.name.text));
  }

  ArchiveFixture archive;
  WalKey key;
};

TEST_F(WalObject, ContentOfEveryKindComesBack) {
  const FakeSegment segment;
  const std::pair<std::string, std::string> files[] = {
      {segment.name(), segment.content()},
      {segment.name() + ".partial", segment.content()},
      {"00000002.history", testing::history_of_2("0/500028")},
      {segment.name() + ".00000028.backup",
       "START WAL LOCATION: 0/500028 (file " + segment.name() + ")\n"}};
  for (const auto& [name, content] : files) {
    store(name, content);
    const auto back = read();
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(text_of(*back), content) << name;
  }
}

TEST_F(WalObject, SegmentOfManyFramesComesBack) {
  const FakeSegment segment{.number = 3, .size_bytes = 16U << 20, .pages = 1500};
  store(segment);
  const auto back = read();
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(text_of(*back), segment.content());
  const WalHeader header = read_wal_header(archive.cluster(), key).value();
  ASSERT_EQ(header.frames.size(), 16U);
  EXPECT_EQ(header.facts, (WalFacts{kSystem, 3, 16U << 20, 15}));
  EXPECT_EQ(header.timeline, TimelineId{1});
}

TEST_F(WalObject, ZerosTakeNoBytes) {
  const FakeSegment segment{.size_bytes = 16U << 20, .pages = 1};
  const std::string object = archive.object(store(segment));
  EXPECT_LT(object.size(), kWalHeaderBytes + 16 * kFrameEntryBytes + 20'000);
  const WalHeader header = read_wal_header(archive.cluster(), key).value();
  EXPECT_GT(header.frames[0].stored_bytes, 0U);
  for (std::size_t i = 1; i < 16; ++i) EXPECT_EQ(header.frames[i].stored_bytes, 0U) << i;
}

TEST_F(WalObject, ObjectsAreTheSameHoweverManyWorkers) {
  const FakeSegment segment{.size_bytes = 4U << 20};
  const std::string content = segment.content();
  const WalSource source{
      {kSystem, parse_wal_name(segment.name()).value()},
      examine_content(parse_wal_name(segment.name()).value(), bytes_of(content)).value(),
      bytes_of(content)};
  const EncodedWal one = encode_wal_object(archive.cluster(), source, 1).value();
  for (const std::size_t workers : {2U, 3U, 64U}) {
    const EncodedWal many = encode_wal_object(archive.cluster(), source, workers).value();
    EXPECT_EQ(many.head, one.head) << workers;
    EXPECT_EQ(many.frames, one.frames) << workers;
  }
}

// Nothing may be taken for another content, whichever byte changes.
TEST_F(WalObject, EveryByteIsCovered) {
  const std::string key_text =
      store(testing::FakeSegment{}.name() + ".00000028.backup",
            "START WAL LOCATION: 0/500028 (file " + FakeSegment().name() + ")\n");
  const std::string object = archive.object(key_text);
  for (std::size_t i = 0; i < object.size(); ++i) {
    std::string damaged = object;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x04);
    archive.overwrite(key_text, damaged);
    const auto content = read();
    ASSERT_FALSE(content) << i;
    const ErrorCode code = content.error().code();
    EXPECT_TRUE(code == ErrorCode::corrupt || code == ErrorCode::unsupported) << i;
  }
}

TEST_F(WalObject, DamagedFrameIsNamed) {
  const FakeSegment segment{.size_bytes = 4U << 20};
  const std::string key_text = store(segment);
  std::string object = archive.object(key_text);
  object.back() = static_cast<char>(object.back() ^ 1);
  archive.overwrite(key_text, object);
  expect_corrupt("frame 3: checksum does not match");
}

TEST_F(WalObject, TruncatedOrGrownObjectIsCorrupt) {
  const std::string key_text = store(FakeSegment{});
  const std::string object = archive.object(key_text);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{31}, kWalHeaderBytes - 1, kWalHeaderBytes,
        kWalHeaderBytes + kFrameEntryBytes, object.size() - 1}) {
    archive.overwrite(key_text, object.substr(0, size));
    EXPECT_EQ(code_of(read()), ErrorCode::corrupt) << size;
    EXPECT_EQ(code_of(read_wal_header(archive.cluster(), key)), ErrorCode::corrupt) << size;
  }
  archive.overwrite(key_text, object + '\0');
  expect_corrupt("bytes instead of");
}

TEST_F(WalObject, MovedObjectIsCorrupt) {
  const std::string from = store(FakeSegment{.number = 5});
  const std::string to = store(FakeSegment{.number = 6});
  archive.overwrite(to, archive.object(from));
  expect_corrupt("header is not valid");
  // With nothing in its header that the name contradicts.
  const std::string history = store("00000002.history", testing::history_of_2("0/500028"));
  const auto other = archive.repository().cluster("other").value();
  const std::string elsewhere = WalLayout(other.layout, kSystem).key(key.name);
  ASSERT_TRUE(other.store->put_if_absent(elsewhere, bytes_of(archive.object(history))));
  const auto moved = read_wal_content(other, key);
  ASSERT_EQ(code_of(moved), ErrorCode::corrupt);
  EXPECT_THAT(moved.error().message(), HasSubstr("checksum of the header does not match"));
}

TEST_F(WalObject, ObjectOfAnotherRepositoryIsCorrupt) {
  store(FakeSegment{});
  repository::Cluster stranger = archive.cluster();
  stranger.repository.bytes[0] ^= std::byte{1};
  const auto content = read_wal_content(stranger, key);
  ASSERT_EQ(code_of(content), ErrorCode::corrupt);
  EXPECT_THAT(content.error().message(), HasSubstr("belongs to another repository"));
}

TEST_F(WalObject, KindMustBeThatOfTheName) {
  const FakeSegment segment;
  const std::string whole = archive.object(store(segment));
  const std::string partial = store(segment.name() + ".partial", segment.content());
  archive.overwrite(partial, whole);
  expect_corrupt("not a WAL file");
}

// A header whose checksum is good, as whoever can write the repository can make it.
class ForgedWalObject : public WalObject {
 protected:
  template <typename T>
  void forge(std::string& object, std::size_t offset, T value) {
    std::memcpy(object.data() + offset, &value, sizeof value);
  }
  void seal(const std::string& key_text, std::string& object, std::size_t frames) {
    const ByteSpan head = bytes_of(object).first(
        std::min(object.size(), kWalHeaderBytes + frames * kFrameEntryBytes));
    compress::Checksummer sum;
    sum.update(bytes_of(key_text)).update(head.first(128)).update(head.subspan(kWalHeaderBytes));
    const compress::Checksum made = sum.finish();
    std::memcpy(object.data() + 128, made.bytes.data(), made.bytes.size());
    archive.overwrite(key_text, object);
  }
};

TEST_F(ForgedWalObject, LengthsThatCannotBeAreRefusedBeforeAnythingIsAllocated) {
  const std::string key_text = store(FakeSegment{});
  const std::string object = archive.object(key_text);
  struct Field {
    std::size_t offset;
    std::uint64_t value;
    std::size_t size;
  };
  for (const Field& field :
       {Field{32, UINT64_MAX, 8}, Field{32, kSegmentBytes + 1, 8}, Field{32, 2 * kSegmentBytes, 8},
        Field{40, 1, 8}, Field{48, 6, 8}, Field{56, 2, 4}, Field{60, 2 * kSegmentBytes, 4},
        Field{60, 0, 4}, Field{64, 4096, 4}, Field{68, 2, 4}, Field{68, UINT32_MAX, 4},
        Field{68, 0, 4}, Field{74, 1, 2}}) {
    std::string forged = object;
    std::memcpy(forged.data() + field.offset, &field.value, field.size);
    seal(key_text, forged, 1);
    expect_corrupt("header is not valid");
  }
}

TEST_F(ForgedWalObject, FramesThatCannotBeAreRefused) {
  const std::string key_text = store(FakeSegment{});
  const std::string object = archive.object(key_text);
  const auto expect_frame = [&](std::uint32_t stored, std::uint8_t codec, const std::string& why) {
    std::string forged = object;
    forge(forged, kWalHeaderBytes, stored);
    forge(forged, kWalHeaderBytes + 4, codec);
    seal(key_text, forged, 1);
    const auto content = read();
    ASSERT_FALSE(content) << why;
    EXPECT_THAT(content.error().message(), HasSubstr(why)) << stored;
  };
  expect_frame(kSegmentBytes - 1, 0, "frame 0 is not valid");
  expect_frame(UINT32_MAX, 0, "frame 0 is not valid");
  expect_frame(0, 1, "frame 0 is not valid");
  expect_frame(kSegmentBytes, 1, "frame 0 is not valid");
  expect_frame(100, 3, "codec");
  std::string forged = object;
  forge(forged, kWalHeaderBytes + 5, std::uint8_t{1});
  seal(key_text, forged, 1);
  expect_corrupt("frame 0 is not valid");
}

TEST_F(ForgedWalObject, FrameThatDoesNotDecodeIsCorrupt) {
  const FakeSegment segment{.pages = 10};
  const std::string key_text = store(segment);
  std::string object = archive.object(key_text);
  const std::size_t at = kWalHeaderBytes + kFrameEntryBytes;
  object[at] = '\xff';
  const compress::Checksum sum = compress::checksum(bytes_of(object).subspan(at));
  std::memcpy(object.data() + kWalHeaderBytes + 8, sum.bytes.data(), sum.bytes.size());
  seal(key_text, object, 1);
  expect_corrupt("frame 0: ");
}

TEST_F(ForgedWalObject, ContentThatIsNotTheOneStoredIsCorrupt) {
  const std::string key_text = store(FakeSegment{});
  for (const std::size_t offset : {80U, 96U}) {
    std::string object = archive.object(key_text);
    object[offset] = static_cast<char>(object[offset] ^ 1);
    seal(key_text, object, 1);
    expect_corrupt("content is not what was stored");
    object[offset] = static_cast<char>(object[offset] ^ 1);
    seal(key_text, object, 1);
  }
}

TEST_F(ForgedWalObject, HeaderThatContradictsTheContentIsCorrupt) {
  const std::string key_text = store(FakeSegment{});
  std::string object = archive.object(key_text);
  forge(object, 72, std::uint16_t{16});
  seal(key_text, object, 1);
  expect_corrupt("header and content disagree");
}

// Stored under a name by something that did not look.
TEST_F(WalObject, ContentThatIsNotWhatItsNameSaysIsCorrupt) {
  const FakeSegment segment;
  key = {kSystem, parse_wal_name(FakeSegment{.number = 6}.name()).value()};
  const std::string content = segment.content();
  const WalFacts facts{kSystem, 6, kSegmentBytes, 15};
  ASSERT_TRUE(archive.archive().put(key.name, facts, bytes_of(content)));
  expect_corrupt("begins at 0/500000 instead of 0/600000");
}

TEST(Frames, CountAndSizes) {
  EXPECT_EQ(frame_count(0), 0U);
  EXPECT_EQ(frame_count(1), 1U);
  EXPECT_EQ(frame_count(kFrameBytes), 1U);
  EXPECT_EQ(frame_count(kFrameBytes + 1), 2U);
  EXPECT_EQ(frame_size(kFrameBytes + 1, 0), kFrameBytes);
  EXPECT_EQ(frame_size(kFrameBytes + 1, 1), 1U);
}

TEST(Frames, NothingHasNoFrames) {
  bool ran = false;
  const EncodedFrames frames = encode_frames({}, 4, [&] { ran = true; }).value();
  EXPECT_TRUE(frames.entries.empty());
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace haul::wal
