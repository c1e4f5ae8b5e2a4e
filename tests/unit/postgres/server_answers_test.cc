#include "engine/postgres/internal/server_answers.h"

#include <gtest/gtest.h>

namespace haul::postgres {
namespace {

// The columns as the query puts them.
Row facts_row() {
  return {"7711653421140677923",
          "f",                     // pg_is_in_recovery
          "1",                     // timeline_id
          "/data",                 // data_directory
          "/etc/postgresql.conf",  // config_file
          "/etc/hba",              // hba_file
          "/etc/ident",            // ident_file
          "/run",                  // unix_socket_directories
          "off",                   // archive_mode
          "replica",               // wal_level
          "t",                     // full_page_writes
          "off",                   // wal_log_hints
          "1",                     // data_page_checksum_version
          "8192",                  // database_block_size
          "8192",                  // wal_block_size
          "16777216"};             // bytes_per_wal_segment
}

ErrorCode code_of_facts(std::size_t column, std::optional<std::string> value) {
  Row row = facts_row();
  row[column] = std::move(value);
  const auto parsed = parse_server_facts(row, 150004);
  EXPECT_FALSE(parsed) << column;
  return parsed ? ErrorCode::usage : parsed.error().code();
}

TEST(ServerFacts, EveryColumnIsRead) {
  const ServerFacts facts = parse_server_facts(facts_row(), 150004).value();
  EXPECT_EQ(facts.version, 150004);
  EXPECT_EQ(facts.major, 15);
  EXPECT_EQ(facts.system_identifier, 7711653421140677923U);
  EXPECT_FALSE(facts.in_recovery);
  EXPECT_EQ(facts.timeline, TimelineId{1});
  EXPECT_EQ(facts.data_directory, "/data");
  EXPECT_EQ(facts.config_file, "/etc/postgresql.conf");
  EXPECT_EQ(facts.hba_file, "/etc/hba");
  EXPECT_EQ(facts.ident_file, "/etc/ident");
  EXPECT_EQ(facts.unix_socket_directories, "/run");
  EXPECT_EQ(facts.archive_mode, "off");
  EXPECT_EQ(facts.wal_level, WalLevel::replica);
  EXPECT_TRUE(facts.full_page_writes);
  EXPECT_FALSE(facts.wal_log_hints);
  EXPECT_TRUE(facts.data_checksums);
  EXPECT_EQ(facts.block_size_bytes, 8192U);
  EXPECT_EQ(facts.wal_block_size_bytes, 8192U);
  EXPECT_EQ(facts.wal_segment_size_bytes, 16777216U);
}

TEST(ServerFacts, NegativeSystemIdentifierIsItsBits) {
  Row row = facts_row();
  row[0] = "-1";
  EXPECT_EQ(parse_server_facts(row, 150004)->system_identifier, 0xFFFFFFFFFFFFFFFFU);
}

TEST(ServerFacts, HiddenSettingsAreEmpty) {
  Row row = facts_row();
  for (std::size_t column = 3; column < 8; ++column) row[column] = std::nullopt;
  const ServerFacts facts = parse_server_facts(row, 150004).value();
  EXPECT_EQ(facts.data_directory, "");
  EXPECT_EQ(facts.config_file, "");
}

TEST(ServerFacts, NonsenseIsServerState) {
  EXPECT_EQ(code_of_facts(0, "0"), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(0, "99999999999999999999"), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(0, std::nullopt), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(1, "maybe"), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(2, "0"), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(2, "-1"), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(8, std::nullopt), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(9, "hot_standby"), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(10, ""), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(11, "t "), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(12, "x"), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(13, "0"), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(13, "8191"), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(14, "131072"), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(14, "0"), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(15, "16MB"), ErrorCode::server_state);
  EXPECT_EQ(code_of_facts(15, "1000"), ErrorCode::server_state);
}

TEST(ServerFacts, AnotherNumberOfColumnsIsServerState) {
  Row row = facts_row();
  row.pop_back();
  EXPECT_FALSE(parse_server_facts(row, 150004));
  EXPECT_FALSE(parse_server_facts({}, 150004));
  row = facts_row();
  row.emplace_back("1");
  EXPECT_FALSE(parse_server_facts(row, 150004));
}

TEST(BackupFunctions, NamesDependOnTheRelease) {
  for (const int major : {13, 14}) {
    EXPECT_EQ(start_function_signature(major), "pg_start_backup(text,boolean,boolean)");
    EXPECT_EQ(stop_function_signature(major), "pg_stop_backup(boolean,boolean)");
    EXPECT_NE(start_sql(major).find("pg_start_backup($1, $2::boolean, false)"), std::string::npos);
    EXPECT_NE(stop_sql(major).find("pg_stop_backup(false, false)"), std::string::npos);
  }
  for (const int major : {15, 16, 17, 18}) {
    EXPECT_EQ(start_function_signature(major), "pg_backup_start(text,boolean)");
    EXPECT_EQ(stop_function_signature(major), "pg_backup_stop(boolean)");
    EXPECT_NE(start_sql(major).find("pg_backup_start($1, $2::boolean)"), std::string::npos);
    EXPECT_NE(stop_sql(major).find("pg_backup_stop(false)"), std::string::npos);
  }
}

TEST(StartAnswer, IsRead) {
  const StartResult result = parse_start({"0/2000028", "2026-11-24T08:00:00Z", "3"}).value();
  EXPECT_EQ(result.start, Lsn{0x2000028});
  EXPECT_EQ(result.start_time, "2026-11-24T08:00:00Z");
  EXPECT_EQ(result.timeline, TimelineId{3});
}

TEST(StartAnswer, NonsenseIsServerState) {
  EXPECT_FALSE(parse_start({"0/0", "now", "1"}));
  EXPECT_FALSE(parse_start({"FFFFFFFFF/0", "now", "1"}));
  EXPECT_FALSE(parse_start({std::nullopt, "now", "1"}));
  EXPECT_FALSE(parse_start({"0/2000028", "now", "0"}));
  EXPECT_FALSE(parse_start({"0/2000028", "now", std::nullopt}));
  EXPECT_FALSE(parse_start({"0/2000028"}));
}

TEST(StopAnswer, IsReadByteForByte) {
  const StopResult result = parse_stop({"0/2000128", "LABEL: x\n\n", "1 /a\n", "now"}).value();
  EXPECT_EQ(result.stop, Lsn{0x2000128});
  EXPECT_EQ(result.backup_label, "LABEL: x\n\n");
  EXPECT_EQ(result.tablespace_map, "1 /a\n");
  EXPECT_EQ(result.stop_time, "now");
}

TEST(StopAnswer, MapMayBeNullButNotTheLabel) {
  EXPECT_EQ(parse_stop({"0/2000128", "x", std::nullopt, "now"})->tablespace_map, "");
  EXPECT_FALSE(parse_stop({"0/2000128", "", "", "now"}));
  EXPECT_FALSE(parse_stop({"0/2000128", std::nullopt, "", "now"}));
  EXPECT_FALSE(parse_stop({"0/2000128/1", "x", "", "now"}));
}

TEST(PingAnswer, IsRead) {
  const PingAnswer answer = parse_ping({"t", "f", "2"}).value();
  EXPECT_TRUE(answer.session_alive);
  EXPECT_FALSE(answer.in_recovery);
  EXPECT_EQ(answer.timeline, TimelineId{2});
  EXPECT_FALSE(parse_ping({"", "f", "2"}));
  EXPECT_FALSE(parse_ping({"t", "f", "x"}));
  EXPECT_FALSE(parse_ping({"t", "f"}));
}

TEST(Tablespaces, AreReadAndInPlaceOnesRecognised) {
  const auto parsed =
      parse_tablespaces({{"16385", "far", "/srv"}, {"16386", "near", "pg_tblspc/16386"}}).value();
  ASSERT_EQ(parsed.size(), 2U);
  EXPECT_EQ(parsed[0].oid, 16385U);
  EXPECT_EQ(parsed[0].name, "far");
  EXPECT_EQ(parsed[0].location, "/srv");
  EXPECT_FALSE(parsed[0].in_place);
  EXPECT_TRUE(parsed[1].in_place);
}

TEST(Tablespaces, DroppedMeanwhileIsLeftOut) {
  EXPECT_TRUE(parse_tablespaces({{"16385", "far", ""}}).value().empty());
  EXPECT_TRUE(parse_tablespaces({{"16385", "far", std::nullopt}}).value().empty());
}

TEST(Tablespaces, RelativeLocationsAreServerState) {
  EXPECT_FALSE(parse_tablespaces({{"16385", "far", "srv"}}));
  EXPECT_FALSE(parse_tablespaces({{"16385", "far", "pg_tblspc/16386"}}));
  EXPECT_FALSE(parse_tablespaces({{"x", "far", "/srv"}}));
}

TEST(Position, IsReadStrictly) {
  EXPECT_EQ(parse_position({"16/B374D848"}).value(), Lsn{0x16'B374D848});
  EXPECT_FALSE(parse_position({std::nullopt}));
  EXPECT_FALSE(parse_position({"16/B374D848 "}));
  EXPECT_FALSE(parse_position({}));
}

TEST(CheckLabel, ControlCharactersAndLengthAreUsage) {
  EXPECT_TRUE(check_label(""));
  EXPECT_TRUE(check_label("nächtlich, 'quoted' \\ and %p"));
  EXPECT_TRUE(check_label(std::string(1024, 'x')));
  for (const std::string& label :
       {std::string("a\nb"), std::string("a\rb"), std::string("a\0b", 3), std::string("\x7f"),
        std::string("\t"), std::string(1025, 'x')}) {
    const Status status = check_label(label);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code(), ErrorCode::usage);
  }
}

}  // namespace
}  // namespace haul::postgres
