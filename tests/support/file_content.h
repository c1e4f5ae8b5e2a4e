// Short words for what io tests do all the time: whole files in, whole files out, codes of
// failures.
//
// Errors:   whatever fails here is a failure of the test that the caller asserts on, or a bug.
#pragma once

#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/directory.h"

namespace haul {

// How GoogleTest shows a code.
inline void PrintTo(ErrorCode code, std::ostream* out) { *out << to_string(code); }

}  // namespace haul

namespace haul::support {

// Nothing for a success.
template <typename T>
std::optional<ErrorCode> code_of(const Result<T>& result) {
  if (result) return std::nullopt;
  return result.error().code();
}

// `size_bytes` bytes that repeat nowhere soon, different for each seed.
std::string pattern(std::size_t size_bytes, std::uint64_t seed);

// Creates the file with mode 0600, writes it and closes it; nothing is synced.
Status write_file(io::Directory& directory, std::string_view path, std::string_view content);
Result<std::string> read_file(io::Directory& directory, std::string_view path);
// A temporary file of "tmp", which is made if need be, with this content; nothing is synced.
Result<std::unique_ptr<io::File>> write_temporary(io::Directory& directory,
                                                  std::string_view content);
Result<std::vector<std::string>> names_in(io::Directory& directory, std::string_view path);

}  // namespace haul::support
