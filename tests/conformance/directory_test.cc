// What every Directory does, whatever it stands on.

#include "io/directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/aligned_buffer.h"
#include "tests/conformance/directory_subjects.h"
#include "tests/support/file_content.h"

namespace haul::conformance {
namespace {

using io::Caching;
using io::Directory;
using io::DirectoryEntry;
using io::File;
using io::FileKind;
using support::code_of;
using support::names_in;
using support::read_file;
using support::write_file;
using support::write_temporary;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class DirectoryConformance : public ::testing::TestWithParam<DirectoryKind> {
 protected:
  DirectoryConformance() : subject_(GetParam().make()), root_(subject_->open()) {}

  Directory& root() { return *root_; }
  std::unique_ptr<Directory> open_again() { return subject_->open(); }

 private:
  std::unique_ptr<DirectorySubject> subject_;
  std::unique_ptr<Directory> root_;
};

// Sets the process's umask for one test.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

TEST_P(DirectoryConformance, CreatedFileReadsBack) {
  ASSERT_TRUE(write_file(root(), "a", "hello"));
  EXPECT_EQ(read_file(root(), "a").value(), "hello");
}

TEST_P(DirectoryConformance, CreatedFileIsSeenThroughAnotherHandle) {
  ASSERT_TRUE(write_file(root(), "a", "hello"));
  EXPECT_EQ(read_file(*open_again(), "a").value(), "hello");
}

TEST_P(DirectoryConformance, CreatingTakenNameIsAlreadyExists) {
  ASSERT_TRUE(write_file(root(), "a", "old"));
  EXPECT_EQ(code_of(root().create_file("a", 0600, Caching::buffered)), ErrorCode::already_exists);
  EXPECT_EQ(read_file(root(), "a").value(), "old");
}

TEST_P(DirectoryConformance, CreatingOverSymlinkIsAlreadyExists) {
  ASSERT_TRUE(root().make_link("elsewhere", "a"));
  EXPECT_EQ(code_of(root().create_file("a", 0600, Caching::buffered)), ErrorCode::already_exists);
  EXPECT_EQ(code_of(root().info("elsewhere")), ErrorCode::not_found);
}

TEST_P(DirectoryConformance, CreatingInMissingDirectoryIsNotFound) {
  EXPECT_EQ(code_of(root().create_file("no/a", 0600, Caching::buffered)), ErrorCode::not_found);
}

TEST_P(DirectoryConformance, CreatedFileHasItsModeUnderTightUmask) {
  const Umask umask(0777);
  ASSERT_TRUE(root().create_file("a", 0640, Caching::buffered));
  EXPECT_EQ(root().info("a")->mode, 0640U);
}

TEST_P(DirectoryConformance, CreatedFileHasItsModeUnderOpenUmask) {
  const Umask umask(0);
  ASSERT_TRUE(root().create_file("a", 0600, Caching::buffered));
  EXPECT_EQ(root().info("a")->mode, 0600U);
}

TEST_P(DirectoryConformance, TemporaryFileIsPrivateUnderAnyUmask) {
  ASSERT_TRUE(root().make_directory("tmp", 0700));
  for (const mode_t mask : {0U, 0777U}) {
    const Umask umask(mask);
    const auto file = root().create_temporary("tmp", Caching::buffered);
    ASSERT_TRUE(file);
    EXPECT_EQ((*file)->info()->mode, 0600U);
  }
}

TEST_P(DirectoryConformance, ReadIsShortOnlyAtTheEnd) {
  ASSERT_TRUE(write_file(root(), "a", "hello"));
  const auto file = root().open_file("a", Caching::buffered).take();
  std::array<std::byte, 8> into{};
  EXPECT_EQ(file->read_at(2, into).value(), 3U);
  EXPECT_EQ(file->read_at(5, into).value(), 0U);
  EXPECT_EQ(file->read_at(99, into).value(), 0U);
  EXPECT_EQ(file->read_at(1, std::span(into).first(2)).value(), 2U);
}

TEST_P(DirectoryConformance, GapBeforeWriteReadsAsZeros) {
  const auto file = root().create_file("a", 0600, Caching::buffered).take();
  ASSERT_TRUE(file->write_at(3, bytes_of("x")));
  EXPECT_EQ(read_file(root(), "a").value(), std::string("\0\0\0x", 4));
}

TEST_P(DirectoryConformance, ResizeCutsAndExtends) {
  const auto file = root().create_file("a", 0600, Caching::buffered).take();
  ASSERT_TRUE(file->write_at(0, bytes_of("hello")));
  ASSERT_TRUE(file->resize(2));
  ASSERT_TRUE(file->resize(4));
  EXPECT_EQ(read_file(root(), "a").value(), std::string("he\0\0", 4));
}

TEST_P(DirectoryConformance, PreallocateKeepsTheSize) {
  const auto file = root().create_file("a", 0600, Caching::buffered).take();
  ASSERT_TRUE(file->preallocate(0));
  ASSERT_TRUE(file->preallocate(1 << 20));
  EXPECT_EQ(file->info()->size_bytes, 0U);
}

TEST_P(DirectoryConformance, DirectFileTakesUnalignedTailAfterEndDirect) {
  const std::string content = support::pattern(8192 + 100, 1);
  io::AlignedBuffer buffer(3 * io::kDirectAlignment);
  {
    const auto file = root().create_file("a", 0600, Caching::direct).take();
    std::ranges::copy(bytes_of(content), buffer.bytes().begin());
    ASSERT_TRUE(file->write_at(0, buffer.bytes().first(8192)));
    ASSERT_TRUE(file->end_direct());
    ASSERT_TRUE(file->write_at(8192, bytes_of(content).subspan(8192)));
    ASSERT_TRUE(file->end_direct());
  }
  std::ranges::fill(buffer.bytes(), std::byte{0});
  const auto file = root().open_file("a", Caching::direct).take();
  EXPECT_EQ(file->read_at(0, buffer.bytes()).value(), content.size());
  EXPECT_EQ(text_of(buffer.bytes().first(content.size())), content);
  EXPECT_EQ(file->read_at(8192, buffer.bytes()).value(), 100U);
}

TEST_P(DirectoryConformance, OpenForUpdateWritesInPlace) {
  ASSERT_TRUE(write_file(root(), "a", "hello"));
  const auto file = root().open_for_update("a", Caching::buffered).take();
  ASSERT_TRUE(file->write_at(1, bytes_of("u")));
  EXPECT_EQ(read_file(root(), "a").value(), "hullo");
}

TEST_P(DirectoryConformance, OpeningWhatIsNoFileFails) {
  ASSERT_TRUE(root().make_directory("d", 0700));
  ASSERT_TRUE(root().make_link("d", "l"));
  ASSERT_TRUE(write_file(root(), "f", ""));
  for (const auto open : {&Directory::open_file, &Directory::open_for_update}) {
    EXPECT_EQ(code_of((root().*open)("no", Caching::buffered)), ErrorCode::not_found);
    EXPECT_EQ(code_of((root().*open)("f/x", Caching::buffered)), ErrorCode::not_found);
    EXPECT_EQ(code_of((root().*open)("d", Caching::buffered)), ErrorCode::usage);
    EXPECT_EQ(code_of((root().*open)("l", Caching::buffered)), ErrorCode::usage);
    EXPECT_EQ(code_of((root().*open)("", Caching::buffered)), ErrorCode::usage);
  }
}

TEST_P(DirectoryConformance, FinishedFileIsUnusable) {
  const auto file = root().create_file("a", 0600, Caching::buffered).take();
  ASSERT_TRUE(file->write_at(0, bytes_of("x")));
  ASSERT_TRUE(file->finish());
  std::array<std::byte, 1> into{};
  EXPECT_EQ(code_of(file->read_at(0, into)), ErrorCode::io);
  EXPECT_EQ(code_of(file->write_at(0, into)), ErrorCode::io);
  EXPECT_EQ(code_of(file->resize(0)), ErrorCode::io);
  EXPECT_EQ(code_of(file->preallocate(1)), ErrorCode::io);
  EXPECT_EQ(code_of(file->set_mode(0600)), ErrorCode::io);
  EXPECT_EQ(code_of(file->set_owner(::geteuid(), ::getegid())), ErrorCode::io);
  EXPECT_EQ(code_of(file->info()), ErrorCode::io);
  EXPECT_EQ(code_of(file->sync()), ErrorCode::io);
}

TEST_P(DirectoryConformance, PublishedFileHasItsNameAndContent) {
  const auto file = write_temporary(root(), "hello").take();
  EXPECT_EQ(code_of(root().info("a")), ErrorCode::not_found);
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(root().publish(*file, "a"));
  ASSERT_TRUE(file->finish());
  EXPECT_EQ(read_file(root(), "a").value(), "hello");
}

TEST_P(DirectoryConformance, PublishedFileLeavesNoOtherName) {
  for (const auto publish : {&Directory::publish, &Directory::publish_over}) {
    const auto file = write_temporary(root(), "").take();
    ASSERT_TRUE((root().*publish)(*file, publish == &Directory::publish ? "a" : "b"));
  }
  EXPECT_THAT(names_in(root(), "tmp").value(), IsEmpty());
  EXPECT_THAT(names_in(root(), "").value(), ElementsAre("a", "b", "tmp"));
}

TEST_P(DirectoryConformance, PublishingIntoAnotherDirectoryWorks) {
  ASSERT_TRUE(root().make_directory("d", 0700));
  ASSERT_TRUE(root().make_directory("d/e", 0700));
  const auto file = write_temporary(root(), "hello").take();
  ASSERT_TRUE(root().publish(*file, "d/e/a"));
  EXPECT_EQ(read_file(root(), "d/e/a").value(), "hello");
}

TEST_P(DirectoryConformance, PublishingTakenNameIsAlreadyExistsAndAnotherNameStillWorks) {
  ASSERT_TRUE(write_file(root(), "a", "old"));
  ASSERT_TRUE(root().make_link("nowhere", "l"));
  const auto file = write_temporary(root(), "new").take();
  EXPECT_EQ(code_of(root().publish(*file, "a")), ErrorCode::already_exists);
  EXPECT_EQ(code_of(root().publish(*file, "l")), ErrorCode::already_exists);
  EXPECT_EQ(code_of(root().publish(*file, "tmp")), ErrorCode::already_exists);
  EXPECT_EQ(read_file(root(), "a").value(), "old");
  ASSERT_TRUE(root().publish(*file, "b"));
  EXPECT_EQ(read_file(root(), "b").value(), "new");
}

TEST_P(DirectoryConformance, PublishingIntoMissingDirectoryIsNotFoundAndCanBeRepeated) {
  const auto file = write_temporary(root(), "hello").take();
  EXPECT_EQ(code_of(root().publish(*file, "d/a")), ErrorCode::not_found);
  EXPECT_EQ(code_of(root().publish_over(*file, "d/a")), ErrorCode::not_found);
  ASSERT_TRUE(root().make_directory("d", 0700));
  ASSERT_TRUE(root().publish(*file, "d/a"));
  EXPECT_EQ(read_file(root(), "d/a").value(), "hello");
}

TEST_P(DirectoryConformance, AbandonedTemporaryLeavesNothing) {
  {
    ASSERT_TRUE(write_temporary(root(), "hello"));
  }
  EXPECT_THAT(names_in(root(), "tmp").value(), IsEmpty());
}

TEST_P(DirectoryConformance, TemporaryAbandonedAfterFailedPublishOverLeavesNothing) {
  {
    ASSERT_TRUE(root().make_directory("d", 0700));
    const auto file = write_temporary(root(), "hello").take();
    ASSERT_EQ(code_of(root().publish_over(*file, "d")), ErrorCode::usage);
  }
  EXPECT_THAT(names_in(root(), "tmp").value(), IsEmpty());
}

TEST_P(DirectoryConformance, TemporaryInMissingDirectoryIsNotFound) {
  EXPECT_EQ(code_of(root().create_temporary("tmp", Caching::buffered)), ErrorCode::not_found);
}

TEST_P(DirectoryConformance, TemporaryInTheRootCanBePublished) {
  const auto file = root().create_temporary("", Caching::direct).take();
  ASSERT_TRUE(root().publish(*file, "a"));
  EXPECT_THAT(names_in(root(), "").value(), ElementsAre("a"));
}

TEST_P(DirectoryConformance, PublishOverReplaces) {
  ASSERT_TRUE(write_file(root(), "a", "old"));
  const auto file = write_temporary(root(), "new").take();
  ASSERT_TRUE(root().publish_over(*file, "a"));
  EXPECT_EQ(read_file(root(), "a").value(), "new");
}

TEST_P(DirectoryConformance, PublishOverKeepsWhatIsOpen) {
  ASSERT_TRUE(write_file(root(), "a", "old"));
  const auto opened = root().open_file("a", Caching::buffered).take();
  const auto file = write_temporary(root(), "new").take();
  ASSERT_TRUE(root().publish_over(*file, "a"));
  std::array<std::byte, 3> into{};
  ASSERT_EQ(opened->read_at(0, into).value(), 3U);
  EXPECT_EQ(text_of(into), "old");
}

TEST_P(DirectoryConformance, PublishOverReplacesTheSymlinkAndNotItsTarget) {
  ASSERT_TRUE(write_file(root(), "target", "old"));
  ASSERT_TRUE(root().make_link("target", "a"));
  const auto file = write_temporary(root(), "new").take();
  ASSERT_TRUE(root().publish_over(*file, "a"));
  EXPECT_EQ(root().info("a")->kind, FileKind::regular);
  EXPECT_EQ(read_file(root(), "target").value(), "old");
}

TEST_P(DirectoryConformance, InfoTellsWhatIsThere) {
  ASSERT_TRUE(write_file(root(), "f", "hello"));
  ASSERT_TRUE(root().make_directory("d", 0750));
  ASSERT_TRUE(root().make_link("f", "l"));
  const auto file = root().info("f").take();
  EXPECT_EQ(file.kind, FileKind::regular);
  EXPECT_EQ(file.size_bytes, 5U);
  EXPECT_EQ(file.mode, 0600U);
  EXPECT_EQ(file.inode, root().open_file("f", Caching::buffered).take()->info()->inode);
  EXPECT_EQ(root().info("d")->kind, FileKind::directory);
  EXPECT_EQ(root().info("d")->mode, 0750U);
  EXPECT_EQ(root().info("l")->kind, FileKind::symlink);
  EXPECT_EQ(root().info("")->kind, FileKind::directory);
  EXPECT_EQ(code_of(root().info("no")), ErrorCode::not_found);
  EXPECT_EQ(code_of(root().info("no/no")), ErrorCode::not_found);
  EXPECT_EQ(code_of(root().info("f/no")), ErrorCode::not_found);
}

TEST_P(DirectoryConformance, WritingMovesTheModificationTimeForward) {
  ASSERT_TRUE(write_file(root(), "f", ""));
  const std::int64_t before = root().info("f")->modified_ns;
  ASSERT_TRUE(root().open_for_update("f", Caching::buffered).take()->write_at(0, bytes_of("x")));
  EXPECT_GE(root().info("f")->modified_ns, before);
}

TEST_P(DirectoryConformance, ListIsSortedAndTellsKinds) {
  ASSERT_TRUE(root().make_directory("b", 0700));
  ASSERT_TRUE(write_file(root(), "c", ""));
  ASSERT_TRUE(root().make_link("c", "a"));
  ASSERT_TRUE(write_file(root(), "b/x", ""));
  const std::vector<DirectoryEntry> entries = root().list("").take();
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].name, "a");
  EXPECT_EQ(entries[0].kind, FileKind::symlink);
  EXPECT_EQ(entries[1].name, "b");
  EXPECT_EQ(entries[1].kind, FileKind::directory);
  EXPECT_EQ(entries[2].name, "c");
  EXPECT_EQ(entries[2].kind, FileKind::regular);
  EXPECT_THAT(names_in(root(), "b").value(), ElementsAre("x"));
}

