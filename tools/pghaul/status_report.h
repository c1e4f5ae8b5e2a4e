// What status prints: for people, for a monitoring check, for Prometheus. And which thresholds are
// passed.
//
// Threads:  functions over values.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/verify/status.h"

namespace haul::cli {

struct StatusThresholds {
  std::optional<std::chrono::nanoseconds> age_max;     // since the newest backup ended
  std::optional<std::chrono::nanoseconds> rpo_max;     // of what would be lost now
  std::optional<std::chrono::nanoseconds> unread_max;  // since some byte was read
};

struct ClusterStatus {
  std::string cluster;
  verify::StatusReport report;
  StatusThresholds thresholds;
  std::vector<std::string> breaches;  // one line per threshold that is passed

  bool good() const { return breaches.empty() && report.problems.empty(); }
};

std::vector<std::string> find_breaches(const verify::StatusReport& report,
                                       const StatusThresholds& thresholds);

// Lines for a person.
std::vector<std::string> status_lines(const ClusterStatus& status);
// One line with performance data, as Nagios has its plugins print it.
std::string nagios_line(const ClusterStatus& status);
// A textfile of Prometheus' node exporter.
std::string prometheus_text(const ClusterStatus& status);
Json status_json(const ClusterStatus& status);

}  // namespace haul::cli
