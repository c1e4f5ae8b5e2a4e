// What every ObjectStore does, whatever it stands on.

#include "io/object_store.h"

#include <array>
#include <atomic>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/conformance/object_store_subjects.h"
#include "tests/support/file_content.h"

namespace haul::conformance {
namespace {

using io::ObjectInfo;
using io::ObjectStore;
using support::code_of;
using support::pattern;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t kNoLimit = 1ULL << 40;

class ObjectStoreConformance : public ::testing::TestWithParam<StoreKind> {
 protected:
  ObjectStoreConformance() : subject_(GetParam().make()) {}

  ObjectStore& store() { return subject_->store(); }
  Status put(const std::string& key, std::string_view content) {
    return store().put_if_absent(key, bytes_of(content));
  }
  std::string content_of(const std::string& key) {
    return std::string(text_of(store().get(key, kNoLimit).value()));
  }

 private:
  std::unique_ptr<StoreSubject> subject_;
};

TEST_P(ObjectStoreConformance, ObjectReadsBack) {
  ASSERT_TRUE(put("a/b/c", "hello"));
  EXPECT_EQ(content_of("a/b/c"), "hello");
  EXPECT_EQ(store().head("a/b/c").value(), (ObjectInfo{"a/b/c", 5}));
}

TEST_P(ObjectStoreConformance, EmptyObjectExists) {
  ASSERT_TRUE(put("a", ""));
  EXPECT_EQ(content_of("a"), "");
  EXPECT_EQ(store().head("a")->size_bytes, 0U);
}

TEST_P(ObjectStoreConformance, PutOfTakenKeyIsAlreadyExistsAndChangesNothing) {
  ASSERT_TRUE(put("a", "old"));
  EXPECT_EQ(code_of(put("a", "new")), ErrorCode::already_exists);
  EXPECT_EQ(content_of("a"), "old");
}

TEST_P(ObjectStoreConformance, WriterJoinsPiecesOfAnySize) {
  const std::string content = pattern((2U << 20) + (512U << 10) + 7, 1);
  const auto writer = store().create("a/b").take();
  std::size_t size_bytes = 1;
  for (std::size_t at = 0; at < content.size(); at += size_bytes, size_bytes *= 3) {
    ASSERT_TRUE(writer->append(bytes_of(std::string_view(content).substr(at, size_bytes))));
  }
  ASSERT_TRUE(writer->commit());
  EXPECT_EQ(content_of("a/b"), content);
}

TEST_P(ObjectStoreConformance, WriterTakesExactlyItsBufferSize) {
  const std::string content = pattern(2U << 20, 2);
  const auto writer = store().create("a").take();
  ASSERT_TRUE(writer->append(bytes_of(content)));
  ASSERT_TRUE(writer->append(ByteSpan()));
  ASSERT_TRUE(writer->commit());
  EXPECT_EQ(content_of("a"), content);
}

TEST_P(ObjectStoreConformance, ObjectIsInvisibleBeforeCommit) {
  const auto writer = store().create("a/b").take();
  ASSERT_TRUE(writer->append(bytes_of("hello")));
  EXPECT_EQ(code_of(store().head("a/b")), ErrorCode::not_found);
  EXPECT_THAT(store().list("").value(), IsEmpty());
  ASSERT_TRUE(writer->commit());
  EXPECT_THAT(store().list("").value(), ElementsAre(ObjectInfo{"a/b", 5}));
}

TEST_P(ObjectStoreConformance, AbandonedWriterLeavesNothing) {
  {
    ASSERT_TRUE(store().create("a").take()->append(bytes_of("hello")));
  }
  EXPECT_THAT(store().list("").value(), IsEmpty());
  EXPECT_TRUE(put("a", "other"));
}

TEST_P(ObjectStoreConformance, CommitOfTakenKeyIsAlreadyExistsAndSpendsTheWriter) {
  const auto writer = store().create("a").take();
  ASSERT_TRUE(writer->append(bytes_of("late")));
  ASSERT_TRUE(put("a", "early"));
  EXPECT_EQ(code_of(writer->commit()), ErrorCode::already_exists);
  EXPECT_EQ(content_of("a"), "early");
  EXPECT_EQ(code_of(writer->commit()), ErrorCode::io);
  EXPECT_EQ(code_of(writer->append(bytes_of("x"))), ErrorCode::io);
}

TEST_P(ObjectStoreConformance, OneOfManyWritersOfOneKeyWins) {
  constexpr int kWriters = 8;
  std::atomic<int> won = 0;
  std::atomic<int> refused = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kWriters; ++i) {
      threads.emplace_back([&, i] {
        const Status written = put("a/b/c", pattern(1000, static_cast<std::uint64_t>(i)));
        if (written) ++won;
        if (code_of(written) == ErrorCode::already_exists) ++refused;
      });
    }
  }
  EXPECT_EQ(won, 1);
  EXPECT_EQ(refused, kWriters - 1);
  EXPECT_EQ(content_of("a/b/c").size(), 1000U);
}