TEST_P(DirectoryConformance, EveryEntryIsVisitedOnce) {
  ASSERT_TRUE(root().make_directory("b", 0700));
  ASSERT_TRUE(write_file(root(), "c", ""));
  ASSERT_TRUE(root().make_link("c", "a"));
  std::vector<std::string> visited;
  ASSERT_TRUE(root().for_each_entry("", [&](const DirectoryEntry& entry) {
    visited.push_back(entry.name);
    return ok();
  }));
  EXPECT_THAT(visited, UnorderedElementsAre("a", "b", "c"));
}

TEST_P(DirectoryConformance, VisitEndsWithTheFirstFailureOfTheVisitor) {
  ASSERT_TRUE(write_file(root(), "a", ""));
  ASSERT_TRUE(write_file(root(), "b", ""));
  int visits = 0;
  const Status visited = root().for_each_entry("", [&](const DirectoryEntry&) -> Status {
    ++visits;
    return Error(ErrorCode::busy, "enough");
  });
  EXPECT_EQ(code_of(visited), ErrorCode::busy);
  EXPECT_EQ(visits, 1);
}

TEST_P(DirectoryConformance, VisitorMayUseTheDirectory) {
  ASSERT_TRUE(write_file(root(), "a", "x"));
  EXPECT_TRUE(root().for_each_entry("", [&](const DirectoryEntry& entry) -> Status {
    if (entry.name != "a") return ok();
    return write_file(root(), "copy", HAUL_TRY(read_file(root(), "a")));
  }));
  EXPECT_EQ(read_file(root(), "copy").value(), "x");
}

