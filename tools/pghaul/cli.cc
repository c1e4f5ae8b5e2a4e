#include "tools/pghaul/cli.h"

#include <algorithm>

#include "base/format.h"
#include "engine/flow/workers.h"
#include "tools/pghaul/command_line.h"
#include "tools/pghaul/commands.h"

namespace haul::cli {

namespace {

constexpr std::uint64_t kJobsMax = 1024;

Result<int> dispatch(Context& context) {
  switch (context.settings->command()) {
    case Command::init: return run_init(context);
    case Command::backup: return run_backup_command(context);
    case Command::info: return run_info(context);
    case Command::ls: return run_ls(context);
    case Command::cat: return run_cat(context);
    case Command::restore: return run_restore_command(context);
    case Command::verify: return run_verify_command(context);
    case Command::wal_push: return run_wal_push(context);
    case Command::wal_get: return run_wal_get(context);
    case Command::wal_list: return run_wal_list(context);
    case Command::wal_prefetch: return run_wal_prefetch(context);
    case Command::wal_receive: return run_wal_receive(context);
    case Command::check: return run_check_command(context);
    case Command::status: return run_status_command(context);
  }
  return Error(ErrorCode::usage, "there is no such command");
}

Status apply_output_options(Context& context) {
  const Settings& settings = *context.settings;
  const bool verbose = HAUL_TRY(settings.flag("verbose"));
  const bool quiet = HAUL_TRY(settings.flag("quiet"));
  if (verbose && quiet) {
    return Error(ErrorCode::usage, "--verbose and --quiet exclude each other");
  }
  if (verbose) context.amount = Context::Amount::verbose;
  if (quiet) context.amount = Context::Amount::quiet;
  context.console->set_level(verbose ? LogLevel::debug : LogLevel::warning);
  if (HAUL_TRY(settings.flag("json"))) context.output = Context::Output::json;
  return ok();
}

Result<int> run_command(Context& context) {
  HAUL_TRY(apply_output_options(context));
  const int status = HAUL_TRY(dispatch(context));
  context.out->flush();
  if (!*context.out) {
    return Error(ErrorCode::io, "cannot write to standard output");
  }
  return status;
}

// A repository that went away makes whatever was being done fail in its own way; what helps is to
// know that it is gone.
bool may_be_gone(ErrorCode code) {
  return code == ErrorCode::io || code == ErrorCode::not_found || code == ErrorCode::corrupt ||
         code == ErrorCode::no_repository;
}

int report_failure(Context& context, Error error) {
  if (context.repository && may_be_gone(error.code())) {
    Status there = context.repository->check_still_there();
    if (!there) error = std::move(there).take_error();
  }
  context.console->fail(error);
  return status_for_server(context.command, exit_status(error.code(), context.subject));
}

std::optional<Command> command_of(std::span<const std::string> words) {
  const CommandSpec* spec = find_command(words);
  if (spec == nullptr) return std::nullopt;
  return spec->command;
}

}  // namespace

std::string program_version() { return "pghaul " HAUL_VERSION; }

int failure_status(std::span<const std::string> words) {
  return status_for_server(command_of(words), kFailed);
}

int run(std::span<const std::string> words, const Streams& streams, Platform& platform,
        std::stop_token stop) {
  Console console(*streams.err);
  Context context;
  context.platform = &platform;
  context.out = streams.out;
  context.console = &console;
  context.stop = std::move(stop);
  context.err_is = streams.err_is;
  context.command = command_of(words);
  auto line = parse_command_line(words);
  if (!line) return report_failure(context, std::move(line).take_error());
  if (line->request == CommandLine::Request::version) {
    *streams.out << program_version() << std::endl;
    return kDone;
  }
  if (line->request == CommandLine::Request::help) {
    *streams.out << (line->command ? command_help(*line->command) : program_help()) << std::flush;
    return kDone;
  }
  auto settings = Settings::load(std::move(line).take(), platform);
  if (!settings) return report_failure(context, std::move(settings).take_error());
  context.settings = &*settings;
  auto status = run_command(context);
  if (!status) return report_failure(context, std::move(status).take_error());
  return *status;
}

Status open_repository(Context& context) {
  const std::string path = HAUL_TRY(context.settings->required_path("repo"));
  context.subject = Subject::repository;
  // What --io says nothing about writes little, if at all, and within its calls.
  const bool rings = takes(context.settings->command(), *find_option("io"));
  context.repository = HAUL_TRY(repository::open_local_repository(
      directory_opener(context), path, context.platform->repository_owner(),
      rings ? HAUL_TRY(ring_factory(context)) : io::RingFactory()));
  return ok();
}

Result<std::string> choose_cluster(Context& context) {
  std::string name = "main";
  if (const auto named = context.settings->named_cluster()) {
    name = *named;
  } else {
    const std::vector<std::string> present = HAUL_TRY(context.repository->clusters());
    if (present.size() > 1) {
      std::string names;
      for (const std::string& cluster : present) names += (names.empty() ? "" : ", ") + cluster;
      return Error(
          ErrorCode::usage,
          format("the repository at {} holds several clusters", context.repository->name()),
          format("choose one with --cluster: {}", names));
    }
    if (present.size() == 1) name = present.front();
  }
  HAUL_TRY(repository::check_cluster_name(name));
  context.settings->select_cluster(name);
  return name;
}

Result<repository::Cluster> open_cluster(Context& context) {
  // A repository may be named in the cluster's own table of the configuration.
  if (const auto named = context.settings->named_cluster()) {
    context.settings->select_cluster(*named);
  }
  HAUL_TRY(open_repository(context));
  return context.repository->cluster(HAUL_TRY(choose_cluster(context)));
}

repository::LocalDirectoryOpener directory_opener(Context& context) {
  return [platform = context.platform](const std::string& path) {
    return platform->open_directory(path);
  };
}

Error wrong_choice(const Settings& settings, std::string_view option, std::string_view choices) {
  return Error(ErrorCode::usage, format("{}: \"{}\" is not one of {}", settings.origin(option),
                                        settings.value_or(option, ""), choices));
}

Result<io::RingFactory> ring_factory(Context& context) {
  const std::string choice = context.settings->value_or("io", "auto");
  io::RingBackend backend = io::RingBackend::automatic;
  if (choice == "uring") {
    backend = io::RingBackend::uring;
  } else if (choice == "threads") {
    backend = io::RingBackend::threads;
  } else if (choice != "auto") {
    return wrong_choice(*context.settings, "io", "auto, uring, threads");
  }
  io::RingFactory rings = context.platform->rings();
  // What was asked for by name and cannot be had is said before anything begins.
  if (backend == io::RingBackend::uring) HAUL_TRY(rings({.backend = backend, .capacity = 1}));
  return io::rings_on(backend, std::move(rings));
}

Result<std::size_t> worker_count(const Context& context) {
  const auto jobs = HAUL_TRY(context.settings->number("jobs", {1, kJobsMax}));
  return flow::resolve_workers(static_cast<std::size_t>(jobs.value_or(0)));
}

Result<ProgressMode> progress_mode(const Context& context) {
  const bool wanted = HAUL_TRY(context.settings->flag("progress"));
  if (context.amount == Context::Amount::quiet) return ProgressMode::none;
  if (context.output == Context::Output::json) return ProgressMode::json;
  const bool terminal = context.err_is == Streams::Err::terminal;
  return wanted || terminal ? ProgressMode::redrawn : ProgressMode::lines;
}

void print_json(Context& context, const Json& json) { *context.out << json.dump() << '\n'; }

void print_line(Context& context, std::string_view line) { *context.out << line << '\n'; }

void print_summary(Context& context, std::string_view line) {
  if (context.amount != Context::Amount::quiet) print_line(context, line);
}

}  // namespace haul::cli
