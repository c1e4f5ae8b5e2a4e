#include "tools/pghaul/status_report.h"

#include <algorithm>

#include "base/format.h"
#include "tools/pghaul/json_output.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {

namespace {

using verify::elapsed;
using verify::StatusBackup;
using verify::StatusReport;

double in_seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

std::optional<std::chrono::nanoseconds> age_of_backup(const StatusReport& report) {
  const StatusBackup* const newest = report.newest_backup();
  if (newest == nullptr) return std::nullopt;
  return elapsed(newest->snapshot.finished, report.now);
}

std::optional<std::chrono::nanoseconds> rpo_of(const StatusReport& report) {
  return report.exposed ? report.exposed->time : std::nullopt;
}

std::optional<std::chrono::nanoseconds> unread_for(const StatusReport& report) {
  const auto& unread = report.coverage.unread_since;
  if (!unread) return std::nullopt;
  return elapsed(*unread, report.now);
}

std::string exposed_line(const StatusReport& report) {
  const verify::ExposedWal& exposed = *report.exposed;
  std::string text = format("recoverable to      {}", to_string(exposed.durable));
  if (exposed.last_commit) text += format(", {}", to_iso8601(*exposed.last_commit));
  if (exposed.bytes == std::uint64_t{0}) return text + "; nothing would be lost";
  if (exposed.bytes) text += format("; {} of WAL would be lost", print_size(*exposed.bytes));
  if (exposed.time) {
    text += format("{} what was committed in the last {}",
                   exposed.bytes ? "," : "; would be lost:", print_age(*exposed.time));
  }
  return text;
}

std::string coverage_line(const verify::Coverage& coverage, UtcTime now) {
  if (!coverage.unread_since) return "verified            there is nothing to verify";
  std::string text = format("verified            every byte within {}",
                            print_age(elapsed(*coverage.unread_since, now)));
  if (coverage.never_read_bytes > 0) {
    text = format("verified            {} of {} never", print_size(coverage.never_read_bytes),
                  print_size(coverage.stored_bytes));
  }
  if (coverage.last) text += format("; last {}", to_iso8601(coverage.last->began));
  return text;
}

// "main" with what a label's value must not contain quoted.
std::string quoted_label(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (c == '\\' || c == '"') quoted += '\\';
    quoted += c;
  }
  return quoted;
}

class Metrics {
 public:
  explicit Metrics(const std::string& cluster) : label_(quoted_label(cluster)) {}

  void add(std::string_view name, std::string_view help, std::optional<double> value) {
    if (!value) return;
    text_ += format("# HELP {0} {1}\n# TYPE {0} gauge\n{0}{{cluster=\"{2}\"}} {3}\n", name, help,
                    label_, *value);
  }
  std::string take() && { return std::move(text_); }

 private:
  const std::string label_;
  std::string text_;
};

std::optional<double> seconds(std::optional<std::chrono::nanoseconds> duration) {
  if (!duration) return std::nullopt;
  return in_seconds(*duration);
}

// "rpo=12s;;60;0" with the threshold as the critical one.
std::string performance(std::string_view name, std::optional<std::chrono::nanoseconds> value,
                        std::optional<std::chrono::nanoseconds> threshold) {
  if (!value) return "";
  return format(" {}={:.0f}s;;{};0", name, in_seconds(*value),
                threshold ? format("{:.0f}", in_seconds(*threshold)) : "");
}

void breach(std::vector<std::string>& breaches, std::string_view what,
            std::optional<std::chrono::nanoseconds> value,
            std::optional<std::chrono::nanoseconds> threshold) {
  if (!threshold) return;
  if (!value) {
    breaches.push_back(format("{}: nothing can be recovered", what));
  } else if (*value > *threshold) {
    breaches.push_back(
        format("{}: {}, more than {}", what, print_age(*value), print_age(*threshold)));
  }
}

Json duration_json(std::optional<std::chrono::nanoseconds> duration) {
  if (!duration) return {};
  return std::int64_t{std::chrono::duration_cast<std::chrono::milliseconds>(*duration).count()};
}

