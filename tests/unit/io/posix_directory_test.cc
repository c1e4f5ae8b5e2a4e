// What only a real file system can do to a Directory: links out of the tree, FIFOs, rights. What
// every Directory does is in tests/conformance/directory_test.cc.

#include "io/posix_directory.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/internal/posix_directory.h"
#include "tests/support/file_content.h"
#include "tests/support/temporary_directory.h"

namespace haul::io {
namespace {

using support::code_of;
using support::names_in;
using support::read_file;
using support::write_file;
using support::write_temporary;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class PosixDirectoryTest : public ::testing::Test {
 protected:
  PosixDirectoryTest() : root_(open_posix_directory(top_.path()).take()) {
    std::ofstream(outside_.path_of("secret")) << "secret";
  }

  Directory& root() { return *root_; }
  std::string path_of(const std::string& name) const { return top_.path_of(name); }
  std::string outside(const std::string& name) const { return outside_.path_of(name); }
  std::string secret() const {
    std::ifstream in(outside("secret"));
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  support::TemporaryDirectory top_;
  support::TemporaryDirectory outside_;
  std::unique_ptr<Directory> root_;
};

TEST_F(PosixDirectoryTest, RootMustExistAndBeDirectory) {
  EXPECT_EQ(code_of(open_posix_directory(path_of("no"))), ErrorCode::not_found);
  ASSERT_TRUE(write_file(root(), "f", ""));
  EXPECT_EQ(code_of(open_posix_directory(path_of("f"))), ErrorCode::not_found);
}

TEST_F(PosixDirectoryTest, RootItselfMayBeReachedThroughSymlink) {
  ASSERT_TRUE(root().make_directory("d", 0700));
  ASSERT_TRUE(root().make_link("d", "l"));
  const auto opened = open_posix_directory(path_of("l")).take();
  ASSERT_TRUE(write_file(*opened, "f", ""));
  EXPECT_TRUE(root().info("d/f"));
  EXPECT_EQ(opened->name(), path_of("l"));
}

TEST_F(PosixDirectoryTest, SymlinkOutOfTheTreeIsNotFollowed) {
  ASSERT_EQ(::symlink(outside("").c_str(), path_of("out").c_str()), 0);
  ASSERT_EQ(::symlink(outside("secret").c_str(), path_of("file").c_str()), 0);
  EXPECT_EQ(code_of(root().open_file("out/secret", Caching::buffered)), ErrorCode::usage);
  EXPECT_EQ(code_of(root().open_file("file", Caching::buffered)), ErrorCode::usage);
  EXPECT_EQ(code_of(root().open_for_update("file", Caching::buffered)), ErrorCode::usage);
  EXPECT_EQ(code_of(root().create_file("out/new", 0600, Caching::buffered)), ErrorCode::usage);
  EXPECT_EQ(code_of(root().remove_file("out/secret")), ErrorCode::usage);
  EXPECT_EQ(code_of(root().make_directory("out/new", 0700)), ErrorCode::usage);
  EXPECT_EQ(code_of(root().set_mode("file", 0777)), ErrorCode::usage);
  EXPECT_EQ(code_of(root().list("out")), ErrorCode::usage);
  EXPECT_EQ(code_of(root().open_directory("out")), ErrorCode::usage);
  EXPECT_FALSE(std::filesystem::exists(outside("new")));
  EXPECT_EQ(secret(), "secret");
}

TEST_F(PosixDirectoryTest, PublishingOntoSymlinkOutOfTheTreeLeavesItsTarget) {
  ASSERT_EQ(::symlink(outside("secret").c_str(), path_of("file").c_str()), 0);
  ASSERT_EQ(::symlink(outside("new").c_str(), path_of("dangling").c_str()), 0);
  const auto file = write_temporary(root(), "ours").take();
  EXPECT_EQ(code_of(root().publish(*file, "file")), ErrorCode::already_exists);
  EXPECT_EQ(code_of(root().publish(*file, "dangling")), ErrorCode::already_exists);
  ASSERT_TRUE(root().publish_over(*file, "file"));
  EXPECT_EQ(secret(), "secret");
  EXPECT_FALSE(std::filesystem::exists(outside("new")));
  EXPECT_EQ(read_file(root(), "file").value(), "ours");
}

TEST_F(PosixDirectoryTest, SymlinkInPlaceOfTheTemporaryDirectoryIsNotFollowed) {
  ASSERT_EQ(::symlink(outside("").c_str(), path_of("tmp").c_str()), 0);
  EXPECT_EQ(code_of(root().create_temporary("tmp", Caching::buffered)), ErrorCode::usage);
  internal::PosixFeatures features;
  features.nameless_files = false;
  UniqueFd fd(::open(path_of("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto named = internal::make_posix_directory(std::move(fd), "top", features);
  EXPECT_EQ(code_of(named->create_temporary("tmp", Caching::buffered)), ErrorCode::usage);
  EXPECT_EQ(code_of(named->create_temporary("../x", Caching::buffered)), ErrorCode::usage);
}

TEST_F(PosixDirectoryTest, SymlinkPutWhereTheTemporaryDirectoryWasIsNotFollowed) {
  const auto file = write_temporary(root(), "ours").take();
  ASSERT_TRUE(root().remove_directory("tmp"));
  ASSERT_EQ(::symlink(outside("").c_str(), path_of("tmp").c_str()), 0);
  EXPECT_EQ(code_of(root().publish_over(*file, "a")), ErrorCode::usage);
  EXPECT_FALSE(root().info("a"));
}

TEST_F(PosixDirectoryTest, MagicLinkIsNotFollowed) {
  const auto process = open_posix_directory("/proc/self").take();
  EXPECT_EQ(code_of(process->open_file("exe", Caching::buffered)), ErrorCode::usage);
  EXPECT_EQ(code_of(process->open_file("root/etc/passwd", Caching::buffered)), ErrorCode::usage);
  EXPECT_EQ(code_of(process->open_directory("cwd")), ErrorCode::usage);
}

TEST_F(PosixDirectoryTest, FifoDoesNotHang) {
  ASSERT_EQ(::mkfifo(path_of("fifo").c_str(), 0600), 0);
  EXPECT_EQ(code_of(root().open_file("fifo", Caching::buffered)), ErrorCode::usage);
  EXPECT_EQ(code_of(root().open_for_update("fifo", Caching::buffered)), ErrorCode::usage);
  EXPECT_EQ(root().info("fifo")->kind, FileKind::other);
  EXPECT_EQ(root().list("").value().front().kind, FileKind::other);
}

TEST_F(PosixDirectoryTest, SocketIsNoFile) {
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_of("socket").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(code_of(root().open_file("socket", Caching::buffered)), ErrorCode::usage);
}

TEST_F(PosixDirectoryTest, OpenedFilesAreNotInheritedByPrograms) {
  const auto file = root().create_file("f", 0600, Caching::buffered).take();
  EXPECT_NE(::fcntl(*file->descriptor(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(PosixDirectoryTest, NamelessTemporaryIsInvisible) {
  const auto file = write_temporary(root(), "x").take();
  EXPECT_THAT(names_in(root(), "tmp").value(), IsEmpty());
}

TEST_F(PosixDirectoryTest, NamedTemporaryHasTheNameThatCleaningLooksFor) {
  internal::PosixFeatures features;
  features.nameless_files = false;
  UniqueFd fd(::open(path_of("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto named = internal::make_posix_directory(std::move(fd), path_of(""), features);
  const auto file = write_temporary(*named, "x").take();
  EXPECT_THAT(names_in(root(), "tmp").value(),
              ElementsAre(::testing::MatchesRegex("[0-9a-f]{32}\\.tmp")));
}

TEST_F(PosixDirectoryTest, DirectoryThatCannotBeSyncedIsReported) {
  const auto process = open_posix_directory("/proc/self").take();
  EXPECT_EQ(code_of(process->sync_directory("")), ErrorCode::io);
  EXPECT_EQ(code_of(process->sync_directory("task")), ErrorCode::io);
}

TEST_F(PosixDirectoryTest, FileSystemWithoutNamelessFilesGetsNamedOnes) {
  // /proc has no O_TMPFILE and takes no other file either, which shows in the message.
  const auto process = open_posix_directory("/proc/self").take();
  const auto file = process->create_temporary("", Caching::buffered);
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().code(), ErrorCode::usage);
}

// Runs `check` in a child that is nobody; its code comes back.
template <typename Check>
int as_nobody(Check check) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0) {
      ::_exit(100);
    }
    const std::optional<ErrorCode> code = check();
    ::_exit(code ? static_cast<int>(*code) : 101);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST_F(PosixDirectoryTest, MissingRightsArePermission) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become nobody";
  ASSERT_TRUE(write_file(root(), "f", ""));
  ASSERT_TRUE(root().make_directory("d", 0700));
  ASSERT_TRUE(root().set_mode("", 0755));
  const auto denied = static_cast<int>(ErrorCode::permission);
  const auto buffered = Caching::buffered;
  EXPECT_EQ(as_nobody([&] { return code_of(root().open_file("f", buffered)); }), denied);
  EXPECT_EQ(as_nobody([&] { return code_of(root().create_file("g", 0600, buffered)); }), denied);
  EXPECT_EQ(as_nobody([&] { return code_of(root().create_temporary("", buffered)); }), denied);
  EXPECT_EQ(as_nobody([&] { return code_of(root().list("d")); }), denied);
  EXPECT_EQ(as_nobody([&] { return code_of(root().make_directory("e", 0700)); }), denied);
  EXPECT_EQ(as_nobody([&] { return code_of(root().set_mode("f", 0777)); }), denied);
  EXPECT_EQ(as_nobody([&] { return code_of(root().set_mode("", 0777)); }), denied);
  EXPECT_EQ(as_nobody([&] { return code_of(root().set_owner("f", 0, 0)); }), denied);
  EXPECT_EQ(as_nobody([&] { return code_of(root().set_owner("", 0, 0)); }), denied);
  EXPECT_EQ(as_nobody([&] { return code_of(root().remove_file("f")); }), denied);
  EXPECT_EQ(as_nobody([&] { return code_of(root().sync_directory("d")); }), denied);
  EXPECT_EQ(as_nobody([&] { return code_of(open_posix_directory(path_of("d"))); }), denied);
}

TEST_F(PosixDirectoryTest, FilesHandedOverByAnotherDirectoryAreBug) {
  const auto named = root().create_file("f", 0600, Caching::buffered).take();
  EXPECT_DEATH(std::ignore = root().publish(*named, "g"), "assertion failed");
  const auto file = write_temporary(root(), "").take();
  ASSERT_TRUE(root().publish(*file, "a"));
  EXPECT_DEATH(std::ignore = root().publish_over(*file, "b"), "assertion failed");
}

}  // namespace
}  // namespace haul::io
