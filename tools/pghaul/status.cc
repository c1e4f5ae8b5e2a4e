#include "engine/verify/status.h"

#include <filesystem>
#include <iterator>

#include "base/format.h"
#include "tools/pghaul/commands.h"
#include "tools/pghaul/json_output.h"
#include "tools/pghaul/quantity.h"
#include "tools/pghaul/status_html.h"
#include "tools/pghaul/status_report.h"

namespace haul::cli {

namespace {

constexpr std::uint32_t kTextfileMode = 0644;
// What a monitoring plugin ends with.
constexpr int kNagiosCritical = 2;
constexpr int kNagiosUnknown = 3;

Status read_threshold(const Settings& settings, std::string_view option,
                      std::optional<std::chrono::nanoseconds>& threshold) {
  const auto text = settings.value(option);
  if (!text) return ok();
  auto parsed = parse_duration(*text);
  if (!parsed) return std::move(parsed).take_error().with_context(settings.origin(option));
  threshold = *parsed;
  return ok();
}

Result<StatusThresholds> thresholds_of(const Settings& settings) {
  StatusThresholds thresholds;
  HAUL_TRY(read_threshold(settings, "max-age", thresholds.age_max));
  HAUL_TRY(read_threshold(settings, "max-rpo", thresholds.rpo_max));
  HAUL_TRY(read_threshold(settings, "max-unread", thresholds.unread_max));
  return thresholds;
}

// Readers see the file as it was or as it is, whole; it need not survive a crash.
Status write_textfile(Context& context, const std::string& path, const std::string& text) {
  const std::filesystem::path place(path);
  const auto directory = HAUL_TRY(context.platform->open_directory(place.parent_path().string()));
  auto file = HAUL_TRY(directory->create_temporary("", io::Caching::buffered));
  HAUL_TRY(file->write_at(0, bytes_of(text)));
  HAUL_TRY(file->set_mode(kTextfileMode));
  HAUL_TRY(file->sync());
  return directory->publish_over(*file, place.filename().string());
}

Result<ClusterStatus> look(Context& context) {
  ClusterStatus status;
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  context.subject = Subject::request;
  status.cluster = cluster.name;
  status.thresholds = HAUL_TRY(thresholds_of(*context.settings));
  const postgres::ConnectionOptions server = HAUL_TRY(connection_options(*context.settings));
  context.subject = Subject::repository;
  status.report = HAUL_TRY(verify::find_status(cluster, server, context.platform->clock()));
  // A repository that went away looks like one that lost everything.
  if (!status.report.problems.empty()) HAUL_TRY(context.repository->check_still_there());
  status.breaches = find_breaches(status.report, status.thresholds);
  context.subject = Subject::target;
  if (const auto path = context.settings->path("prometheus")) {
    HAUL_TRY(write_textfile(context, *path, prometheus_text(status)));
  }
  if (const auto path = context.settings->path("html")) {
    HAUL_TRY(write_textfile(context, *path, status_html(status)));
  }
  return status;
}

// Whatever happens, a monitoring system gets one line and a status that it knows.
int run_as_plugin(Context& context) {
  const auto status = look(context);
  if (!status) {
    print_line(context, format("PGHAUL UNKNOWN - {}", status.error().message()));
    return kNagiosUnknown;
  }
  print_line(context, nagios_line(*status));
  return status->good() ? kDone : kNagiosCritical;
}

}  // namespace

Result<int> run_status_command(Context& context) {
  if (HAUL_TRY(context.settings->flag("nagios"))) {
    if (context.output == Context::Output::json) {
      return Error(ErrorCode::usage, "--nagios and --json exclude each other");
    }
    return run_as_plugin(context);
  }
  const ClusterStatus status = HAUL_TRY(look(context));
  if (context.output == Context::Output::json) {
    print_json(context, status_json(status));
  } else {
    for (const std::string& line : status_lines(status)) print_line(context, line);
  }
  return status.good() ? kDone : kBreached;
}

}  // namespace haul::cli