TEST_P(DirectoryConformance, ListingWhatIsNoDirectoryFails) {
  ASSERT_TRUE(write_file(root(), "f", ""));
  ASSERT_TRUE(root().make_directory("d", 0700));
  ASSERT_TRUE(root().make_link("d", "l"));
  EXPECT_EQ(code_of(root().list("no")), ErrorCode::not_found);
  EXPECT_EQ(code_of(root().list("f")), ErrorCode::not_found);
  EXPECT_EQ(code_of(root().list("l")), ErrorCode::usage);
}

TEST_P(DirectoryConformance, ReadLinkGivesTheTarget) {
  ASSERT_TRUE(root().make_link("/some/where", "l"));
  EXPECT_EQ(root().read_link("l").value(), "/some/where");
}

TEST_P(DirectoryConformance, ReadingWhatIsNoLinkFails) {
  ASSERT_TRUE(write_file(root(), "f", ""));
  EXPECT_EQ(code_of(root().read_link("f")), ErrorCode::usage);
  EXPECT_EQ(code_of(root().read_link("no")), ErrorCode::not_found);
}

TEST_P(DirectoryConformance, MadeDirectoryHasItsModeUnderTightUmask) {
  const Umask umask(0077);
  ASSERT_TRUE(root().make_directory("d", 0755));
  EXPECT_EQ(root().info("d")->mode, 0755U);
}

