// The commands, one file each, and what they share while one runs.
//
// A command returns its exit status, or the error that ended it; Context::subject then says what it
// was about.
//
// Threads:  one owner at a time.
#pragma once

#include <optional>
#include <ostream>
#include <stop_token>
#include <string>

#include "base/json.h"
#include "engine/backup/backup.h"
#include "engine/repository/repository.h"
#include "tools/pghaul/cli.h"
#include "tools/pghaul/console.h"
#include "tools/pghaul/exit_status.h"
#include "tools/pghaul/progress.h"
#include "tools/pghaul/settings.h"

namespace haul::cli {

struct Context {
  Platform* platform = nullptr;
  std::ostream* out = nullptr;
  Console* console = nullptr;
  Settings* settings = nullptr;
  std::stop_token stop;
  Streams::Err err_is = Streams::Err::file;
  // Once it is known, also when the rest of the line is wrong.
  std::optional<Command> command;

  enum class Output { text, json } output = Output::text;
  enum class Amount { quiet, normal, verbose } amount = Amount::normal;
  // Once it is open; asked after a failure whether it is still there.
  std::optional<repository::Repository> repository;
  Subject subject = Subject::request;
};

Result<int> run_init(Context& context);
Result<int> run_backup_command(Context& context);
Result<int> run_info(Context& context);
Result<int> run_ls(Context& context);
Result<int> run_cat(Context& context);
Result<int> run_restore_command(Context& context);
Result<int> run_verify_command(Context& context);
Result<int> run_wal_push(Context& context);
Result<int> run_wal_get(Context& context);
Result<int> run_wal_list(Context& context);
Result<int> run_wal_prefetch(Context& context);
Result<int> run_wal_receive(Context& context);
Result<int> run_check_command(Context& context);
Result<int> run_status_command(Context& context);

// Opens the repository of --repo into the context.
Status open_repository(Context& context);
// --cluster, else the configuration's only one, else the repository's only one, else main; `usage`
// when the repository has several. Its table of the configuration counts from now on.
Result<std::string> choose_cluster(Context& context);
// Both steps, one after the other.
Result<repository::Cluster> open_cluster(Context& context);

// Which server, as the options have it.
Result<postgres::ConnectionOptions> connection_options(const Settings& settings);
// The same, and how long its archive may take.
Status take_server_options(const Settings& settings, backup::BackupOptions& options);

// Opens directories through the platform, for the engine.
repository::LocalDirectoryOpener directory_opener(Context& context);
// What an option that takes one of several words has instead of them.
Error wrong_choice(const Settings& settings, std::string_view option, std::string_view choices);
Result<std::size_t> worker_count(const Context& context);
// The platform's rings, as --io will have them.
Result<io::RingFactory> ring_factory(Context& context);
Result<ProgressMode> progress_mode(const Context& context);

// One JSON object, or a line of text, on standard output.
void print_json(Context& context, const Json& json);
void print_line(Context& context, std::string_view line);
// The same, for what a person reads when all went well: not when --quiet.
void print_summary(Context& context, std::string_view line);

}  // namespace haul::cli
