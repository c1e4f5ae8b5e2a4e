// What is known of file systems by their kind.
//
// Threads:  functions over values.
#pragma once

#include <cstdint>
#include <string_view>

namespace haul::io::internal {

// Whether syncfs(2) of such a file system (statfs.f_type) on such a kernel (utsname.release)
// reports every write that was lost: from Linux 5.8 on, where the file system writes to its device
// itself.
bool reports_lost_writes(std::uint64_t file_system_type, std::string_view kernel_release);

}  // namespace haul::io::internal