TEST_P(DirectoryConformance, MakingOverTakenNameIsAlreadyExists) {
  ASSERT_TRUE(write_file(root(), "f", ""));
  ASSERT_TRUE(root().make_link("no", "l"));
  for (const char* taken : {"f", "l"}) {
    EXPECT_EQ(code_of(root().make_directory(taken, 0700)), ErrorCode::already_exists);
    EXPECT_EQ(code_of(root().make_link("x", taken)), ErrorCode::already_exists);
  }
  EXPECT_EQ(code_of(root().make_directory("no/d", 0700)), ErrorCode::not_found);
  EXPECT_EQ(code_of(root().make_link("x", "no/l")), ErrorCode::not_found);
}

TEST_P(DirectoryConformance, SetModeReachesFilesDirectoriesAndTheRoot) {
  ASSERT_TRUE(write_file(root(), "f", ""));
  ASSERT_TRUE(root().make_directory("d", 0700));
  ASSERT_TRUE(root().set_mode("f", 0640));
  ASSERT_TRUE(root().set_mode("d", 0750));
  ASSERT_TRUE(root().set_mode("", 0710));
  EXPECT_EQ(root().info("f")->mode, 0640U);
  EXPECT_EQ(root().info("d")->mode, 0750U);
  EXPECT_EQ(root().info("")->mode, 0710U);
  EXPECT_EQ(code_of(root().set_mode("no", 0600)), ErrorCode::not_found);
}

