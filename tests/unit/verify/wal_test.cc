// Archived WAL in a verification.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/wal/segment_changes.h"
#include "engine/wal/wal_archive.h"
#include "engine/wal/wal_piece.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/repository_workload.h"
#include "tests/unit/verify/verify_fixture.h"

namespace haul::verify {
namespace {

using support::kFakeSystemIdentifier;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Depth = VerifyOptions::Depth;

constexpr std::size_t kFrames = wal::kWalHeaderBytes + wal::kFrameEntryBytes;

class VerifyWal : public testing::Test {
 protected:
  VerifyWal() {
    put("000000010000000000000003", support::fake_wal_segment(3));
    put("000000010000000000000004", support::fake_wal_segment(4));
    put("00000002.history", "1\t0/400100\tx\n");
    keys = repository.keys_with("/wal/");
    HAUL_ASSERT(keys.size() == 3);
  }

  void put(const std::string& text, const std::string& content) {
    const wal::WalName name = wal::parse_wal_name(text).value();
    wal::WalArchive archive(repository.cluster(), kFakeSystemIdentifier);
    const wal::WalFacts facts = wal::examine_content(name, bytes_of(content)).value();
    HAUL_ASSERT(archive.put(name, facts, bytes_of(content)).has_value());
  }
  void flip(const std::string& key, std::size_t offset) {
    std::string bytes = repository.get(key);
    bytes[offset] = static_cast<char>(bytes[offset] ^ 1);
    repository.put(key, bytes);
  }

  DamagedRepository repository;
  std::vector<std::string> keys;
};

TEST_F(VerifyWal, SoundFilesAreCounted) {
  const VerifyReport structure = repository.verify(Depth::structure).value();
  EXPECT_THAT(structure.damage, IsEmpty());
  EXPECT_EQ(structure.wal_files, 3U);
  EXPECT_EQ(structure.bytes_read, 0U);
  const VerifyReport data = repository.verify(Depth::data).value();
  EXPECT_THAT(data.damage, IsEmpty());
  std::uint64_t bytes = 0;
  for (const std::string& key : keys) bytes += repository.get(key).size();
  EXPECT_EQ(data.bytes_read, bytes);
  EXPECT_EQ(repository.progress.bytes_done, bytes);
  EXPECT_EQ(repository.progress.bytes_total, bytes);
}

TEST_F(VerifyWal, DamagedHeaderIsFoundByTheStructure) {
  flip(keys[0], 40);
  for (const Depth depth : {Depth::structure, Depth::data}) {
    EXPECT_THAT(repository.verify(depth)->damage, ElementsAre(HasSubstr(keys[0])));
  }
}

TEST_F(VerifyWal, DamagedContentIsFoundByTheData) {
  flip(keys[1], kFrames);
  EXPECT_THAT(repository.verify(Depth::structure)->damage, IsEmpty());
  EXPECT_THAT(repository.verify(Depth::data)->damage, ElementsAre(HasSubstr(keys[1])));
}

TEST_F(VerifyWal, SeveralWorkersFindTheSame) {
  for (const std::string& key : keys) flip(key, 40);
  repository.options.workers = 8;
  EXPECT_EQ(repository.verify(Depth::data)->damage.size(), 3U);
}

TEST_F(VerifyWal, CutOrMovedFileIsFound) {
  repository.put(keys[0], repository.get(keys[0]).substr(0, 100));
  repository.put(keys[1], repository.get(keys[2]));
  EXPECT_EQ(repository.verify(Depth::structure)->damage.size(), 2U);
}

TEST_F(VerifyWal, NameThatNoServerGivesIsForeign) {
  const std::string stray = keys[0] + ".old";
  repository.put(stray, "x");
  EXPECT_THAT(repository.verify(Depth::structure)->damage,
              ElementsAre(stray + ": does not belong into a repository"));
}

TEST_F(VerifyWal, WhoeverNamesBackupsMeansTheseAlone) {
  const std::string backup = repository.back_up(support::shaped_files(1));
  flip(keys[0], 40);
  repository.options.backups = {backup};
  const VerifyReport report = repository.verify(Depth::data).value();
  EXPECT_THAT(report.damage, IsEmpty());
  EXPECT_EQ(report.wal_files, 0U);
}

// What a receiver stores of a segment that is not complete.
TEST_F(VerifyWal, PiecesAreCheckedAndBelong) {
  const wal::PieceName name{wal::parse_wal_name("000000010000000000000005").value(), 0, 100};
  const std::string key =
      wal::piece_key(wal::WalLayout(repository.cluster().layout, kFakeSystemIdentifier), name);
  const auto object =
      wal::encode_piece(repository.cluster(), name, {kFakeSystemIdentifier, 5, 1U << 20, 15},
                        bytes_of(support::fake_wal_segment(5)).first(100));
  repository.put(key, std::string(text_of(*object)));
  EXPECT_THAT(repository.verify(Depth::structure).value().damage, IsEmpty());
  flip(key, wal::kPieceHeaderBytes);
  EXPECT_THAT(repository.verify(Depth::structure).value().damage, ElementsAre(HasSubstr(key)));
}

// What was found in a segment, kept beside it.
TEST_F(VerifyWal, ChangesAreCheckedAndBelong) {
  wal::SegmentChanges changes;
  changes.system_identifier = kFakeSystemIdentifier;
  changes.server_major = 15;
  changes.segment_size_bytes = 1U << 20;
  changes.segment = {TimelineId{1}, 3};
  changes.begin = Lsn{(3U << 20) + 40};
  changes.end = Lsn{(4U << 20) + 40};
  ASSERT_TRUE(wal::keep_changes(repository.cluster(), changes));
  const std::string key = keys[0] + ".changes";
  EXPECT_THAT(repository.verify(Depth::structure).value().damage, IsEmpty());
  EXPECT_EQ(repository.verify(Depth::data).value().wal_files, 3U);
  flip(key, 70);
  EXPECT_THAT(repository.verify(Depth::structure).value().damage, ElementsAre(HasSubstr(key)));
}

}  // namespace
}  // namespace haul::verify