TEST_P(ObjectStoreConformance, ReplaceCreatesAndReplaces) {
  ASSERT_TRUE(store().replace("a/b", bytes_of("one")));
  EXPECT_EQ(content_of("a/b"), "one");
  ASSERT_TRUE(store().replace("a/b", bytes_of("second")));
  EXPECT_EQ(content_of("a/b"), "second");
  EXPECT_THAT(store().list("").value(), ElementsAre(ObjectInfo{"a/b", 6}));
}

TEST_P(ObjectStoreConformance, GetOfTooLargeObjectIsCorrupt) {
  ASSERT_TRUE(put("a", "hello"));
  EXPECT_EQ(code_of(store().get("a", 4)), ErrorCode::corrupt);
  EXPECT_TRUE(store().get("a", 5));
}

TEST_P(ObjectStoreConformance, ReaderReadsAnywhere) {
  ASSERT_TRUE(put("a", "hello"));
  const auto reader = store().open("a").take();
  EXPECT_EQ(reader->size_bytes(), 5U);
  std::array<std::byte, 3> into{};
  ASSERT_TRUE(reader->read_at(2, into));
  EXPECT_EQ(text_of(into), "llo");
  ASSERT_TRUE(reader->read_at(0, into));
  EXPECT_EQ(text_of(into), "hel");
}

TEST_P(ObjectStoreConformance, ReadPastTheEndIsCorrupt) {
  ASSERT_TRUE(put("a", "hello"));
  const auto reader = store().open("a").take();
  std::array<std::byte, 3> into{};
  EXPECT_EQ(code_of(reader->read_at(3, into)), ErrorCode::corrupt);
  EXPECT_EQ(code_of(reader->read_at(9, into)), ErrorCode::corrupt);
  EXPECT_TRUE(reader->read_at(5, std::span(into).first(0)));
}

TEST_P(ObjectStoreConformance, OpenReaderOutlivesRemoval) {
  ASSERT_TRUE(put("a", "hello"));
  const auto reader = store().open("a").take();
  ASSERT_TRUE(store().remove("a"));
  std::array<std::byte, 5> into{};
  ASSERT_TRUE(reader->read_at(0, into));
  EXPECT_EQ(text_of(into), "hello");
}

TEST_P(ObjectStoreConformance, AbsentKeyIsNotFound) {
  ASSERT_TRUE(put("a/b", ""));
  for (const char* key : {"no", "a", "a/no", "no/no", "a/b/no"}) {
    EXPECT_EQ(code_of(store().get(key, kNoLimit)), ErrorCode::not_found) << key;
    EXPECT_EQ(code_of(store().open(key)), ErrorCode::not_found) << key;
    EXPECT_EQ(code_of(store().head(key)), ErrorCode::not_found) << key;
    EXPECT_EQ(code_of(store().remove(key)), ErrorCode::not_found) << key;
  }
}

TEST_P(ObjectStoreConformance, RemovedObjectIsGoneAndItsKeyFree) {
  ASSERT_TRUE(put("a/b", "old"));
  ASSERT_TRUE(put("a/c", ""));
  ASSERT_TRUE(store().remove("a/b"));
  EXPECT_EQ(code_of(store().head("a/b")), ErrorCode::not_found);
  EXPECT_THAT(store().list("").value(), ElementsAre(ObjectInfo{"a/c", 0}));
  ASSERT_TRUE(put("a/b", "new"));
  EXPECT_EQ(content_of("a/b"), "new");
}

TEST_P(ObjectStoreConformance, ListIsDeepAndSortedByKey) {
  for (const char* key : {"b", "a/z", "a-b", "a/b/c", "a/b/b", "a0"}) ASSERT_TRUE(put(key, "x"));
  EXPECT_THAT(store().list("").value(),
              ElementsAre(ObjectInfo{"a-b", 1}, ObjectInfo{"a/b/b", 1}, ObjectInfo{"a/b/c", 1},
                          ObjectInfo{"a/z", 1}, ObjectInfo{"a0", 1}, ObjectInfo{"b", 1}));
}

