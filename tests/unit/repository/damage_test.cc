// Every byte of a small repository, changed in turn: a full check finds it, and reading back yields
// the files as they were or a failure that names what is lost.
#include <map>

#include <gtest/gtest.h>

#include "base/format.h"
#include "engine/repository/pack_format.h"
#include "engine/repository/repository.h"
#include "tests/support/file_content.h"
#include "tests/support/memory_object_store.h"
#include "tests/support/repository_check.h"
#include "tests/support/repository_workload.h"

namespace haul::repository {
namespace {

using support::FileTree;
using support::Workload;

using Objects = std::map<std::string, std::vector<std::byte>>;

// A small repository with one of everything: config, a lease, a pack of data, a pack of metadata
// with a node, an index run, a snapshot.
struct SmallRepository {
  FileTree tree;
  std::string backup;
  Objects objects;

  SmallRepository() {
    tree["PG_VERSION"] = "15\n";
    tree["base/1/1259"] = support::pattern(1'500, 1);
    tree["base/1/16384"] = std::string(600'000, '\0');
    tree["base/1/16384"].replace(0, 900, std::string(900, 'a'));
    tree["base/1/16384"].replace(599'000, 800, std::string(800, 'z'));
    Workload workload(1);
    auto made = support::make_memory_object_store();
    io::ObjectStore& store = *made;
    HAUL_ASSERT(workload.init(store).has_value());
    const Repository repository = Repository::open(std::move(made)).value();
    backup = workload.back_up(repository, tree).value();
    const auto lease = Lease::create_for_backup(support::workload_cluster(repository), 'F',
                                                {"backup", "host", "boot", 1}, workload.clock());
    HAUL_ASSERT(lease.has_value());
    const std::vector<io::ObjectInfo> listed = store.list("").value();
    for (const io::ObjectInfo& object : listed) {
      objects[object.key] = store.get(object.key, 1 << 20).value();
    }
  }

  // A store that holds these objects.
  static std::unique_ptr<io::ObjectStore> store_of(const Objects& objects) {
    auto store = support::make_memory_object_store();
    for (const auto& [key, bytes] : objects) {
      HAUL_ASSERT(store->put_if_absent(key, bytes).has_value());
    }
    return store;
  }
};

// What there is to say about a damaged copy: how it was found, and what reading back gave.
struct Outcome {
  std::vector<std::string> findings;
  Result<FileTree> read = FileTree();
};

Outcome look_at(std::unique_ptr<io::ObjectStore> store, const std::string& backup) {
  const auto repository = Repository::open(std::move(store));
  if (!repository) return {{repository.error().message()}, repository.error()};
  const Cluster cluster = support::workload_cluster(*repository);
  return {support::check_everything(cluster), support::read_back(cluster, backup)};
}

// Nothing when the damage was found and no wrong byte came back.
std::string complaint(const Outcome& outcome, const FileTree& tree) {
  if (outcome.findings.empty()) return "not found";
  if (outcome.read && *outcome.read != tree) return "wrong bytes came back";
  if (!outcome.read && outcome.read.error().message().empty()) return "failed without a word";
  return "";
}

TEST(Damage, SmallRepositoryIsSoundAndHasOneOfEverything) {
  const SmallRepository small;
  const Outcome outcome = look_at(SmallRepository::store_of(small.objects), small.backup);
  EXPECT_EQ(outcome.findings, std::vector<std::string>());
  EXPECT_EQ(outcome.read.value(), small.tree);
  EXPECT_EQ(small.objects.size(), 6U);
}

TEST(Damage, EveryChangedByteIsFoundAndNoWrongByteComesBack) {
  const SmallRepository small;
  std::size_t changes = 0;
  for (const auto& [key, sound] : small.objects) {
    for (std::size_t offset = 0; offset < sound.size(); ++offset) {
      for (const unsigned flip : {0x01U, 0x80U, 0xFFU}) {
        Objects objects = small.objects;
        objects[key][offset] ^= static_cast<std::byte>(flip);
        const Outcome outcome = look_at(SmallRepository::store_of(objects), small.backup);
        ASSERT_EQ(complaint(outcome, small.tree), "")
            << format("{} at {} xor {:#x}", key, offset, flip);
        ++changes;
      }
    }
  }
  EXPECT_GT(changes, 10'000U);
}

TEST(Damage, EveryObjectCutAnywhereIsFound) {
  const SmallRepository small;
  for (const auto& [key, sound] : small.objects) {
    for (std::size_t size = 0; size < sound.size(); size += 1 + sound.size() / 97) {
      Objects objects = small.objects;
      objects[key].resize(size);
      const Outcome outcome = look_at(SmallRepository::store_of(objects), small.backup);
      ASSERT_EQ(complaint(outcome, small.tree), "") << format("{} cut to {} bytes", key, size);
    }
  }
}

TEST(Damage, EveryObjectWithAByteMoreIsFound) {
  const SmallRepository small;
  for (const auto& [key, sound] : small.objects) {
    Objects objects = small.objects;
    objects[key].push_back(std::byte{0});
    const Outcome outcome = look_at(SmallRepository::store_of(objects), small.backup);
    EXPECT_EQ(complaint(outcome, small.tree), "") << key;
  }
}

TEST(Damage, EveryObjectInThePlaceOfAnotherIsFound) {
  const SmallRepository small;
  for (const auto& [key, sound] : small.objects) {
    for (const auto& [other, bytes] : small.objects) {
      if (key == other) continue;
      Objects objects = small.objects;
      objects[key] = bytes;
      const Outcome outcome = look_at(SmallRepository::store_of(objects), small.backup);
      ASSERT_EQ(complaint(outcome, small.tree), "") << other << " in the place of " << key;
    }
  }
}

TEST(Damage, EveryMissingObjectButALeaseIsFound) {
  const SmallRepository small;
  for (const auto& [key, sound] : small.objects) {
    if (key.find("/leases/") != std::string::npos || key.find("/snapshots/") != std::string::npos) {
      continue;  // their absence is an ordinary state
    }
    Objects objects = small.objects;
    objects.erase(key);
    const Outcome outcome = look_at(SmallRepository::store_of(objects), small.backup);
    EXPECT_EQ(complaint(outcome, small.tree), "") << key;
  }
}

// What is damaged, by the part of its key that tells.
class WorkedAround : public testing::TestWithParam<std::string> {};

TEST_P(WorkedAround, DamageOfAnyByteLeavesEveryFileReadable) {
  const SmallRepository small;
  for (const auto& [key, sound] : small.objects) {
    if (key.find(GetParam()) == std::string::npos) continue;
    for (std::size_t offset = 0; offset < sound.size(); ++offset) {
      Objects objects = small.objects;
      objects[key][offset] ^= std::byte{0x10};
      const Outcome outcome = look_at(SmallRepository::store_of(objects), small.backup);
      ASSERT_TRUE(outcome.read) << format("{} at {}: {}", key, offset,
                                          outcome.read.error().message());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Objects, WorkedAround, testing::Values("/index/", "/leases/"),
                         [](const auto& part) { return part.param.substr(1, 5); });

// The last bytes of a pack are its footer: chunks are found without it.
TEST(Damage, AnyByteOfAFooterLeavesEveryFileReadable) {
  const SmallRepository small;
  std::size_t packs = 0;
  for (const auto& [key, sound] : small.objects) {
    if (key.find("/packs/") == std::string::npos) continue;
    ++packs;
    ByteReader trailer(ByteSpan(sound).subspan(sound.size() - kPackTrailerBytes + 8));
    for (std::size_t offset = trailer.u64(); offset < sound.size(); ++offset) {
      Objects objects = small.objects;
      objects[key][offset] ^= std::byte{0x10};
      const Outcome outcome = look_at(SmallRepository::store_of(objects), small.backup);
      ASSERT_TRUE(outcome.read) << format("{} at {}: {}", key, offset,
                                          outcome.read.error().message());
    }
  }
  EXPECT_EQ(packs, 2U);
}

TEST(Damage, LostChunkIsNamedWithItsPack) {
  const SmallRepository small;
  Objects objects = small.objects;
  std::string pack;
  for (auto& [key, bytes] : objects) {
    if (key.find("/packs/") == std::string::npos) continue;
    pack = key;
    bytes[kPackHeaderBytes + kChunkFrameBytes] ^= std::byte{1};
    break;
  }
  const Outcome outcome = look_at(SmallRepository::store_of(objects), small.backup);
  ASSERT_FALSE(outcome.read);
  EXPECT_EQ(outcome.read.error().code(), ErrorCode::corrupt);
  EXPECT_NE(outcome.read.error().message().find(pack), std::string::npos)
      << outcome.read.error().message();
}

TEST(Damage, PackUnderAnotherLeaseIsFoundAndStillRead) {
  const SmallRepository small;
  Objects objects;
  for (const auto& [key, bytes] : small.objects) {
    std::string place = key;
    const std::size_t pack = key.find("/packs/");
    if (pack != std::string::npos) place.replace(pack, 26, "/packs/20200101T000000Z-F/");
    objects[place] = bytes;
  }
  const Outcome outcome = look_at(SmallRepository::store_of(objects), small.backup);
  EXPECT_FALSE(outcome.findings.empty());
  EXPECT_EQ(outcome.read.value(), small.tree);
}

}  // namespace
}  // namespace haul::repository
