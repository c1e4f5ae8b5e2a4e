#include "tools/pghaul/commands.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {

Result<postgres::ConnectionOptions> connection_options(const Settings& settings) {
  postgres::ConnectionOptions connection;
  connection.conninfo = settings.value_or("dbname", "");
  connection.host = settings.value_or("host", "");
  connection.port = settings.value_or("port", "");
  connection.user = settings.value_or("username", "");
  HAUL_TRY(settings.flag("no-password"));
  return connection;
}

Status take_server_options(const Settings& settings, backup::BackupOptions& options) {
  options.data_directory = settings.path("pgdata").value_or("");
  options.connection = HAUL_TRY(connection_options(settings));
  if (const auto timeout = settings.value("archive-timeout")) {
    auto parsed = parse_duration(*timeout);
    if (!parsed) {
      return std::move(parsed).take_error().with_context(settings.origin("archive-timeout"));
    }
    options.archive_timeout = *parsed;
  }
  return ok();
}

}  // namespace haul::cli
