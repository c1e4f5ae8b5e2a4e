#include "io/internal/file_system_kind.h"

#include <linux/magic.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <compare>
#include <utility>

namespace haul::io::internal {
namespace {

constexpr std::array<std::uint64_t, 5> kReporting = {
    EXT4_SUPER_MAGIC,  // ext2 and ext3 have the same
    XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, TMPFS_MAGIC};

// "6.18.44-x" -> 6, 18; zeros where it does not begin so.
std::pair<int, int> version_of(std::string_view release) {
  std::pair<int, int> version;
  const char* const end = release.data() + release.size();
  const auto [dot, major_error] = std::from_chars(release.data(), end, version.first);
  if (major_error != std::errc{} || dot == end || *dot != '.') return {};
  const auto [rest, minor_error] = std::from_chars(dot + 1, end, version.second);
  if (minor_error != std::errc{}) return {};
  return version;
}

}  // namespace

bool reports_lost_writes(std::uint64_t file_system_type, std::string_view kernel_release) {
  if (version_of(kernel_release) < std::pair(5, 8)) return false;
  return std::ranges::find(kReporting, file_system_type) != kReporting.end();
}

}  // namespace haul::io::internal
