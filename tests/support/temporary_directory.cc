#include "tests/support/temporary_directory.h"

#include <stdlib.h>

#include <filesystem>
#include <system_error>

#include "base/assert.h"

namespace haul::support {

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = std::filesystem::temp_directory_path().string() + "/haul-test-XXXXXX";
  HAUL_ASSERT(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace haul::support
