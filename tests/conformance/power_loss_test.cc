// What a store promises to whoever waits for make_durable(), against a disk that forgets: an object
// that was made durable survives any crash, and no object is ever seen in part. Writers with a
// known flaw show that the checks can fail.

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/format.h"
#include "io/posix_object_store.h"
#include "io/sim_directory.h"
#include "tests/support/file_content.h"

namespace haul::conformance {
namespace {

using io::Caching;
using io::Directory;
using io::SimBreakage;
using io::SimDisk;
using io::SimFault;
using support::pattern;

constexpr std::string_view kLease = "leases/one";

// HAUL_POWER_LOSS_SEEDS, else 300.
std::uint64_t seeds() {
  const char* text = std::getenv("HAUL_POWER_LOSS_SEEDS");
  return text == nullptr ? 300 : std::strtoull(text, nullptr, 10);
}

// The part of a store that the promise is about.
class Writer {
 public:
  virtual ~Writer() = default;
  virtual Status put(const std::string& key, std::string_view content) = 0;
  virtual Status replace(const std::string& key, std::string_view content) = 0;
  virtual Status make_durable(const std::string& prefix) = 0;
};

class StoreWriter final : public Writer {
 public:
  explicit StoreWriter(std::unique_ptr<Directory> root)
      : store_(io::make_posix_object_store(std::move(root), {})) {}

  // Small objects go through put_if_absent(), the others through a writer.
  Status put(const std::string& key, std::string_view content) override {
    if (content.size() < 1000) return store_->put_if_absent(key, bytes_of(content));
    const std::unique_ptr<io::ObjectWriter> writer = HAUL_TRY(store_->create(key));
    HAUL_TRY(writer->append(bytes_of(content)));
    return writer->commit();
  }
  Status replace(const std::string& key, std::string_view content) override {
    return store_->replace(key, bytes_of(content));
  }
  Status make_durable(const std::string& prefix) override { return store_->make_durable(prefix); }

 private:
  std::unique_ptr<io::ObjectStore> store_;
};

// The same protocol in its shortest form, with one flaw.
class FlawedWriter final : public Writer {
 public:
  enum class Flaw {
    none,
    writes_in_place,
    names_before_sync,
    skips_file_sync,
    skips_directory_sync,
    skips_ancestors,
    repeats_failed_file_sync,
    repeats_failed_directory_sync,
  };

  FlawedWriter(std::unique_ptr<Directory> root, Flaw flaw) : root_(std::move(root)), flaw_(flaw) {}

  Status put(const std::string& key, std::string_view content) override {
    if (flaw_ == Flaw::writes_in_place) return write_in_place(key, content);
    return write(key, content, &Directory::publish);
  }
  Status replace(const std::string& key, std::string_view content) override {
    return write(key, content, &Directory::publish_over);
  }

  Status make_durable(const std::string& prefix) override {
    if (flaw_ == Flaw::skips_directory_sync) return ok();
    std::string directory = prefix;
    for (;;) {
      const Status synced = root_->sync_directory(directory);
      if (!synced && flaw_ == Flaw::repeats_failed_directory_sync) {
        HAUL_TRY(root_->sync_directory(directory));
      } else {
        HAUL_TRY(Status(synced));
      }
      if (directory.empty() || flaw_ == Flaw::skips_ancestors) return ok();
      const std::size_t slash = directory.rfind('/');
      directory = slash == std::string::npos ? "" : directory.substr(0, slash);
    }
  }

 private:
  using Publish = Status (Directory::*)(io::File&, std::string_view);

  void make_parents(const std::string& path) {
    for (std::size_t end = path.find('/'); end != std::string::npos;
         end = path.find('/', end + 1)) {
      std::ignore = root_->make_directory(path.substr(0, end), 0700);
    }
  }

  Status sync(io::File& file) {
    if (flaw_ == Flaw::skips_file_sync) return ok();
    const Status synced = file.sync();
    if (!synced && flaw_ == Flaw::repeats_failed_file_sync) return file.sync();
    return synced;
  }

  Status write(const std::string& key, std::string_view content, Publish publish) {
    make_parents(key);
    const std::unique_ptr<io::File> file = HAUL_TRY(support::write_temporary(*root_, content));
    if (flaw_ == Flaw::names_before_sync) {
      HAUL_TRY((*root_.*publish)(*file, key));
      return sync(*file);
    }
    HAUL_TRY(sync(*file));
    return (*root_.*publish)(*file, key);
  }

  Status write_in_place(const std::string& key, std::string_view content) {
    make_parents(key);
    const std::unique_ptr<io::File> file =
        HAUL_TRY(root_->create_file(key, 0600, Caching::buffered));
    HAUL_TRY(file->write_at(0, bytes_of(content)));
    return sync(*file);
  }