Json time_json(std::optional<UtcTime> time) {
  if (!time) return {};
  return to_iso8601(*time);
}

Json newest_json(const StatusReport& report) {
  const StatusBackup* const newest = report.newest_backup();
  if (newest == nullptr) return {};
  Json json = Json::object();
  json.set("backup", newest->snapshot.id);
  json.set("finished", to_iso8601(newest->snapshot.finished));
  json.set("age_ms", duration_json(age_of_backup(report)));
  json.set("source_bytes", newest->snapshot.statistics.source_bytes);
  json.set("recovery", recovery_json(newest->window));
  return json;
}

Json rpo_json(const StatusReport& report) {
  if (!report.exposed) return {};
  const verify::ExposedWal& exposed = *report.exposed;
  Json json = Json::object();
  json.set("durable_lsn", to_string(exposed.durable));
  json.set("last_commit_time", time_json(exposed.last_commit));
  json.set("server_lsn", report.server ? Json(to_string(report.server->written)) : Json());
  json.set("lost_bytes", exposed.bytes ? Json(*exposed.bytes) : Json());
  json.set("lost_ms", duration_json(exposed.time));
  return json;
}

Json coverage_json(const StatusReport& report) {
  const verify::Coverage& coverage = report.coverage;
  Json json = Json::object();
  json.set("last", time_json(coverage.last ? std::optional(coverage.last->began) : std::nullopt));
  json.set("last_data",
           time_json(coverage.last_data ? std::optional(coverage.last_data->began) : std::nullopt));
  json.set("stored_bytes", coverage.stored_bytes);
  json.set("never_read_bytes", coverage.never_read_bytes);
  json.set("unread_since", time_json(coverage.unread_since));
  json.set("unread_ms", duration_json(unread_for(report)));
  return json;
}

}  // namespace

std::vector<std::string> find_breaches(const StatusReport& report,
                                       const StatusThresholds& thresholds) {
  std::vector<std::string> breaches;
  breach(breaches, "age of the newest backup", age_of_backup(report), thresholds.age_max);
  breach(breaches, "RPO", rpo_of(report), thresholds.rpo_max);
  // Where nothing is stored nothing is unread.
  if (unread_for(report)) {
    breach(breaches, "some byte was not read for", unread_for(report), thresholds.unread_max);
  }
  return breaches;
}

std::vector<std::string> status_lines(const ClusterStatus& status) {
  const StatusReport& report = status.report;
  std::vector<std::string> lines = {format("{:<20}{}, {} backup{}", "cluster", status.cluster,
                                           report.backups.size(),
                                           report.backups.size() == 1 ? "" : "s")};
  if (const StatusBackup* const newest = report.newest_backup()) {
    lines.push_back(format("{:<20}{}, ended {} ago", "newest backup", newest->snapshot.id,
                           print_age(*age_of_backup(report))));
  }
  if (report.exposed) lines.push_back(exposed_line(report));
  if (report.server) {
    lines.push_back(format("{:<20}{}{}", "server", to_string(report.server->written),
                           report.server->in_recovery ? ", in recovery" : ""));
  } else if (!report.server_failure.empty()) {
    lines.push_back(format("{:<20}not asked: {}", "server", report.server_failure));
  }
  lines.push_back(coverage_line(report.coverage, report.now));
  for (const wal::WalGap& gap : report.gaps) {
    lines.push_back(
        format("{:<20}{} to {}, {} segments", "missing WAL", gap.first, gap.last, gap.segments));
  }
  for (const std::string& line : report.problems) lines.push_back("problem: " + line);
  for (const std::string& line : status.breaches) lines.push_back("threshold: " + line);
  return lines;
}

