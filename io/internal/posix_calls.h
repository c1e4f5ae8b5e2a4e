// The few system calls of io/ that need more than one line: confined opening, interruption, errno.
//
// Errors:   calls return what the kernel returned and leave errno; path_error() turns it into an
// Error.
#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/file.h"

namespace haul::io::internal {

// Repeats a call that a signal interrupted. Never used for fsync and close, whose failures are
// final.
template <typename Call>
auto uninterrupted(Call call) {
  for (;;) {
    const auto answer = call();
    if (answer >= 0 || errno != EINTR) return answer;
  }
}

// openat2 beneath `root` without any symbolic link on the way; O_CLOEXEC is added.
int open_beneath(int root, const std::string& path, std::uint64_t flags, std::uint32_t mode);

// "cannot <verb> <name>: <reason>". A symbolic link in the way, a kind of file that the call cannot
// work on and a name that is too long are `usage`; a directory that is not empty is `busy`; a
// missing system call is `unsupported`.
Error path_error(int error_number, std::string_view verb, const std::string& name);

// Whether the page cache has all of a part of a file; false where the kernel does not say.
bool is_in_page_cache(int fd, std::uint64_t offset, std::uint64_t size_bytes);

FileInfo file_info(const struct stat& status);

}  // namespace haul::io::internal
