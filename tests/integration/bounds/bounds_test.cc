// Backup and restore of many files and of a large sparse relation, in bounded memory.

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>

#include <gtest/gtest.h>

#include "base/format.h"
#include "tests/integration/bounds/memory_bound.h"
#include "tests/integration/main_job/program.h"
#include "tests/support/fake_cluster.h"
#include "tests/support/pg_server.h"

namespace haul::integration {
namespace {

namespace fs = std::filesystem;
using support::PgServer;

constexpr std::uint64_t kMemoryBytes = 512ULL << 20;
constexpr std::uint64_t kSegmentBytes = 1ULL << 30;
constexpr std::uint32_t kSegmentBlocks = kSegmentBytes / support::kFakePageSize;
// Far above what initdb uses.
constexpr std::uint32_t kFirstSmallFile = 2'000'000;
constexpr std::uint32_t kSparseRelation = 1'000'000;
constexpr std::uint64_t kLsn = 0x1000000;

struct Size {
  std::uint32_t small_files = 20'000;
  std::uint32_t sparse_segments = 8;
};

Size size_of_run() {
  return std::getenv("PGHAUL_TEST_FULL") != nullptr ? Size{300'000, 200} : Size{};
}

void give_to_server(const std::string& path) {
  const passwd* server = ::geteuid() == 0 ? ::getpwnam("postgres") : nullptr;
  if (server != nullptr) {
    ASSERT_EQ(::chown(path.c_str(), server->pw_uid, server->pw_gid), 0) << path;
  }
}

void write_pages(const std::string& path, std::uint64_t offset, const std::string& pages) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0) << path;
  ASSERT_EQ(::pwrite(fd, pages.data(), pages.size(), static_cast<off_t>(offset)),
            static_cast<ssize_t>(pages.size()));
  ASSERT_EQ(::close(fd), 0);
}

// Relations of no, one and two pages, and a relation of many segments with a page here and there.
void fill(const std::string& directory, const Size& size) {
  for (std::uint32_t i = 0; i < size.small_files; ++i) {
    std::string pages;
    for (std::uint32_t block = 0; block < i % 3; ++block)
      pages += support::fake_page(block, kLsn, i);
    const std::string path = format("{}/{}", directory, kFirstSmallFile + i);
    ASSERT_NO_FATAL_FAILURE(write_pages(path, 0, pages));
    ASSERT_NO_FATAL_FAILURE(give_to_server(path));
  }
  for (std::uint32_t i = 0; i < size.sparse_segments; ++i) {
    const std::string path = i == 0 ? format("{}/{}", directory, kSparseRelation)
                                    : format("{}/{}.{}", directory, kSparseRelation, i);
    for (const std::uint32_t block : {0U, kSegmentBlocks / 2 + i, kSegmentBlocks - 1}) {
      ASSERT_NO_FATAL_FAILURE(write_pages(path, std::uint64_t{block} * support::kFakePageSize,
                                          support::fake_page(i * kSegmentBlocks + block, kLsn, i)));
    }
    ASSERT_NO_FATAL_FAILURE(give_to_server(path));
  }
}

struct Bounded {
  Outcome outcome;
  std::uint64_t peak_bytes = 0;
  bool enforced = false;
};

// Runs pghaul in kMemoryBytes.
Bounded run_bounded(const Workshop& workshop, const std::string& arguments) {
  Bounded run;
  const pid_t process = workshop.start_pghaul(arguments);
  const MemoryBound bound(process, kMemoryBytes);
  run.outcome = workshop.wait_for(process);
  run.peak_bytes = bound.peak_bytes();
  run.enforced = bound.enforced();
  return run;
}

void expect_bounded(const std::string& what, const Bounded& run) {
  EXPECT_EQ(run.outcome.status, 0) << what << ": " << run.outcome.out << run.outcome.err;
  EXPECT_LT(run.peak_bytes, kMemoryBytes) << what;
  EXPECT_GT(run.peak_bytes, 0U) << what;
  std::cout << format("{}: at most {} MiB of its own, {}\n", what, run.peak_bytes >> 20,
                      run.enforced ? "in a memory cgroup of 512 MiB" : "no memory cgroup")
            << std::flush;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string page_at(const std::string& path, std::uint32_t block) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(std::uint64_t{block} * support::kFakePageSize));
  std::string page(support::kFakePageSize, '\0');
  file.read(page.data(), static_cast<std::streamsize>(page.size()));
  return file ? page : "";
}

