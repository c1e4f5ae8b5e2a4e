#include "engine/repository/snapshot.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/repository/framed_object.h"
#include "tests/support/forwarding_store.h"
#include "tests/unit/repository/repository_fixture.h"

namespace haul::repository {
namespace {

using support::pattern;
using testing::code_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kLease;
using testing::kOtherLease;
using testing::RepositoryFixture;

PackRef pack_of(const std::string& lease, unsigned number) {
  PackRef ref{lease, {}};
  ref.name.bytes[0] = static_cast<std::byte>(number);
  return ref;
}

PackTable some_table() {
  PackTable table;
  table[pack_of(kLease, 1)] = {1, 2, 3};
  table[pack_of(kLease, 2)] = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
  table[pack_of(kOtherLease, 1)] = {100, 0, 0};
  return table;
}

std::vector<std::byte> written(const PackTable& table) {
  ByteWriter out;
  write_pack_table(out, table);
  return std::move(out).take();
}

Result<PackTable> read(ByteSpan bytes) {
  ByteReader in(bytes);
  return read_pack_table(in);
}

TEST(PackTable, ComesBackAsItWas) {
  EXPECT_EQ(read(written(some_table())).value(), some_table());
  EXPECT_EQ(read(written({})).value(), PackTable());
}

TEST(PackTable, LeaseIsStoredOnce) {
  // Two counts, two leases of 2 + 18 bytes, three packs of 60.
  EXPECT_EQ(written(some_table()).size(), 4U + 2 * 20 + 4 + 3 * 60);
}

TEST(PackTable, CutAnywhereIsCorrupt) {
  const auto sound = written(some_table());
  for (std::size_t size = 0; size < sound.size(); ++size) {
    EXPECT_EQ(code_of(read(ByteSpan(sound).first(size))), ErrorCode::corrupt) << size;
  }
}

TEST(PackTable, CountsBeyondTheBytesAskForNoMemory) {
  for (const std::size_t count : {std::size_t{0}, std::size_t{4 + 2 * 20}}) {
    auto bytes = written(some_table());
    for (std::size_t i = 0; i < 4; ++i) bytes[count + i] = std::byte{0xFF};
    EXPECT_EQ(code_of(read(bytes)), ErrorCode::corrupt) << count;
  }
}

TEST(PackTable, LeaseThatLeavesTheRepositoryIsCorrupt) {
  auto bytes = written(some_table());
  std::ranges::copy(bytes_of("../../../../../../"), bytes.begin() + 6);
  EXPECT_EQ(code_of(read(bytes)), ErrorCode::corrupt);
}

TEST(PackTable, PackOfNoLeaseIsCorrupt) {
  auto bytes = written(some_table());
  bytes[4 + 2 * 20 + 4 + 32] = std::byte{2};
  EXPECT_EQ(code_of(read(bytes)), ErrorCode::corrupt);
}

TEST(PackTable, PackThatOccursTwiceIsCorrupt) {
  auto bytes = written(some_table());
  const std::size_t first = 4 + 2 * 20 + 4;
  bytes[first + 60] = bytes[first];
  EXPECT_EQ(code_of(read(bytes)), ErrorCode::corrupt);
}

struct SnapshotFixture : RepositoryFixture {
  using RepositoryFixture::RepositoryFixture;

  Snapshot snapshot = make_snapshot();

