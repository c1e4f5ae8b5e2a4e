#include "bench/scratch.h"

#include <errno.h>
#include <stdlib.h>

#include <charconv>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/format.h"
#include "base/random.h"
#include "io/posix_directory.h"

namespace haul::bench {

namespace {

Result<std::uint64_t> from_environment(const char* variable, std::uint64_t otherwise) {
  const char* value = std::getenv(variable);
  if (value == nullptr) return otherwise;
  const std::string_view text = value;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
  if (error != std::errc() || end != text.end() || number == 0) {
    return Error(ErrorCode::usage, format("{}: \"{}\" is no positive number", variable, text));
  }
  return number;
}

}  // namespace

Result<std::uint64_t> file_size_bytes() {
  return HAUL_TRY(from_environment("PGHAUL_BENCH_FILE_MIB", 1024)) << 20;
}

Result<std::uint64_t> index_entries() {
  return from_environment("PGHAUL_BENCH_ENTRIES", 10'000'000);
}

Result<ScratchDirectory> ScratchDirectory::open() {
  const char* parent = std::getenv("PGHAUL_BENCH_DIR");
  std::string pattern = format("{}/pghaul-bench-XXXXXX", parent == nullptr ? "/var/tmp" : parent);
  if (::mkdtemp(pattern.data()) == nullptr) {
    return error_from_errno(errno, format("cannot make a directory {}", pattern));
  }
  return ScratchDirectory(std::move(pattern));
}

ScratchDirectory::ScratchDirectory(ScratchDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

ScratchDirectory::~ScratchDirectory() {
  if (path_.empty()) return;
  std::error_code ignored;  // what cannot be removed is left for the user to see
  std::filesystem::remove_all(path_, ignored);
}

Result<std::unique_ptr<io::Directory>> ScratchDirectory::directory() const {
  return io::open_posix_directory(path_);
}

void fill_incompressible(MutableByteSpan into, std::uint64_t seed) {
  SeededRandom random(seed);
  while (!into.empty()) {
    const std::uint64_t word = random.next();
    const std::size_t size = std::min(into.size(), sizeof word);
    std::memcpy(into.data(), &word, size);
    into = into.subspan(size);
  }
}

}  // namespace haul::bench