  const std::unique_ptr<Directory> root_;
  const Flaw flaw_;
};

using MakeWriter = std::function<std::unique_ptr<Writer>(std::unique_ptr<Directory>)>;

std::unique_ptr<Writer> make_store_writer(std::unique_ptr<Directory> root) {
  return std::make_unique<StoreWriter>(std::move(root));
}

MakeWriter flawed(FlawedWriter::Flaw flaw) {
  return [flaw](std::unique_ptr<Directory> root) {
    return std::make_unique<FlawedWriter>(std::move(root), flaw);
  };
}

std::string lease_content(std::size_t version) { return pattern(700 + version, 1000 + version); }

// What was asked of a writer and what it promised.
class Session {
 public:
  explicit Session(Writer& writer) : writer_(writer) {}

  // Three batches of objects, each made durable, with a lease refreshed in between. Failures are
  // answered as a stubborn caller would: by trying once more.
  void run() {
    for (std::size_t batch = 0; batch < 3; ++batch) {
      const std::string prefix = batch == 0 ? "top" : format("top/deep/{}", batch);
      put(prefix, format("small-{}", batch), pattern(100, batch));
      put(prefix, format("large-{}", batch), pattern(3000, 10 + batch));
      refresh_lease();
      make_durable(prefix);
    }
  }

  // How many promises `root` breaks.
  std::size_t broken_promises(Directory& root) const {
    std::size_t broken = 0;
    for (const auto& [key, content] : contents_) {
      const Result<std::string> found = support::read_file(root, key);
      if (found && *found != content) ++broken;
      if (!found && durable_.contains(key)) ++broken;
    }
    const Result<std::string> lease = support::read_file(root, kLease);
    const auto is_version = [&](std::size_t version) { return *lease == lease_content(version); };
    bool lease_is_sound = lease || lease_durable_ == 0;
    if (lease) {
      lease_is_sound = false;
      for (std::size_t version = std::max<std::size_t>(lease_durable_, 1); version <= lease_tried_;
           ++version) {
        lease_is_sound = lease_is_sound || is_version(version);
      }
    }
    return broken + (lease_is_sound ? 0 : 1);
  }

  bool promised_all() const { return durable_.size() == 6 && lease_durable_ == 3; }

 private:
  void put(const std::string& prefix, const std::string& name, const std::string& content) {
    const std::string key = prefix + "/" + name;
    contents_[key] = content;
    if (writer_.put(key, content) || writer_.put(key, content)) written_[prefix].push_back(key);
  }

  void make_durable(const std::string& prefix) {
    if (!writer_.make_durable(prefix) && !writer_.make_durable(prefix)) return;
    for (const std::string& key : written_[prefix]) durable_.insert(key);
  }

  void refresh_lease() {
    const std::size_t version = ++lease_tried_;
    if (!writer_.replace(std::string(kLease), lease_content(version))) return;
    if (writer_.make_durable("leases")) lease_durable_ = version;
  }