  Snapshot make_snapshot() {
    Snapshot made;
    made.id = kLease;
    made.cluster = "main";
    made.parent = kOtherLease;
    made.program = "0.1.0";
    made.started.microseconds = 1'795'399'342'000'001;
    made.finished.microseconds = 1'795'399'343'000'002;
    made.tree = {chunk("tree").id, ChunkKind::tree_node};
    made.statistics = {1, 2, 3, 4, 5, 6};
    made.facts = Json::object();
    made.facts.set("label", "START WAL LOCATION: 0/2000028\n");
    const FinishedPack pack = write_pack({chunk(pattern(100, 1))});
    made.packs[pack.ref] = {pack.size_bytes, 1, 1};
    return made;
  }
  Result<Snapshot> decode(const std::vector<std::byte>& object) const {
    return decode_snapshot(object, cluster, kLease);
  }
  // The snapshot with another description, framed as it should be.
  std::vector<std::byte> with_description(std::string_view text) const {
    ByteWriter body;
    body.u32(static_cast<std::uint32_t>(text.size()));
    body.bytes(bytes_of(text));
    write_pack_table(body, snapshot.packs);
    return framed(body.view());
  }
  std::vector<std::byte> framed(ByteSpan body) const {
    return frame_object(ObjectKind::snapshot, cluster.repository, cluster.layout.snapshot(kLease),
                        body);
  }
  std::string description() const {
    const FramedObject frame = unframe_object(ObjectKind::snapshot, cluster.layout.snapshot(kLease),
                                              encode_snapshot(snapshot, cluster))
                                   .value();
    ByteReader in(frame.body);
    return std::string(text_of(in.bytes(in.u32())));
  }
  std::string description_with(std::string_view what, std::string_view by) const {
    std::string text = description();
    const std::size_t at = text.find(what);
    HAUL_ASSERT(at != std::string::npos);
    return text.replace(at, what.size(), by);
  }
};

TEST(Snapshot, ComesBackAsItWas) {
  const SnapshotFixture fixture;
  const Snapshot back = fixture.decode(encode_snapshot(fixture.snapshot, fixture.cluster)).value();
  EXPECT_EQ(back, fixture.snapshot);
}

TEST(Snapshot, EveryChangedByteIsFound) {
  const SnapshotFixture fixture;
  const auto sound = encode_snapshot(fixture.snapshot, fixture.cluster);
  for (std::size_t i = 0; i < sound.size(); ++i) {
    auto damaged = sound;
    damaged[i] ^= std::byte{0x20};
    ASSERT_FALSE(fixture.decode(damaged)) << i;
  }
}

TEST(Snapshot, OfAnotherRepositoryIsCorrupt) {
  SnapshotFixture fixture;
  const auto object = encode_snapshot(fixture.snapshot, fixture.cluster);
  fixture.cluster.repository.bytes[0] ^= std::byte{1};
  EXPECT_EQ(code_of(fixture.decode(object)), ErrorCode::corrupt);
}

TEST(Snapshot, UnderAnotherNameIsCorrupt) {
  const SnapshotFixture fixture;
  const auto object = encode_snapshot(fixture.snapshot, fixture.cluster);
  EXPECT_EQ(code_of(decode_snapshot(object, fixture.cluster, kOtherLease)), ErrorCode::corrupt);
}

TEST(Snapshot, DescriptionOfAnotherBackupOrClusterIsCorrupt) {
  const SnapshotFixture fixture;
  EXPECT_EQ(code_of(fixture.decode(
                fixture.with_description(fixture.description_with("020222Z-F", "020223Z-F")))),
            ErrorCode::corrupt);
  EXPECT_EQ(code_of(fixture.decode(
                fixture.with_description(fixture.description_with("\"main\"", "\"other\"")))),
            ErrorCode::corrupt);
}

TEST(Snapshot, DescriptionWithoutWhatItMustHaveIsCorruptAndNamesTheObject) {
  const SnapshotFixture fixture;
  EXPECT_TRUE(fixture.decode(fixture.with_description(fixture.description())));
  for (const std::string member :
       {"backup", "cluster", "parent", "program", "started_us", "finished_us", "tree", "tree_kind",
        "statistics", "files", "source_bytes", "hole_bytes", "stored_bytes", "chunks_stored",
        "chunks_found", "facts"}) {
    const auto decoded = fixture.decode(fixture.with_description(
        fixture.description_with("\"" + member + "\":", "\"x" + member + "\":")));
    ASSERT_EQ(code_of(decoded), ErrorCode::corrupt) << member;
    EXPECT_THAT(decoded.error().message(), HasSubstr(fixture.cluster.layout.snapshot(kLease)));
  }
}

TEST(Snapshot, TreeThatIsNoneIsCorrupt) {
  const SnapshotFixture fixture;
  EXPECT_EQ(code_of(fixture.decode(
                fixture.with_description(fixture.description_with("\"node\"", "\"data\"")))),
            ErrorCode::corrupt);
  const std::string id = to_hex(fixture.snapshot.tree.id.bytes);
  EXPECT_EQ(
      code_of(fixture.decode(fixture.with_description(fixture.description_with(id, id.substr(1))))),
      ErrorCode::corrupt);
}

TEST(Snapshot, DescriptionThatIsNoJsonIsCorrupt) {
  const SnapshotFixture fixture;
  EXPECT_EQ(code_of(fixture.decode(fixture.with_description("no json"))), ErrorCode::corrupt);
  EXPECT_EQ(code_of(fixture.decode(fixture.with_description("[]"))), ErrorCode::corrupt);
}

TEST(Snapshot, BodyThatIsCutOrLongerIsCorrupt) {
  const SnapshotFixture fixture;
  const FramedObject frame =
      unframe_object(ObjectKind::snapshot, fixture.cluster.layout.snapshot(kLease),
                     encode_snapshot(fixture.snapshot, fixture.cluster))
          .value();
  for (const std::size_t size : {std::size_t{0}, std::size_t{3}, std::size_t{100},
                                 frame.body.size() - 1, frame.body.size() + 1}) {
    std::vector<std::byte> body = frame.body;
    body.resize(size);
    EXPECT_EQ(code_of(fixture.decode(fixture.framed(body))), ErrorCode::corrupt) << size;
  }
}

TEST(Snapshot, IsListedAndReadOnceItIsCommitted) {
  const SnapshotFixture fixture;
  EXPECT_THAT(list_snapshots(fixture.cluster).value(), IsEmpty());
  EXPECT_EQ(code_of(read_snapshot(fixture.cluster, kLease)), ErrorCode::not_found);
  ASSERT_TRUE(commit_snapshot(fixture.snapshot, fixture.cluster));
  EXPECT_THAT(list_snapshots(fixture.cluster).value(), ElementsAre(kLease));
  EXPECT_EQ(read_snapshot(fixture.cluster, kLease).value(), fixture.snapshot);
}

TEST(Snapshot, ListIsSortedByNameAndSkipsWhatIsNone) {
  SnapshotFixture fixture;
  fixture.snapshot.id = kOtherLease;
  ASSERT_TRUE(commit_snapshot(fixture.snapshot, fixture.cluster));
  fixture.snapshot.id = kLease;
  ASSERT_TRUE(commit_snapshot(fixture.snapshot, fixture.cluster));
  ASSERT_TRUE(
      fixture.store().put_if_absent(fixture.cluster.layout.snapshots() + "/README", bytes_of("x")));
  EXPECT_THAT(list_snapshots(fixture.cluster).value(), ElementsAre(kLease, kOtherLease));
}

TEST(CommitSnapshot, NameThatIsTakenIsAlreadyExistsAndStays) {
  const SnapshotFixture fixture;
  const std::string key = fixture.cluster.layout.snapshot(kLease);
  ASSERT_TRUE(fixture.store().put_if_absent(key, bytes_of("fence")));
  EXPECT_EQ(code_of(commit_snapshot(fixture.snapshot, fixture.cluster)), ErrorCode::already_exists);
  EXPECT_EQ(text_of(fixture.get(key)), "fence");
}

TEST(CommitSnapshot, MissingPackIsCorruptAndNothingIsCommitted) {
  const SnapshotFixture fixture;
  const std::string pack = fixture.cluster.layout.pack(fixture.snapshot.packs.begin()->first);
  ASSERT_TRUE(fixture.store().remove(pack));
  const Status committed = commit_snapshot(fixture.snapshot, fixture.cluster);
  ASSERT_EQ(code_of(committed), ErrorCode::corrupt);
  EXPECT_THAT(committed.error().message(), HasSubstr(pack + ": missing"));
  EXPECT_THAT(list_snapshots(fixture.cluster).value(), IsEmpty());
}

TEST(CommitSnapshot, PackOfAnotherSizeIsCorrupt) {
  SnapshotFixture fixture;
  fixture.snapshot.packs.begin()->second.size_bytes += 1;
  EXPECT_EQ(code_of(commit_snapshot(fixture.snapshot, fixture.cluster)), ErrorCode::corrupt);
  EXPECT_THAT(missing_packs(fixture.cluster, fixture.snapshot.packs).value(),
              ElementsAre(HasSubstr("bytes instead of")));
}

TEST(CommitSnapshot, ThatCouldNotBeReadBackIsRefused) {
  SnapshotFixture fixture;
  fixture.snapshot.facts = Json("no object");
  EXPECT_FALSE(commit_snapshot(fixture.snapshot, fixture.cluster));
  EXPECT_THAT(list_snapshots(fixture.cluster).value(), IsEmpty());
}

// Notes the order of what is put and synced, and fails what it is told to.
class WatchedStore final : public support::ForwardingStore {
 public:
  struct Watch {
    std::vector<std::string> events;
    std::string fail;  // the event that fails
  };

