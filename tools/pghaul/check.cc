#include "engine/backup/check.h"

#include "base/format.h"
#include "tools/pghaul/commands.h"
#include "tools/pghaul/json_output.h"

namespace haul::cli {

Result<int> run_check_command(Context& context) {
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  context.subject = Subject::request;
  backup::BackupOptions options;
  options.cluster = cluster.name;
  HAUL_TRY(take_server_options(*context.settings, options));
  context.subject = Subject::source;

  backup::BackupEnvironment environment;
  environment.repository = &*context.repository;
  environment.clock = &context.platform->clock();
  environment.random = &context.platform->random();
  environment.log = context.console;
  environment.stop = context.stop;
  environment.open_directory = directory_opener(context);
  const backup::CheckReport report = HAUL_TRY(backup::run_check(options, environment));
  if (context.output == Context::Output::json) {
    print_json(context, check_json(report, cluster.name));
    return kDone;
  }
  for (const std::string& line : report.passed) print_summary(context, "ok: " + line);
  for (const std::string& line : report.warnings) context.console->warning(line);
  return kDone;
}

}  // namespace haul::cli