TEST_P(ObjectStoreConformance, ListKeepsToItsPrefix) {
  for (const char* key : {"a/b/c", "a/bb/c", "a/b-c", "c"}) ASSERT_TRUE(put(key, ""));
  EXPECT_THAT(store().list("a/b").value(), ElementsAre(ObjectInfo{"a/b/c", 0}));
  EXPECT_THAT(store().list("a").value(),
              ElementsAre(ObjectInfo{"a/b-c", 0}, ObjectInfo{"a/b/c", 0}, ObjectInfo{"a/bb/c", 0}));
}

TEST_P(ObjectStoreConformance, PrefixWithoutObjectsListsAsEmpty) {
  ASSERT_TRUE(put("a/b", ""));
  EXPECT_THAT(store().list("no").value(), IsEmpty());
  EXPECT_THAT(store().list("no/no").value(), IsEmpty());
  EXPECT_THAT(store().list("a/b").value(), IsEmpty());
}

TEST_P(ObjectStoreConformance, ListNamesGivesOneLevelSorted) {
  for (const char* key : {"b", "a/z", "a-b", "a/b/c", "a/b/b", "a0/x"}) ASSERT_TRUE(put(key, "x"));
  EXPECT_EQ(store().list_names("").value(), (io::ObjectNames{{"a-b", "b"}, {"a", "a0"}}));
  EXPECT_EQ(store().list_names("a").value(), (io::ObjectNames{{"z"}, {"b"}}));
  EXPECT_EQ(store().list_names("a/b").value(), (io::ObjectNames{{"b", "c"}, {}}));
}

TEST_P(ObjectStoreConformance, ListNamesOfAnAbsentPrefixIsEmpty) {
  ASSERT_TRUE(put("a/b", ""));
  for (const char* prefix : {"no", "no/no", "a/b", "a/no"}) {
    EXPECT_EQ(store().list_names(prefix).value(), io::ObjectNames{}) << prefix;
  }
}

TEST_P(ObjectStoreConformance, ListNamesShowsNoUnfinishedObject) {
  const auto writer = store().create("a").take();
  ASSERT_TRUE(writer->append(bytes_of("hello")));
  EXPECT_EQ(store().list_names("").value(), io::ObjectNames{});
}

TEST_P(ObjectStoreConformance, KeyThatIsNotPlainIsUsage) {
  for (const std::string key : {"", "/a", "../a", "a/", "a//b", "a/../b", "./a", "tmp", "tmp/a"}) {
    EXPECT_EQ(code_of(put(key, "")), ErrorCode::usage) << key;
    EXPECT_EQ(code_of(store().create(key)), ErrorCode::usage) << key;
    EXPECT_EQ(code_of(store().replace(key, ByteSpan())), ErrorCode::usage) << key;
    EXPECT_EQ(code_of(store().get(key, kNoLimit)), ErrorCode::usage) << key;
    EXPECT_EQ(code_of(store().open(key)), ErrorCode::usage) << key;
    EXPECT_EQ(code_of(store().head(key)), ErrorCode::usage) << key;
    EXPECT_EQ(code_of(store().remove(key)), ErrorCode::usage) << key;
    if (key.empty()) continue;
    EXPECT_EQ(code_of(store().list(key)), ErrorCode::usage) << key;
    EXPECT_EQ(code_of(store().list_names(key)), ErrorCode::usage) << key;
    EXPECT_EQ(code_of(store().make_durable(key)), ErrorCode::usage) << key;
  }
}

TEST_P(ObjectStoreConformance, KeyThatOnlyBeginsLikeTheReservedNameIsFine) {
  ASSERT_TRUE(put("tmpfile", "x"));
  ASSERT_TRUE(put("a/tmp/b", "x"));
  EXPECT_THAT(store().list("").value(),
              ElementsAre(ObjectInfo{"a/tmp/b", 1}, ObjectInfo{"tmpfile", 1}));
}

TEST_P(ObjectStoreConformance, MakeDurableTakesEveryPrefixThatHasObjects) {
  ASSERT_TRUE(put("a/b/c", ""));
  EXPECT_TRUE(store().make_durable("a/b"));
  EXPECT_TRUE(store().make_durable("a/b"));
  EXPECT_TRUE(store().make_durable("a"));
  EXPECT_TRUE(store().make_durable(""));
}

TEST_P(ObjectStoreConformance, MakeDurableOfUnknownPrefixIsNotFound) {
  EXPECT_EQ(code_of(store().make_durable("a")), ErrorCode::not_found);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ObjectStoreConformance, ::testing::ValuesIn(store_kinds()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace haul::conformance
