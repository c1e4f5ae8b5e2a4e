#include "engine/wal/wal_name.h"

#include <gtest/gtest.h>

#include "engine/wal/wal_layout.h"

namespace haul::wal {
namespace {

TEST(WalName, EveryKindIsRecognised) {
  struct Case {
    const char* text;
    WalFileKind kind;
    std::uint32_t timeline;
  };
  for (const Case& c :
       {Case{"000000010000000A000000FF", WalFileKind::segment, 1},
        Case{"0000001A0000000A00000FFF", WalFileKind::segment, 0x1A},
        Case{"000000020000000A000000FF.partial", WalFileKind::partial, 2},
        Case{"00000001.history", WalFileKind::history, 1},
        Case{"00000002.history", WalFileKind::history, 2},
        Case{"000000010000000A000000FF.00000028.backup", WalFileKind::backup_history, 1}}) {
    const auto name = parse_wal_name(c.text);
    ASSERT_TRUE(name) << c.text;
    EXPECT_EQ(name->kind, c.kind) << c.text;
    EXPECT_EQ(name->timeline.value, c.timeline) << c.text;
    EXPECT_EQ(name->text, c.text);
  }
}

TEST(WalName, OnlySegmentsAndPartialOnesHoldPages) {
  EXPECT_TRUE(parse_wal_name("000000010000000A000000FF")->holds_pages());
  EXPECT_TRUE(parse_wal_name("000000010000000A000000FF.partial")->holds_pages());
  EXPECT_FALSE(parse_wal_name("00000002.history")->holds_pages());
  EXPECT_FALSE(parse_wal_name("000000010000000A000000FF.00000028.backup")->holds_pages());
}

TEST(WalName, SegmentIsTheFrontOfTheName) {
  EXPECT_EQ(parse_wal_name("000000010000000A000000FF.partial")->segment(),
            "000000010000000A000000FF");
}

TEST(WalName, OtherNamesAreRefused) {
  for (const char* text : {"",
                           "0",
                           "000000010000000A000000F",
                           "000000010000000A000000FF0",
                           "000000010000000a000000ff",
                           "000000000000000A000000FF",
                           "000000010000000A00001000",
                           "00000000.history",
                           "00000002.histor",
                           "00000002.history.partial",
                           "000000010000000A000000FF.",
                           "000000010000000A000000FF.part",
                           "000000010000000A000000FF.partial.partial",
                           "000000010000000A000000FF.0000028.backup",
                           "000000010000000A000000FF.0000002g.backup",
                           "000000010000000A000000FF.0000002a.backup",
                           "000000010000000A000000FF.00000028.backu",
                           "000000010000000A000000FFx00000028.backup",
                           "../00000001000000000000000",
                           "000000010000000A000000FF/",
                           "RECOVERYXLOG",
                           "pg_wal/000000010000000A000000FF"}) {
    EXPECT_FALSE(parse_wal_name(text)) << text;
  }
}

const repository::ClusterLayout kCluster("main");

TEST(WalLayout, EveryKindHasItsPlace) {
  const WalLayout layout(kCluster, 42);
  const auto key = [&](const char* text) { return layout.key(*parse_wal_name(text)); };
  EXPECT_EQ(key("0000000B0000000A000000FF"),
            "clusters/main/wal/42/0000000B/0000000B0000000A/0000000B0000000A000000FF");
  EXPECT_EQ(key("00000002.history"), "clusters/main/wal/42/history/00000002.history");
  EXPECT_EQ(key("000000010000000A000000FF.partial"),
            "clusters/main/wal/42/partial/000000010000000A000000FF.partial");
  EXPECT_EQ(key("000000010000000A000000FF.00000028.backup"),
            "clusters/main/wal/42/backup/000000010000000A000000FF.00000028.backup");
}

TEST(WalLayout, KeysAreTakenApart) {
  const WalLayout layout(kCluster, UINT64_MAX);
  for (const char* text :
       {"0000000B0000000A000000FF", "00000002.history", "000000010000000A000000FF.partial",
        "000000010000000A000000FF.00000028.backup"}) {
    const WalName name = *parse_wal_name(text);
    EXPECT_EQ(parse_wal_key(kCluster, layout.key(name)), (WalKey{UINT64_MAX, name}));
  }
}

TEST(WalLayout, OtherKeysAreNotWal) {
  for (const char* key :
       {"clusters/main/wal", "clusters/main/wal/42", "clusters/main/wal/42/history",
        "clusters/other/wal/42/history/00000002.history",
        "clusters/main/wal/042/history/00000002.history",
        "clusters/main/wal/0/history/00000002.history",
        "clusters/main/wal/18446744073709551616/history/00000002.history",
        "clusters/main/wal/4x/history/00000002.history",
        "clusters/main/wal/42/partial/00000002.history",
        "clusters/main/wal/42/0000000C/0000000B0000000A/0000000B0000000A000000FF",
        "clusters/main/wal/42/0000000B/0000000B0000000B/0000000B0000000A000000FF",
        "clusters/main/wal/42/0000000B/0000000B0000000A/x/0000000B0000000A000000FF"}) {
    EXPECT_FALSE(parse_wal_key(kCluster, key)) << key;
  }
}

}  // namespace
}  // namespace haul::wal
