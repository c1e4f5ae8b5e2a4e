#include "engine/repository/layout.h"

#include <gtest/gtest.h>

namespace haul::repository {
namespace {

const std::string kLease = "20261123T020222Z-F";
const std::string kPackHex(64, 'a');

TEST(ClusterName, PlainNamesAreAccepted) {
  for (const std::string& name :
       {std::string("main"), std::string("_a"), std::string("15-main.b"), std::string(63, 'x')}) {
    EXPECT_TRUE(check_cluster_name(name)) << name;
  }
}

TEST(ClusterName, AnythingThatCouldLeaveTheDirectoryOrHideIsUsage) {
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(".a"), std::string("-a"),
        std::string("a/b"), std::string("a b"), std::string("\xC3\xA4"), std::string("a\0b", 3),
        std::string(64, 'x')}) {
    const Status status = check_cluster_name(name);
    ASSERT_FALSE(status) << name;
    EXPECT_EQ(status.error().code(), ErrorCode::usage);
    EXPECT_FALSE(status.error().hint().empty());
  }
}

TEST(BackupName, IsTheSecondAndTheKind) {
  const auto time = backup_time(kLease);
  ASSERT_TRUE(time);
  EXPECT_EQ(to_compact_iso8601(*time), "20261123T020222Z");
  EXPECT_TRUE(is_backup_name("20261123T020222Z-I"));
}

TEST(BackupName, FirstAndLastSecondsOfCalendarsAreUnderstood) {
  for (const std::string second :
       {"00000101T000000Z", "19700101T000000Z", "20240229T235959Z", "99991231T235959Z"}) {
    const auto time = backup_time(second + "-F");
    ASSERT_TRUE(time) << second;
    EXPECT_EQ(to_compact_iso8601(*time), second);
  }
}

TEST(BackupName, AnythingElseIsNone) {
  for (const std::string_view name :
       {"", "20261123T020222Z", "20261123T020222Z-", "20261123T020222Z-X", "20261123T020222Z-FF",
        "2026-123T020222Z-F", "20261123t020222Z-F", "20261123T0202222-F", "20261123T020222Z_F",
        "20261323T020222Z-F", "20260230T020222Z-F", "20260001T020222Z-F", "20261100T020222Z-F",
        "20261123T240222Z-F", "20261123T026022Z-F", "20261123T020260Z-F", "99999999T999999Z-F"}) {
    EXPECT_FALSE(is_backup_name(name)) << name;
  }
}

TEST(ClusterLayout, KeysLieWhereTheFormatSays) {
  const ClusterLayout layout("main");
  PackRef pack{kLease, {}};
  EXPECT_EQ(layout.lease(kLease), "clusters/main/leases/20261123T020222Z-F");
  EXPECT_EQ(layout.snapshot(kLease), "clusters/main/snapshots/20261123T020222Z-F");
  EXPECT_EQ(layout.pack(pack), "clusters/main/packs/20261123T020222Z-F/" + std::string(64, '0'));
  EXPECT_EQ(layout.run({kLease, 12}), "clusters/main/index/20261123T020222Z-F-12");
  EXPECT_EQ(layout.gc(), "clusters/main/gc");
}

TEST(ClusterLayout, ParsesItsOwnKeys) {
  const ClusterLayout layout("main");
  PackRef pack{kLease, {}};
  pack.name.bytes.fill(std::byte{0x5A});
  EXPECT_EQ(layout.parse_pack(layout.pack(pack)), pack);
  const RunRef run{kLease, 4'294'967'295};
  EXPECT_EQ(layout.parse_run(layout.run(run)), run);
  EXPECT_EQ(layout.parse_snapshot(layout.snapshot(kLease)), kLease);
}

TEST(ClusterLayout, KeysOfAnotherClusterAreNotIts) {
  const ClusterLayout layout("main");
  const ClusterLayout other("main2");
  EXPECT_FALSE(layout.parse_pack(other.pack({kLease, {}})));
  EXPECT_FALSE(layout.parse_run(other.run({kLease, 1})));
  EXPECT_FALSE(layout.parse_snapshot(other.snapshot(kLease)));
}

TEST(ClusterLayout, StrangePackKeysAreNone) {
  const ClusterLayout layout("main");
  const std::string packs = "clusters/main/packs";
  for (const std::string& key :
       {packs, packs + "/", packs + "/" + kLease, packs + "/" + kLease + "/",
        packs + "/" + kLease + "/" + kPackHex + "a",
        packs + "/" + kLease + "/" + kPackHex.substr(1),
        packs + "/" + kLease + "/" + std::string(64, 'A'), packs + "/x/" + kPackHex,
        packs + "/" + kLease + "/x/" + kPackHex, packs + "x/" + kLease + "/" + kPackHex}) {
    EXPECT_FALSE(layout.parse_pack(key)) << key;
  }
}

TEST(ClusterLayout, StrangeRunKeysAreNone) {
  const ClusterLayout layout("main");
  const std::string run = "clusters/main/index/" + kLease;
  for (const std::string& key :
       {run, run + "-", run + "-0", run + "-01", run + "-1a", run + "--1", run + "-4294967296",
        run + "-1/1", std::string("clusters/main/index/x-1"),
        std::string("clusters/main/index/1")}) {
    EXPECT_FALSE(layout.parse_run(key)) << key;
  }
}

TEST(ClusterLayout, StrangeSnapshotKeysAreNone) {
  const ClusterLayout layout("main");
  for (const std::string& key :
       {std::string("clusters/main/snapshots"), std::string("clusters/main/snapshots/"),
        layout.snapshot(kLease) + "/x", layout.snapshot("latest")}) {
    EXPECT_FALSE(layout.parse_snapshot(key)) << key;
  }
}

}  // namespace
}  // namespace haul::repository
