#include "engine/repository/format.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "compress/checksum.h"
#include "engine/repository/framed_object.h"
#include "tests/support/file_content.h"

namespace haul::repository {
namespace {

using support::code_of;

constexpr RepositoryId kRepository{{std::byte{0xAB}, std::byte{0xCD}}};

std::vector<std::byte> header() {
  ByteWriter out;
  write_object_header(out, ObjectKind::pack, kRepository);
  return std::move(out).take();
}

Result<RepositoryId> read(std::vector<std::byte> bytes, ObjectKind kind = ObjectKind::pack) {
  ByteReader in(bytes);
  return read_object_header(in, kind, "some/key");
}

TEST(ObjectHeader, HasTheDocumentedBytes) {
  EXPECT_EQ(to_hex(header()),
            "50474841554c0d0a"  // PGHAUL\r\n
            "0400010000000000"  // kind 4, version 1, suite 0, flags 0
            "abcd0000000000000000000000000000");
}

TEST(ObjectHeader, ReadsBackTheRepository) { EXPECT_EQ(read(header()).value(), kRepository); }

TEST(ObjectHeader, OtherMagicIsCorrupt) {
  auto bytes = header();
  bytes[6] = std::byte{'\n'};
  EXPECT_EQ(code_of(read(bytes)), ErrorCode::corrupt);
}

TEST(ObjectHeader, OtherKindIsCorrupt) {
  const auto result = read(header(), ObjectKind::snapshot);
  ASSERT_EQ(code_of(result), ErrorCode::corrupt);
  EXPECT_EQ(result.error().message(), "some/key: not a snapshot");
}

TEST(ObjectHeader, CutIsCorrupt) {
  auto bytes = header();
  bytes.resize(kObjectHeaderBytes - 1);
  EXPECT_EQ(code_of(read(bytes)), ErrorCode::corrupt);
}

// What a reader does with what it does not know: it refuses, and says who could read it.
class UnknownHeaderField : public testing::TestWithParam<std::size_t> {};

TEST_P(UnknownHeaderField, IsUnsupported) {
  auto bytes = header();
  bytes[GetParam()] ^= std::byte{2};
  const auto result = read(bytes);
  ASSERT_EQ(code_of(result), ErrorCode::unsupported);
  EXPECT_FALSE(result.error().hint().empty());
}

INSTANTIATE_TEST_SUITE_P(VersionSuiteFlags, UnknownHeaderField,
                         testing::Values(10U, 11U, 12U, 13U, 14U, 15U));

TEST(RepositoryIdText, Is32HexadecimalDigits) {
  EXPECT_EQ(to_string(kRepository), "abcd0000000000000000000000000000");
}

TEST(ObjectKindText, EveryKindHasAName) {
  EXPECT_STREQ(to_string(ObjectKind::config), "config");
  EXPECT_STREQ(to_string(ObjectKind::lease), "lease");
  EXPECT_STREQ(to_string(ObjectKind::snapshot), "snapshot");
  EXPECT_STREQ(to_string(ObjectKind::pack), "pack");
  EXPECT_STREQ(to_string(ObjectKind::index_run), "index run");
}

std::vector<std::byte> framed(std::string_view body) {
  return frame_object(ObjectKind::lease, kRepository, "leases/a", bytes_of(body));
}

Result<FramedObject> unframe(const std::vector<std::byte>& object) {
  return unframe_object(ObjectKind::lease, "leases/a", object);
}

TEST(FramedObject, BodyComesBack) {
  const FramedObject frame = unframe(framed("body")).value();
  EXPECT_EQ(text_of(frame.body), "body");
  EXPECT_EQ(frame.repository, kRepository);
}

TEST(FramedObject, EmptyBodyComesBack) { EXPECT_TRUE(unframe(framed("")).value().body.empty()); }

TEST(FramedObject, HeaderIs64Bytes) { EXPECT_EQ(framed("body").size(), 68U); }

TEST(FramedObject, EveryChangedByteIsFound) {
  const auto sound = framed("a body of some length");
  for (std::size_t i = 0; i < sound.size(); ++i) {
    // The repository's id is covered as well, though the caller compares it.
    auto damaged = sound;
    damaged[i] ^= std::byte{0x40};
    EXPECT_FALSE(unframe(damaged)) << i;
  }
}

TEST(FramedObject, MovedToAnotherNameIsCorrupt) {
  const auto object = framed("body");
  EXPECT_EQ(code_of(unframe_object(ObjectKind::lease, "leases/b", object)), ErrorCode::corrupt);
}

TEST(FramedObject, LongerOrShorterThanDeclaredIsCorrupt) {
  auto object = framed("body");
  object.pop_back();
  EXPECT_EQ(code_of(unframe(object)), ErrorCode::corrupt);
  object.resize(object.size() + 2);
  EXPECT_EQ(code_of(unframe(object)), ErrorCode::corrupt);
}

TEST(FramedObject, ShorterThanItsHeaderIsCorrupt) {
  auto object = framed("");
  object.pop_back();
  EXPECT_EQ(code_of(unframe(object)), ErrorCode::corrupt);
}

TEST(FramedObject, ReservedBytesThatAreSetAreCorruptUnderAnyChecksum) {
  // The checksum of the frame is made good again: only the rule about reserved bytes is left.
  auto object = framed("body");
  object[40] = std::byte{1};
  compress::Checksummer sum;
  sum.update(bytes_of("leases/a")).update(ByteSpan(object).first(48)).update(bytes_of("body"));
  std::ranges::copy(sum.finish().bytes, object.begin() + 48);
  EXPECT_EQ(code_of(unframe(object)), ErrorCode::corrupt);
}

}  // namespace
}  // namespace haul::repository