std::string nagios_line(const ClusterStatus& status) {
  const StatusReport& report = status.report;
  std::string text = format("PGHAUL {} - {}", status.good() ? "OK" : "CRITICAL", status.cluster);
  if (status.good()) {
    text += format(": newest backup {} ago", print_age(*age_of_backup(report)));
    if (const auto rpo = rpo_of(report)) text += format(", RPO {}", print_age(*rpo));
  }
  std::string_view separator = ": ";
  for (const auto* lines : {&report.problems, &status.breaches}) {
    for (const std::string& line : *lines) {
      text += format("{}{}", separator, line);
      separator = "; ";
    }
  }
  // What stands behind the bar is for machines.
  std::ranges::replace(text, '|', ' ');
  text += " |";
  text += performance("age", age_of_backup(report), status.thresholds.age_max);
  text += performance("rpo", rpo_of(report), status.thresholds.rpo_max);
  if (report.exposed && report.exposed->bytes)
    text += format(" rpo_bytes={}B;;;0", *report.exposed->bytes);
  text += performance("unread", unread_for(report), status.thresholds.unread_max);
  text += format(" stored={}B;;;0", report.coverage.stored_bytes);
  return text;
}

std::string prometheus_text(const ClusterStatus& status) {
  const StatusReport& report = status.report;
  const StatusBackup* const newest = report.newest_backup();
  Metrics metrics(status.cluster);
  metrics.add("pghaul_cluster_status", "0: nothing is wrong and no threshold passed, 1: something.",
              status.good() ? 0 : 1);
  metrics.add("pghaul_backups", "Backups in the repository.",
              static_cast<double>(report.backups.size()));
  metrics.add("pghaul_backup_since_last_completion_seconds",
              "Since the newest backup that can be recovered ended.",
              seconds(age_of_backup(report)));
  if (newest != nullptr) {
    const repository::SnapshotStatistics& sizes = newest->snapshot.statistics;
    metrics.add("pghaul_backup_size_bytes", "Size of the newest backup's files.",
                static_cast<double>(sizes.source_bytes));
    metrics.add("pghaul_backup_repo_delta_bytes", "What the newest backup added to the repository.",
                static_cast<double>(sizes.stored_bytes));
    metrics.add("pghaul_backup_duration_seconds", "How long the newest backup took.",
                in_seconds(elapsed(newest->snapshot.started, newest->snapshot.finished)));
    metrics.add("pghaul_backup_bad_pages", "Pages with wrong checksums in the newest backup.",
                static_cast<double>(newest->facts.bad_page_count));
  }
  metrics.add("pghaul_rpo_seconds", "Age of the oldest commit that would be lost now, at most.",
              seconds(rpo_of(report)));
  if (report.exposed && report.exposed->bytes) {
    metrics.add("pghaul_rpo_bytes", "WAL that would be lost now.",
                static_cast<double>(*report.exposed->bytes));
  }
  metrics.add("pghaul_wal_archive_gaps", "Places where archived WAL breaks off and goes on.",
              static_cast<double>(report.gaps.size()));
  metrics.add("pghaul_repo_size_bytes", "Packs and WAL segments in the repository.",
              static_cast<double>(report.coverage.stored_bytes));
  metrics.add("pghaul_verify_unread_seconds", "Since some byte of the repository was read.",
              seconds(unread_for(report)));
  metrics.add("pghaul_verify_never_read_bytes", "What was never read since it was stored.",
              static_cast<double>(report.coverage.never_read_bytes));
  metrics.add("pghaul_exporter_last_run_timestamp_seconds", "When this was written.",
              static_cast<double>(report.now.microseconds) / 1e6);
  return std::move(metrics).take();
}

Json status_json(const ClusterStatus& status) {
  const StatusReport& report = status.report;
  Json json = versioned_json();
  json.set("cluster", status.cluster);
  json.set("time", to_iso8601(report.now));
  json.set("good", status.good());
  json.set("backups", std::uint64_t{report.backups.size()});
  json.set("newest_backup", newest_json(report));
  json.set("rpo", rpo_json(report));
  json.set("server_failure", report.server_failure);
  json.set("verification", coverage_json(report));
  json.set("gaps", wal_gaps_json(report.gaps));
  json.set("problems", strings_json(report.problems));
  json.set("breaches", strings_json(status.breaches));
  return json;
}

}  // namespace haul::cli
