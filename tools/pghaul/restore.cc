#include "engine/restore/restore.h"

#include <grp.h>
#include <pwd.h>

#include <array>
#include <charconv>

#include "base/format.h"
#include "tools/pghaul/commands.h"
#include "tools/pghaul/json_output.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {

namespace {

using restore::RestoreOptions;
using restore::RestoreProgress;
using restore::RestoreReport;

std::optional<std::uint32_t> parse_id(const std::string& text) {
  std::uint32_t id = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, id);
  if (error != std::errc{} || stop != end || text.empty()) return std::nullopt;
  return id;
}

Result<io::FileOwner> user_of(const std::string& name) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
      found != nullptr) {
    return io::FileOwner{found->pw_uid, found->pw_gid};
  }
  // A number alone says nothing of the group; it stands for both.
  if (const auto id = parse_id(name)) return io::FileOwner{*id, *id};
  return Error(ErrorCode::usage, format("there is no user \"{}\"", name));
}

Result<std::uint32_t> group_of(const std::string& name) {
  group entry{};
  group* found = nullptr;
  std::array<char, 4096> buffer{};
  if (getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
      found != nullptr) {
    return found->gr_gid;
  }
  if (const auto id = parse_id(name)) return *id;
  return Error(ErrorCode::usage, format("there is no group \"{}\"", name));
}

// "USER" with its own group, or "USER:GROUP".
Result<io::FileOwner> parse_owner(const std::string& text) {
  const std::size_t colon = text.find(':');
  io::FileOwner owner = HAUL_TRY(user_of(text.substr(0, colon)));
  if (colon != std::string::npos) owner.group = HAUL_TRY(group_of(text.substr(colon + 1)));
  return owner;
}

Result<RestoreOptions> options_of(Context& context, const std::string& cluster) {
  const Settings& settings = *context.settings;
  RestoreOptions options;
  options.cluster = cluster;
  if (!settings.arguments().empty()) options.backup = settings.arguments().front();
  options.target = HAUL_TRY(settings.required_path("pgdata"));
  for (const std::string& mapping : settings.values("tablespace-mapping")) {
    options.mappings.push_back(HAUL_TRY(postgres::parse_tablespace_mapping(mapping)));
  }
  if (const auto owner = settings.value("owner")) {
    auto parsed = parse_owner(*owner);
    if (!parsed) return std::move(parsed).take_error().with_context(settings.origin("owner"));
    options.owner = *parsed;
  }
  if (HAUL_TRY(settings.flag("dry-run"))) options.run = RestoreOptions::Run::dry;
  options.workers = HAUL_TRY(worker_count(context));
  return options;
}

ProgressView view_of(const std::string& cluster, const RestoreProgress& progress) {
  const RestoreProgress::Phase phase = progress.phase;
  ProgressView view;
  view.what = format("restore {}", cluster);
  view.phase = phase == RestoreProgress::Phase::planning  ? "planning"
               : phase == RestoreProgress::Phase::copying ? "copying"
                                                          : "syncing";
  view.kind = phase == RestoreProgress::Phase::copying ? ProgressView::Kind::counting
                                                       : ProgressView::Kind::waiting;
  view.done_bytes = progress.bytes_done;
  view.total_bytes = progress.bytes_total;
  return view;
}

void print_report(Context& context, const RestoreReport& report, const RestoreOptions& options) {
  for (const auto& [from, to] : report.tablespaces) {
    print_summary(context, format("tablespace {} -> {}", from, to));
  }
  for (const auto& [from, to] : report.configuration) {
    print_summary(context, format("configuration {} -> {}", from, to));
  }
  const std::string amount = format("{} files, {}", report.files, print_size(report.bytes));
  if (options.run == RestoreOptions::Run::dry) {
    print_line(context,
               format("would restore {} into {}: {}", report.backup, options.target, amount));
    return;
  }
  const auto total = report.plan_time + report.copy_time + report.sync_time;
  print_summary(context, format("restore of {} done: {} in {} (plan {}, copy {}, sync {}) in {}",
                                report.backup, amount, print_duration(total),
                                print_duration(report.plan_time), print_duration(report.copy_time),
                                print_duration(report.sync_time), options.target));
}

}  // namespace

Result<int> run_restore_command(Context& context) {
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  context.subject = Subject::request;
  RestoreOptions options = HAUL_TRY(options_of(context, cluster.name));
  const ProgressMode mode = HAUL_TRY(progress_mode(context));
  context.subject = Subject::repository;
  options.backup = HAUL_TRY(restore::resolve_backup(cluster, options.backup));
  context.subject = Subject::target;

  RestoreProgress progress;
  restore::RestoreEnvironment environment;
  environment.repository = &*context.repository;
  environment.clock = &context.platform->clock();
  environment.log = context.console;
  environment.stop = context.stop;
  environment.open_directory = directory_opener(context);
  environment.progress = &progress;
  environment.rings = HAUL_TRY(ring_factory(context));
  const RestoreReport report = HAUL_TRY([&] {
    const ProgressReporter reporter(mode, *context.console, *environment.clock,
                                    [&] { return view_of(cluster.name, progress); });
    return restore::run_restore(options, environment);
  }());

  for (const std::string& warning : report.warnings) context.console->warning(warning);
  for (const std::string& finding : report.findings) {
    context.console->warning(format("damage in the repository was worked around: {}", finding));
  }
  if (context.output == Context::Output::json) {
    print_json(context, restore_result_json(report, options.target));
  } else {
    print_report(context, report, options);
  }
  return kDone;
}

}  // namespace haul::cli
