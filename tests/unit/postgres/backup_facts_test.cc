#include "engine/postgres/backup_facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace haul::postgres {
namespace {

using testing::HasSubstr;

BackupFacts full_facts() {
  BackupFacts facts;
  facts.server_version = 150004;
  facts.system_identifier = UINT64_MAX;
  facts.catalog_version = 202209061;
  facts.block_size_bytes = 8192;
  facts.relation_segment_blocks = 131072;
  facts.wal_segment_size_bytes = 1U << 24;
  facts.data_checksum_version = 1;
  facts.wal_level = WalLevel::logical;
  facts.wal_log_hints = true;
  facts.from_standby = true;
  facts.start = Lsn{0x1'0000'0028};
  facts.stop = Lsn{0x1'0000'0100};
  facts.start_timeline = TimelineId{2};
  facts.stop_timeline = TimelineId{3};
  facts.wal_included = true;
  facts.label = "nightly \xC3\xA9";
  facts.start_time = "2026-11-23 02:02:22 UTC";
  facts.stop_time = "2026-11-23 02:05:00 UTC";
  facts.backup_label = std::string("LABEL: \xFF\n", 9);
  facts.tablespace_map = "16385 /space with\\ backslash\n";
  facts.data_directory = "/data/\xFE";
  facts.owner_user = "postgres";
  facts.owner_group = "postgres";
  facts.owner_user_id = 105;
  facts.owner_group_id = 107;
  facts.node = "1:2";
  facts.tablespaces = {{16385, "/space", false}, {16386, "", true}};
  facts.configuration = {{"/etc/postgresql/15/main/pg_hba.conf", "hba_file"}};
  facts.bad_page_count = 2;
  facts.bad_pages = {{"base/5/16385.1", 131073}};
  return facts;
}

TEST(BackupFacts, SurviveBeingWrittenAndRead) {
  const BackupFacts facts = full_facts();
  const auto read = backup_facts_from_json(Json::parse(to_json(facts).dump()).value());
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(*read, facts);
}

TEST(BackupFacts, EveryMemberHasToBeThereAndOfItsType) {
  const Json whole = to_json(full_facts());
  for (const auto& [key, value] : whole.members()) {
    Json without = Json::object();
    Json changed = Json::object();
    for (const auto& [other, kept] : whole.members()) {
      if (other != key) without.set(other, kept);
      changed.set(other, other == key ? Json::object() : kept);
    }
    for (const Json& json : {without, changed}) {
      const auto read = backup_facts_from_json(json);
      ASSERT_FALSE(read) << key;
      EXPECT_EQ(read.error().code(), ErrorCode::corrupt) << key;
      EXPECT_THAT(read.error().message(), HasSubstr(key));
    }
  }
}

// Facts whose member `key` is this number.
Result<BackupFacts> with(const char* key, std::uint64_t value) {
  Json json = to_json(full_facts());
  json.set(key, value);
  return backup_facts_from_json(json);
}

TEST(BackupFacts, NumbersOutOfRangeAreCorrupt) {
  EXPECT_TRUE(with("server_version", 0x7FFF'FFFF));
  for (const auto& [key, value] : std::initializer_list<std::pair<const char*, std::uint64_t>>{
           {"server_version", 0x8000'0000},
           {"wal_level", 3},
           {"catalog_version", 0x1'0000'0000},
           {"start_timeline", 0x1'0000'0000}}) {
    const auto read = with(key, value);
    ASSERT_FALSE(read) << key;
    EXPECT_EQ(read.error().code(), ErrorCode::corrupt) << key;
  }
}

}  // namespace
}  // namespace haul::postgres