  WatchedStore(io::ObjectStore& inner, Watch& watch) : ForwardingStore(inner), watch_(watch) {}

  Status put_if_absent(const std::string& key, ByteSpan bytes) override {
    HAUL_TRY(note("put " + key));
    return inner().put_if_absent(key, bytes);
  }
  Result<io::ObjectInfo> head(const std::string& key) override {
    HAUL_TRY(note("head"));
    return inner().head(key);
  }
  Status make_durable(const std::string& prefix) override {
    HAUL_TRY(note("sync " + prefix));
    return inner().make_durable(prefix);
  }

 private:
  Status note(const std::string& event) {
    watch_.events.push_back(event);
    if (event == watch_.fail) return Error(ErrorCode::io, "the device failed");
    return ok();
  }

  Watch& watch_;
};

struct WatchedFixture : SnapshotFixture {
  WatchedFixture()
      : SnapshotFixture([this](io::ObjectStore& inner) {
          return std::make_unique<WatchedStore>(inner, watch);
        }) {}

  WatchedStore::Watch watch;
};

TEST(CommitSnapshot, ChecksThePacksThenPutsThenSyncs) {
  WatchedFixture fixture;
  ASSERT_TRUE(commit_snapshot(fixture.snapshot, fixture.cluster));
  EXPECT_THAT(fixture.watch.events, ElementsAre("head", "put clusters/main/snapshots/" + kLease,
                                                "sync clusters/main/snapshots"));
}

TEST(CommitSnapshot, DeviceThatFailsAtAnyStepIsReported) {
  for (const std::string& event : {std::string("head"), "put clusters/main/snapshots/" + kLease,
                                   std::string("sync clusters/main/snapshots")}) {
    WatchedFixture fixture;
    fixture.watch.fail = event;
    EXPECT_EQ(code_of(commit_snapshot(fixture.snapshot, fixture.cluster)), ErrorCode::io) << event;
  }
}

}  // namespace
}  // namespace haul::repository
