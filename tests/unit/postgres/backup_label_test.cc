#include "engine/postgres/backup_label.h"

#include <gtest/gtest.h>

namespace haul::postgres {
namespace {

constexpr std::uint32_t kSegmentSizeBytes = 16U << 20;

// What pg_backup_stop of PostgreSQL 15 returns.
const std::string kLabel =
    "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
    "CHECKPOINT LOCATION: 0/2000060\n"
    "BACKUP METHOD: streamed\n"
    "BACKUP FROM: primary\n"
    "START TIME: 2026-11-24 08:33:50 UTC\n"
    "LABEL: nightly run\n"
    "START TIMELINE: 1\n";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

bool is_corrupt(const std::string& text) {
  const auto parsed = parse_backup_label(text, kSegmentSizeBytes);
  return !parsed && parsed.error().code() == ErrorCode::corrupt;
}

TEST(BackupLabel, EveryLineIsRead) {
  const auto label = parse_backup_label(kLabel, kSegmentSizeBytes);
  ASSERT_TRUE(label) << label.error().message();
  EXPECT_EQ(label->start, Lsn{0x2000028});
  EXPECT_EQ(label->start_wal_file, "000000010000000000000002");
  EXPECT_EQ(label->checkpoint, Lsn{0x2000060});
  EXPECT_EQ(label->source, BackupLabel::Source::primary);
  EXPECT_EQ(label->start_time, "2026-11-24 08:33:50 UTC");
  EXPECT_EQ(label->label, "nightly run");
  EXPECT_EQ(label->timeline, TimelineId{1});
}

TEST(BackupLabel, SourcesOfAllReleasesAreRead) {
  const auto source_of = [](const std::string& name) {
    return parse_backup_label(replaced(kLabel, "primary", name), kSegmentSizeBytes).value().source;
  };
  EXPECT_EQ(source_of("master"), BackupLabel::Source::primary);
  EXPECT_EQ(source_of("standby"), BackupLabel::Source::standby);
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "primary", "elsewhere")));
}

TEST(BackupLabel, EmptyLabelTextIsAllowed) {
  EXPECT_TRUE(parse_backup_label(replaced(kLabel, "nightly run", ""), kSegmentSizeBytes));
}

TEST(BackupLabel, EveryMissingLineIsCorrupt) {
  for (std::size_t begin = 0; begin < kLabel.size();) {
    const std::size_t end = kLabel.find('\n', begin) + 1;
    EXPECT_TRUE(is_corrupt(kLabel.substr(0, begin) + kLabel.substr(end))) << begin;
    begin = end;
  }
}

TEST(BackupLabel, EveryTruncationIsCorrupt) {
  for (std::size_t size = 0; size < kLabel.size(); ++size) {
    EXPECT_TRUE(is_corrupt(kLabel.substr(0, size))) << size;
  }
}

TEST(BackupLabel, CarriageReturnsAreCorrupt) {
  std::string dos;
  for (const char c : kLabel) dos += c == '\n' ? std::string("\r\n") : std::string(1, c);
  EXPECT_TRUE(is_corrupt(dos));
}

TEST(BackupLabel, FurtherLinesAreCorrupt) {
  EXPECT_TRUE(is_corrupt(kLabel + "\n"));
  EXPECT_TRUE(is_corrupt(kLabel + "INCREMENTAL FROM LSN: 0/1000028\n"));
  EXPECT_TRUE(is_corrupt(kLabel + kLabel));
}

TEST(BackupLabel, ExclusiveBackupIsCorrupt) {
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "streamed", "pg_start_backup")));
}

TEST(BackupLabel, FileThatDoesNotHoldTheStartIsCorrupt) {
  EXPECT_TRUE(is_corrupt(
      replaced(kLabel, "(file 000000010000000000000002)", "(file 000000010000000000000003)")));
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "TIMELINE: 1", "TIMELINE: 2")));
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "0/2000028", "0/3000028")));
}

TEST(BackupLabel, CheckpointBeforeStartIsCorrupt) {
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "0/2000060", "0/2000020")));
  EXPECT_TRUE(parse_backup_label(replaced(kLabel, "0/2000060", "0/2000028"), kSegmentSizeBytes));
}

TEST(BackupLabel, MalformedValuesAreCorrupt) {
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "0/2000028", "0/0")));
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "0/2000028", "2000028")));
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "0/2000060", "x")));
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "(file ", "(segment ")));
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "02)\n", "02\n")));
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "TIMELINE: 1", "TIMELINE: 0")));
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "TIMELINE: 1", "TIMELINE: 1 ")));
  EXPECT_TRUE(is_corrupt(replaced(kLabel, "LABEL: ", "LABEL:")));
}

bool is_corrupt_map(const std::string& text) {
  const auto parsed = parse_tablespace_map(text);
  return !parsed && parsed.error().code() == ErrorCode::corrupt;
}

TEST(TablespaceMap, LinesAreRead) {
  const TablespaceMap expected = {{16385, "/srv/one"}, {16386, "/srv/two words"}};
  EXPECT_EQ(parse_tablespace_map("16385 /srv/one\n16386 /srv/two words\n").value(), expected);
}

TEST(TablespaceMap, EmptyTextIsTheEmptyMap) {
  EXPECT_TRUE(parse_tablespace_map("").value().empty());
  EXPECT_EQ(serialize({}), "");
}