TEST_P(DirectoryConformance, SetModeOfSymlinkIsUsageAndLeavesItsTarget) {
  ASSERT_TRUE(write_file(root(), "f", ""));
  ASSERT_TRUE(root().make_link("f", "l"));
  EXPECT_EQ(code_of(root().set_mode("l", 0644)), ErrorCode::usage);
  EXPECT_EQ(root().info("f")->mode, 0600U);
}

TEST_P(DirectoryConformance, OpenFileSetsItsModeAndOwner) {
  const auto file = root().create_file("f", 0600, Caching::buffered).take();
  ASSERT_TRUE(file->set_mode(0640));
  EXPECT_EQ(file->info()->mode, 0640U);
  ASSERT_TRUE(file->set_owner(::geteuid(), ::getegid()));
  EXPECT_EQ(root().info("f")->user, ::geteuid());
  EXPECT_EQ(root().info("f")->group, ::getegid());
}

TEST_P(DirectoryConformance, SetOwnerOfSymlinkIsItsOwn) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  ASSERT_TRUE(write_file(root(), "f", ""));
  ASSERT_TRUE(root().make_link("f", "l"));
  ASSERT_TRUE(root().set_owner("l", 1234, 2345));
  EXPECT_EQ(root().info("l")->user, 1234U);
  EXPECT_EQ(root().info("l")->group, 2345U);
  EXPECT_EQ(root().info("f")->user, 0U);
  ASSERT_TRUE(root().set_owner("", 1234, 2345));
  EXPECT_EQ(root().info("")->user, 1234U);
  EXPECT_EQ(code_of(root().set_owner("no", 1, 1)), ErrorCode::not_found);
}

