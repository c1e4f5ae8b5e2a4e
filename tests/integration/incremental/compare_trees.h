// Compares a restored data directory with another one, page by page.
#pragma once

#include <string>
#include <vector>

namespace haul::integration {

// Both directories are absolute; tablespaces are followed. One line per difference, at most 20.
//
// What differs by nature is left out: the control file, WAL, backup_label and manifest, files that
// a restore adds or leaves out (temporary and unlogged relations, postmaster.pid and .opts,
// pg_internal.init, the log), the content of directories that a server empties when it starts,
// postgresql.auto.conf and what restore comments out in postgresql.conf, statistics.
std::vector<std::string> compare_trees(const std::string& expected, const std::string& restored);

}  // namespace haul::integration
