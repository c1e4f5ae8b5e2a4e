// The report of status --html: one page that needs nothing from anywhere else.
//
// Scripts there are none; pictures are SVG in the page, colours follow what the reader's system
// prefers. What comes from the server is escaped.
//
// Threads:  a function over values.
#pragma once

#include <string>

#include "tools/pghaul/status_report.h"

namespace haul::cli {

// A whole HTML document.
std::string status_html(const ClusterStatus& status);

}  // namespace haul::cli