TEST_P(DirectoryConformance, RemoveFileTakesFilesAndSymlinksOnly) {
  ASSERT_TRUE(write_file(root(), "f", ""));
  ASSERT_TRUE(root().make_link("f", "l"));
  ASSERT_TRUE(root().make_directory("d", 0700));
  ASSERT_TRUE(root().remove_file("l"));
  EXPECT_TRUE(root().info("f"));
  ASSERT_TRUE(root().remove_file("f"));
  EXPECT_EQ(code_of(root().remove_file("f")), ErrorCode::not_found);
  EXPECT_EQ(code_of(root().remove_file("d")), ErrorCode::usage);
  EXPECT_THAT(names_in(root(), "").value(), ElementsAre("d"));
}

TEST_P(DirectoryConformance, RemoveDirectoryTakesEmptyDirectoriesOnly) {
  ASSERT_TRUE(root().make_directory("d", 0700));
  ASSERT_TRUE(write_file(root(), "d/f", ""));
  EXPECT_EQ(code_of(root().remove_directory("d")), ErrorCode::busy);
  EXPECT_EQ(code_of(root().remove_directory("d/f")), ErrorCode::not_found);
  EXPECT_EQ(code_of(root().remove_directory("no")), ErrorCode::not_found);
  ASSERT_TRUE(root().remove_file("d/f"));
  ASSERT_TRUE(root().remove_directory("d"));
  EXPECT_THAT(names_in(root(), "").value(), IsEmpty());
}

TEST_P(DirectoryConformance, NothingIsCreatedInRemovedDirectory) {
  ASSERT_TRUE(root().make_directory("d", 0700));
  const auto removed = root().open_directory("d").take();
  ASSERT_TRUE(root().remove_directory("d"));
  EXPECT_EQ(code_of(removed->create_file("f", 0600, Caching::buffered)), ErrorCode::not_found);
  EXPECT_EQ(code_of(removed->make_directory("e", 0700)), ErrorCode::not_found);
}

TEST_P(DirectoryConformance, SyncTakesDirectoriesOnly) {
  ASSERT_TRUE(root().make_directory("d", 0700));
  ASSERT_TRUE(write_file(root(), "d/f", ""));
  EXPECT_TRUE(root().sync_directory(""));
  EXPECT_TRUE(root().sync_directory("d"));
  EXPECT_EQ(code_of(root().sync_directory("no")), ErrorCode::not_found);
  EXPECT_EQ(code_of(root().sync_directory("d/f")), ErrorCode::not_found);
}

TEST_P(DirectoryConformance, FileSystemIsSyncedOrSaidToBeUnsupported) {
  ASSERT_TRUE(write_file(root(), "f", "hello"));
  const Status synced = root().sync_file_system();
  const std::optional<ErrorCode> expected =
      root().can_sync_file_system() ? std::nullopt : std::optional(ErrorCode::unsupported);
  EXPECT_EQ(code_of(synced), expected);
}

