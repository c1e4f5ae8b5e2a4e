// Records: their names, what they hold, and what damage does to them.
#include "engine/repository/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"
#include "tests/unit/repository/repository_fixture.h"

namespace haul::repository {
namespace {

using testing::code_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::RepositoryFixture;

constexpr RecordKind kVerification = RecordKind::verification;
constexpr RecordKind kDistrusted = RecordKind::changes_distrusted;

class RecordTest : public ::testing::Test {
 protected:
  Json content() const {
    Json json = Json::object();
    json.set("what", "a page differs");
    return json;
  }
  std::string key_of(const RecordRef& record) const {
    return record_key(repository_.cluster.layout, record);
  }

  RepositoryFixture repository_;
};

TEST_F(RecordTest, ComesBackAsItWas) {
  const RecordRef record{kVerification, "20261123T020222Z-0f3a9c51"};
  ASSERT_TRUE(add_record(repository_.cluster, record, content()));
  EXPECT_EQ(read_record(repository_.cluster, record).value(), content());
  EXPECT_EQ(parse_record_key(repository_.cluster.layout, key_of(record)), record);
}

TEST_F(RecordTest, IsNeverReplaced) {
  const RecordRef record{kVerification, "20261123T020222Z-0f3a9c51"};
  ASSERT_TRUE(add_record(repository_.cluster, record, content()));
  EXPECT_EQ(code_of(add_record(repository_.cluster, record, Json::object())),
            ErrorCode::already_exists);
  EXPECT_EQ(read_record(repository_.cluster, record).value(), content());
}

TEST_F(RecordTest, KindsAreListedApartAndInOrder) {
  for (const std::string_view id : {"20261124T020222Z-00000000", "20261123T020222Z-ffffffff"}) {
    ASSERT_TRUE(add_record(repository_.cluster, {kVerification, std::string(id)}, content()));
  }
  ASSERT_TRUE(add_record(repository_.cluster, {kDistrusted, "20261122T020222Z-I"}, content()));
  EXPECT_THAT(list_records(repository_.cluster, kVerification).value(),
              ElementsAre("20261123T020222Z-ffffffff", "20261124T020222Z-00000000"));
  EXPECT_THAT(list_records(repository_.cluster, kDistrusted).value(),
              ElementsAre("20261122T020222Z-I"));
}

TEST_F(RecordTest, WithoutAnyThereAreNone) {
  EXPECT_THAT(list_records(repository_.cluster, kVerification).value(), IsEmpty());
}

TEST_F(RecordTest, OtherNamesAreNoRecords) {
  const std::string place = repository_.cluster.layout.records() + "/";
  for (const std::string_view name :
       {"verification-20261123T020222Z", "verification-20261123T020222Z-0f3a9c5",
        "verification-20261123T020222Z-0F3A9C51", "verification-20261323T020222Z-0f3a9c51",
        "verification-20261123T020222Z_0f3a9c51", "verification-20261123T020222Z-0f3a9c51/a",
        "changes-distrusted-20261123T020222Z", "changes-distrusted-20261123T020222Z-X",
        "drilled-20261123T020222Z-0f3a9c51", ""}) {
    EXPECT_EQ(parse_record_key(repository_.cluster.layout, place + std::string(name)), std::nullopt)
        << name;
  }
}

TEST_F(RecordTest, NewIdIsTheTimeAndRandom) {
  support::ManualClock clock;
  SeededRandom random(1);
  const std::string one = new_record_id(clock, random).value();
  const std::string other = new_record_id(clock, random).value();
  EXPECT_NE(one, other);
  EXPECT_EQ(one.substr(0, 16), to_compact_iso8601(clock.now_utc()));
  EXPECT_TRUE(parse_record_key(repository_.cluster.layout, key_of({kVerification, one})));
}

TEST_F(RecordTest, DamageIsToldByTheKey) {
  const RecordRef record{kVerification, "20261123T020222Z-0f3a9c51"};
  ASSERT_TRUE(add_record(repository_.cluster, record, content()));
  repository_.damage(key_of(record), 70);
  const auto read = read_record(repository_.cluster, record);
  EXPECT_EQ(code_of(read), ErrorCode::corrupt);
  EXPECT_THAT(read.error().message(), HasSubstr(key_of(record)));
}

TEST_F(RecordTest, MovedRecordIsCorrupt) {
  const RecordRef record{kVerification, "20261123T020222Z-0f3a9c51"};
  const RecordRef later{kVerification, "20261124T020222Z-0f3a9c51"};
  ASSERT_TRUE(add_record(repository_.cluster, record, content()));
  ASSERT_TRUE(repository_.store().put_if_absent(
      key_of(later), repository_.store().get(key_of(record), kRecordBytesMax).value()));
  EXPECT_EQ(code_of(read_record(repository_.cluster, later)), ErrorCode::corrupt);
}

}  // namespace
}  // namespace haul::repository