  Writer& writer_;
  std::map<std::string, std::string> contents_;
  std::map<std::string, std::vector<std::string>> written_;  // by prefix
  std::set<std::string> durable_;
  std::size_t lease_tried_ = 0;
  std::size_t lease_durable_ = 0;
};

struct Experiment {
  MakeWriter make_writer = make_store_writer;
  SimBreakage breakage;
};

// One session on a fresh disk with this fault, a crash, and the look at what is left.
std::size_t broken_promises(const Experiment& experiment, SimFault fault, std::uint64_t seed) {
  SimDisk disk;
  disk.set_breakage(experiment.breakage);
  disk.set_fault(fault);
  const std::unique_ptr<Writer> writer = experiment.make_writer(disk.open("").take());
  Session session(*writer);
  session.run();
  disk.crash(seed);
  return session.broken_promises(*disk.open("").take());
}

std::uint64_t operations_of(const Experiment& experiment) {
  SimDisk disk;
  const std::unique_ptr<Writer> writer = experiment.make_writer(disk.open("").take());
  Session session(*writer);
  session.run();
  EXPECT_TRUE(session.promised_all());
  return disk.operations();
}

// Over every operation and so many seeds each: how often a promise was broken; the first time is
// described.
std::size_t count_violations(const Experiment& experiment, SimFault fault,
                             std::uint64_t seeds_per_operation, std::string& first) {
  std::size_t violations = 0;
  const std::uint64_t operations = operations_of(experiment);
  for (std::uint64_t operation = 1; operation <= operations + 1; ++operation) {
    fault.at_operation = operation;
    for (std::uint64_t seed = 1; seed <= seeds_per_operation; ++seed) {
      if (broken_promises(experiment, fault, seed) == 0) continue;
      if (violations++ == 0) first = format("operation {}, seed {}", operation, seed);
    }
  }
  return violations;
}

std::size_t count_violations(const Experiment& experiment, SimFault fault) {
  std::string first;
  return count_violations(experiment, fault, 20, first);
}

constexpr SimFault kPowerLoss = {0, SimFault::Kind::power_loss, SimFault::Repeat::once};
constexpr SimFault kIoErrorOnce = {0, SimFault::Kind::io_error, SimFault::Repeat::once};

TEST(PowerLoss, StoreKeepsItsPromisesAtEveryOperation) {
  std::string first;
  EXPECT_EQ(count_violations({}, kPowerLoss, seeds(), first), 0U) << first;
}

TEST(PowerLoss, ProtocolInItsShortestFormKeepsItsPromises) {
  EXPECT_EQ(count_violations({flawed(FlawedWriter::Flaw::none), {}}, kPowerLoss), 0U);
}

class StoreUnderErrors
    : public ::testing::TestWithParam<std::tuple<SimFault::Kind, SimFault::Repeat>> {};

TEST_P(StoreUnderErrors, KeepsItsPromisesThroughTheNextCrash) {
  const auto [kind, repeat] = GetParam();
  std::string first;
  EXPECT_EQ(count_violations({}, {0, kind, repeat}, 20, first), 0U) << first;
}

INSTANTIATE_TEST_SUITE_P(
    PowerLoss, StoreUnderErrors,
    ::testing::Combine(::testing::Values(SimFault::Kind::io_error, SimFault::Kind::no_space,
                                         SimFault::Kind::short_write),
                       ::testing::Values(SimFault::Repeat::once, SimFault::Repeat::from_then_on)));

// Negative controls: each flaw must be noticed.

TEST(PowerLoss, DiskThatIgnoresFileSyncIsNoticed) {
  EXPECT_GT(
      count_violations({make_store_writer, {SimBreakage::Kind::file_sync_is_ignored}}, kPowerLoss),
      0U);
}

TEST(PowerLoss, DiskThatIgnoresDirectorySyncIsNoticed) {
  EXPECT_GT(count_violations({make_store_writer, {SimBreakage::Kind::directory_sync_is_ignored}},
                             kPowerLoss),
            0U);
}

class FlawUnderPowerLoss : public ::testing::TestWithParam<FlawedWriter::Flaw> {};

TEST_P(FlawUnderPowerLoss, IsNoticed) {
  EXPECT_GT(count_violations({flawed(GetParam()), {}}, kPowerLoss), 0U);
}

INSTANTIATE_TEST_SUITE_P(PowerLoss, FlawUnderPowerLoss,
                         ::testing::Values(FlawedWriter::Flaw::writes_in_place,
                                           FlawedWriter::Flaw::names_before_sync,
                                           FlawedWriter::Flaw::skips_file_sync,
                                           FlawedWriter::Flaw::skips_directory_sync,
                                           FlawedWriter::Flaw::skips_ancestors));

class FlawUnderErrors : public ::testing::TestWithParam<FlawedWriter::Flaw> {};

TEST_P(FlawUnderErrors, IsNoticed) {
  EXPECT_GT(count_violations({flawed(GetParam()), {}}, kIoErrorOnce), 0U);
}

INSTANTIATE_TEST_SUITE_P(PowerLoss, FlawUnderErrors,
                         ::testing::Values(FlawedWriter::Flaw::repeats_failed_file_sync,
                                           FlawedWriter::Flaw::repeats_failed_directory_sync));

TEST(PowerLoss, ObjectThatWasNotMadeDurableMayVanish) {
  std::size_t lost = 0;
  std::size_t kept = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SimDisk disk;
    StoreWriter writer(disk.open("").take());
    ASSERT_TRUE(writer.put("a", "hello"));
    disk.crash(seed);
    const Result<std::string> found = support::read_file(*disk.open("").take(), "a");
    EXPECT_EQ(found.value_or("hello"), "hello");
    (found ? kept : lost) += 1;
  }
  EXPECT_GT(lost, 0U);
  EXPECT_GT(kept, 0U);
}

TEST(PowerLoss, ObjectsOfOtherProcessesAreMadeDurableToo) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SimDisk disk;
    StoreWriter creator(disk.open("").take());
    ASSERT_TRUE(creator.put("a/b/c", "hello"));
    StoreWriter adopter(disk.open("").take());
    ASSERT_TRUE(adopter.make_durable("a/b"));
    disk.crash(seed);
    EXPECT_EQ(support::read_file(*disk.open("").take(), "a/b/c").value(), "hello") << seed;
  }
}

TEST(PowerLoss, DiskWhosePublishReplacesBreaksWriteOnce) {
  SimDisk disk;
  disk.set_breakage({SimBreakage::Kind::publish_replaces});
  StoreWriter writer(disk.open("").take());
  ASSERT_TRUE(writer.put("a", "old"));
  EXPECT_TRUE(writer.put("a", "new")) << "the conformance test of taken keys would not notice";
}

}  // namespace
}  // namespace haul::conformance