// Names with their sizes.
std::map<std::string, std::uint64_t> files_in(const std::string& directory) {
  std::map<std::string, std::uint64_t> files;
  for (const auto& entry : fs::directory_iterator(directory))
    files.emplace(entry.path().filename(), entry.file_size());
  return files;
}

std::uint64_t allocated_bytes(const std::string& path) {
  struct stat status{};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

void expect_same_content(const std::string& source, const std::string& target) {
  const auto files = files_in(source);
  ASSERT_EQ(files_in(target), files);
  for (const auto& [name, size_bytes] : files) {
    const std::string from = source + "/" + name;
    const std::string to = target + "/" + name;
    if (size_bytes < kSegmentBytes) {
      ASSERT_TRUE(content_of(from) == content_of(to)) << name;
      continue;
    }
    EXPECT_LT(allocated_bytes(to), 8ULL << 20) << name;
    const auto segment =
        static_cast<std::uint32_t>(std::atoi(name.substr(name.find('.') + 1).c_str()));
    const std::uint32_t middle =
        kSegmentBlocks / 2 + (name.find('.') == std::string::npos ? 0 : segment);
    for (const std::uint32_t block : {0U, 1U, middle, middle + 1, kSegmentBlocks - 1}) {
      EXPECT_TRUE(page_at(from, block) == page_at(to, block)) << name << " " << block;
    }
  }
}

// A child that waits for a word and then takes this much memory.
pid_t start_consumer(std::size_t size_bytes, int word) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  char byte = 0;
  if (::read(word, &byte, 1) != 1) ::_exit(1);
  auto* memory = static_cast<volatile char*>(std::malloc(size_bytes));
  for (std::size_t i = 0; memory != nullptr && i < size_bytes; i += 4096) memory[i] = 1;
  ::_exit(0);
}

TEST(Bounds, ProcessThatNeedsMoreIsKilled) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = start_consumer(2 * kMemoryBytes, ends[0]);
  const MemoryBound bound(child, kMemoryBytes);
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ::close(ends[0]);
  ::close(ends[1]);
  if (!bound.enforced()) GTEST_SKIP() << "no memory cgroup can be had here";
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(Bounds, ManyFilesAndALargeSparseRelationNeedLittleMemory) {
  const Size size = size_of_run();
  const auto created = PgServer::create();
  ASSERT_TRUE(created) << created.error().message();
  const std::string data = (*created)->data_directory();
  ASSERT_NO_FATAL_FAILURE(fill(data + "/base/1", size));
  const Workshop workshop;
  const std::string repo = workshop.path("repo");
  ASSERT_EQ(workshop.pghaul("init --repo " + repo).status, 0);

  const Bounded backup =
      run_bounded(workshop, format("backup --offline --repo {} -D {} --json", repo, data));
  expect_bounded("backup", backup);
  ASSERT_EQ(backup.outcome.status, 0);
  EXPECT_GE(json_of(backup.outcome).uint_at("files").value_or(0), size.small_files);

  const Bounded again =
      run_bounded(workshop, format("backup --offline --repo {} -D {}", repo, data));
  expect_bounded("second backup", again);

  const std::string target = workshop.path("target");
  expect_bounded("restore", run_bounded(workshop, format("restore --repo {} -D {}", repo, target)));
  expect_same_content(data + "/base/1", target + "/base/1");
}

}  // namespace
}  // namespace haul::integration