TEST(TablespaceMap, EscapesAreUndoneAndWrittenAgain) {
  const TablespaceMap map = {{16385, "/a\nb\\c\rd"}};
  const std::string text = "16385 /a\\\nb\\\\c\\\rd\n";
  EXPECT_EQ(serialize(map), text);
  EXPECT_EQ(parse_tablespace_map(text).value(), map);
}

TEST(TablespaceMap, UnendedLinesAreCorrupt) {
  EXPECT_TRUE(is_corrupt_map("16385 /srv/one"));
  EXPECT_TRUE(is_corrupt_map("16385 /srv/one\\\n"));
  EXPECT_TRUE(is_corrupt_map("16385 /srv/one\\"));
}

TEST(TablespaceMap, MalformedLinesAreCorrupt) {
  EXPECT_TRUE(is_corrupt_map("\n"));
  EXPECT_TRUE(is_corrupt_map("16385\n"));
  EXPECT_TRUE(is_corrupt_map("16385 \n"));
  EXPECT_TRUE(is_corrupt_map("0 /srv/one\n"));
  EXPECT_TRUE(is_corrupt_map("x /srv/one\n"));
  EXPECT_TRUE(is_corrupt_map("016385 /srv/one\n"));
  EXPECT_TRUE(is_corrupt_map("16385 srv/one\n"));
  EXPECT_TRUE(is_corrupt_map("16385 /srv/one\r\n"));
  EXPECT_TRUE(is_corrupt_map(std::string("16385 /srv/\0one\n", 16)));
  EXPECT_TRUE(is_corrupt_map(std::string("16385 /srv/\\\0one\n", 17)));
  EXPECT_TRUE(is_corrupt_map("16385 /" + std::string(1023, 'x') + "\n"));
  EXPECT_FALSE(is_corrupt_map("16385 /" + std::string(1022, 'x') + "\n"));
}

TEST(TablespaceMap, RepeatedOidsOrLocationsAreCorrupt) {
  EXPECT_TRUE(is_corrupt_map("16385 /a\n16385 /b\n"));
  EXPECT_TRUE(is_corrupt_map("16385 /a\n16386 /a\n"));
}

TEST(TablespaceMapping, OldAndNewAreRead) {
  const TablespaceMapping expected = {"/old", "/new"};
  EXPECT_EQ(parse_tablespace_mapping("/old=/new").value(), expected);
  EXPECT_EQ(parse_tablespace_mapping("/old/=//new//").value(), expected);
}

TEST(TablespaceMapping, EscapedEqualsSignBelongsToThePath) {
  const TablespaceMapping expected = {"/o=ld", "/n=ew"};
  EXPECT_EQ(parse_tablespace_mapping("/o\\=ld=/n\\=ew").value(), expected);
  EXPECT_EQ(parse_tablespace_mapping("/o\\ld=/new").value().from, "/o\\ld");
}

TEST(TablespaceMapping, MalformedOnesAreUsageWithAHint) {
  for (const char* text : {"", "/old", "/old=", "=/new", "old=/new", "/old=new", "/a=/b=/c"}) {
    const auto parsed = parse_tablespace_mapping(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), ErrorCode::usage);
    EXPECT_NE(parsed.error().hint(), "");
  }
}

TEST(Remap, NamedLocationsChangeAndOthersStay) {
  const TablespaceMap map = {{1, "/a"}, {2, "/b"}, {3, "/c"}};
  const TablespaceMap expected = {{1, "/a"}, {2, "/y"}, {3, "/z"}};
  EXPECT_EQ(remap(map, {{"/c", "/z"}, {"/b", "/y"}}).value(), expected);
}

TEST(Remap, TwoLocationsCanBeSwapped) {
  const TablespaceMap expected = {{1, "/b"}, {2, "/a"}};
  EXPECT_EQ(remap({{1, "/a"}, {2, "/b"}}, {{"/a", "/b"}, {"/b", "/a"}}).value(), expected);
}

TEST(Remap, SpareSlashesDoNotHideALocation) {
  EXPECT_EQ(remap({{1, "/a//b/"}}, {{"/a/b", "/c"}}).value(), (TablespaceMap{{1, "/c"}}));
}

TEST(Remap, WithoutMappingsNothingChanges) {
  const TablespaceMap map = {{1, "/a"}, {2, "/a/within"}};
  EXPECT_EQ(remap(map, {}).value(), map);
}

TEST(Remap, UnknownOldIsUsageNamingIt) {
  const auto mapped = remap({{1, "/a"}}, {{"/b", "/c"}});
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error().code(), ErrorCode::usage);
  EXPECT_NE(mapped.error().message().find("/b"), std::string::npos);
}

TEST(Remap, OldGivenTwiceIsUsage) {
  EXPECT_EQ(remap({{1, "/a"}}, {{"/a", "/b"}, {"/a", "/c"}}).error().code(), ErrorCode::usage);
}

TEST(Remap, SharedPlacesAreUsage) {
  const TablespaceMap map = {{1, "/a"}, {2, "/b"}};
  EXPECT_EQ(remap(map, {{"/a", "/b"}}).error().code(), ErrorCode::usage);
  EXPECT_EQ(remap(map, {{"/a", "/b/c"}}).error().code(), ErrorCode::usage);
  EXPECT_EQ(remap(map, {{"/a", "/x"}, {"/b", "/x/y"}}).error().code(), ErrorCode::usage);
  EXPECT_TRUE(remap(map, {{"/a", "/bc"}}));
}

}  // namespace
}  // namespace haul::postgres