TEST_P(DirectoryConformance, OpenedDirectoryIsRootOfItsOwn) {
  ASSERT_TRUE(root().make_directory("d", 0700));
  const auto beneath = root().open_directory("d").take();
  ASSERT_TRUE(write_file(*beneath, "f", "hello"));
  EXPECT_EQ(read_file(root(), "d/f").value(), "hello");
  EXPECT_EQ(beneath->name(), root().name() + "/d");
  EXPECT_EQ(code_of(beneath->open_file("../f", Caching::buffered)), ErrorCode::usage);
  const auto published = write_temporary(*beneath, "x").take();
  ASSERT_TRUE(beneath->publish(*published, "g"));
  EXPECT_EQ(read_file(root(), "d/g").value(), "x");
  EXPECT_EQ(code_of(root().open_directory("d/f")), ErrorCode::not_found);
}

// Every function that takes a path, called with this one.
std::vector<std::optional<ErrorCode>> codes_with(Directory& root, std::string_view path) {
  const auto temporary = write_temporary(root, "").take();
  return {
      code_of(root.open_file(path, Caching::buffered)),
      code_of(root.open_for_update(path, Caching::buffered)),
      code_of(root.create_file(path, 0600, Caching::buffered)),
      code_of(root.create_temporary(path, Caching::buffered)),
      code_of(root.publish(*temporary, path)),
      code_of(root.publish_over(*temporary, path)),
      code_of(root.info(path)),
      code_of(root.list(path)),
      code_of(root.read_link(path)),
      code_of(root.make_directory(path, 0700)),
      code_of(root.make_link("x", path)),
      code_of(root.set_mode(path, 0700)),
      code_of(root.set_owner(path, ::geteuid(), ::getegid())),
      code_of(root.remove_file(path)),
      code_of(root.remove_directory(path)),
      code_of(root.sync_directory(path)),
      code_of(root.open_directory(path)),
  };
}

TEST_P(DirectoryConformance, PathThatIsNotPlainIsUsageEverywhere) {
  ASSERT_TRUE(root().make_directory("d", 0700));
  const std::string with_nul("d\0x", 3);
  for (const std::string& path :
       {std::string("/etc"), std::string(".."), std::string("."), std::string("d/"),
        std::string("d//x"), std::string("d/../x"), std::string("d/./x"), std::string("d/.."),
        std::string("/"), with_nul}) {
    EXPECT_THAT(codes_with(root(), path), ::testing::Each(ErrorCode::usage)) << path;
  }
}

TEST_P(DirectoryConformance, SymlinkOnTheWayIsUsageEverywhere) {
  ASSERT_TRUE(root().make_directory("d", 0700));
  ASSERT_TRUE(write_file(root(), "d/f", "hello"));
  ASSERT_TRUE(root().make_link("d", "l"));
  EXPECT_THAT(codes_with(root(), "l/f"), ::testing::Each(ErrorCode::usage));
  EXPECT_THAT(codes_with(root(), "l/new"), ::testing::Each(ErrorCode::usage));
  EXPECT_THAT(names_in(root(), "d").value(), ElementsAre("f"));
  EXPECT_EQ(read_file(root(), "d/f").value(), "hello");
}

TEST_P(DirectoryConformance, NameThatIsTooLongFailsWithoutBeingCut) {
  const std::string long_name(300, 'x');
  EXPECT_FALSE(root().info(long_name));
}

TEST_P(DirectoryConformance, MessagesNameThePath) {
  const auto names_it = ::testing::HasSubstr(root().name() + "/some/file");
  EXPECT_THAT(root().open_file("some/file", Caching::buffered).error().message(), names_it);
  EXPECT_THAT(root().create_file("some/file", 0600, Caching::buffered).error().message(), names_it);
  EXPECT_THAT(root().info("some/file").error().message(), names_it);
  EXPECT_THAT(root().sync_directory("some/file").error().message(), names_it);
}

INSTANTIATE_TEST_SUITE_P(Kinds, DirectoryConformance, ::testing::ValuesIn(directory_kinds()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace haul::conformance
