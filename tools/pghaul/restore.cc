#include "engine/restore/restore.h"

#include <grp.h>
#include <pwd.h>

#include <array>
#include <charconv>
#include <filesystem>

#include "base/format.h"
#include "engine/restore/recovery_plan.h"
#include "tools/pghaul/commands.h"
#include "tools/pghaul/json_output.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {

namespace {

using restore::RecoveryTarget;
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

struct TargetOption {
  std::string_view name;
  RecoveryTarget::Kind kind;
};

constexpr std::array kTargetOptions = {
    TargetOption{"target-time", RecoveryTarget::Kind::time},
    TargetOption{"target-lsn", RecoveryTarget::Kind::lsn},
    TargetOption{"target-xid", RecoveryTarget::Kind::xid},
    TargetOption{"target-name", RecoveryTarget::Kind::name},
    TargetOption{"target", RecoveryTarget::Kind::latest},
};

Status parse_target(RecoveryTarget::Kind kind, const std::string& text, RecoveryTarget& target) {
  target.kind = kind;
  switch (kind) {
    case RecoveryTarget::Kind::time:
      target.time = HAUL_TRY(restore::parse_target_time(text));
      break;
    case RecoveryTarget::Kind::lsn: target.lsn = HAUL_TRY(restore::parse_target_lsn(text)); break;
    case RecoveryTarget::Kind::xid: target.xid = HAUL_TRY(restore::parse_target_xid(text)); break;
    case RecoveryTarget::Kind::name:
      target.name = HAUL_TRY(restore::parse_target_name(text));
      break;
    default:
      if (text != "immediate" && text != "latest") {
        return Error(ErrorCode::usage, format("\"{}\" is not one of immediate, latest", text),
                     "a time is --target-time, a position --target-lsn");
      }
      if (text == "immediate") target.kind = RecoveryTarget::Kind::immediate;
  }
  return ok();
}

// The one target that was named, if any.
Status read_target(const Settings& settings, RecoveryTarget& target) {
  std::string named;
  for (const TargetOption& option : kTargetOptions) {
    const auto text = settings.value(option.name);
    if (!text) continue;
    const std::string origin = settings.origin(option.name);
    if (!named.empty()) {
      return Error(ErrorCode::usage, format("{} and {} exclude each other", named, origin));
    }
    named = origin;
    Status parsed = parse_target(option.kind, *text, target);
    if (!parsed) return std::move(parsed).take_error().with_context(origin);
  }
  return ok();
}

Result<RecoveryTarget> recovery_of(const Settings& settings) {
  RecoveryTarget target;
  HAUL_TRY(read_target(settings, target));
  if (HAUL_TRY(settings.flag("target-exclusive"))) target.bound = RecoveryTarget::Bound::exclusive;
  if (const auto timeline = settings.value("target-timeline")) {
    Status parsed = restore::parse_target_timeline(*timeline, target);
    if (!parsed) {
      return std::move(parsed).take_error().with_context(settings.origin("target-timeline"));
    }
  }
  const auto action = settings.value("target-action");
  if (action) {
    auto parsed = restore::parse_target_action(*action);
    if (!parsed) {
      return std::move(parsed).take_error().with_context(settings.origin("target-action"));
    }
    target.action = *parsed;
  }
  if (HAUL_TRY(settings.flag("standby"))) target.role = RecoveryTarget::Role::standby;
  if (HAUL_TRY(settings.flag("take-over"))) target.archiving = RecoveryTarget::Archiving::take_over;
  HAUL_TRY(
      restore::check_target(target, action ? restore::ActionGiven::yes : restore::ActionGiven::no));
  return target;
}

// A recovering server calls this very program, whatever PATH is there.
Result<std::string> own_program() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return error_from_errno(error.value(), "/proc/self/exe");
  return path.string();
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
  if (HAUL_TRY(settings.flag("delta"))) options.delta = RestoreOptions::Delta::yes;
  options.recovery = HAUL_TRY(recovery_of(settings));
  if (HAUL_TRY(settings.flag("start"))) options.start = RestoreOptions::Start::yes;
  options.server_programs = settings.path("pg-bin").value_or("");
  options.workers = HAUL_TRY(worker_count(context));
  return options;
}

std::string phase_name(RestoreProgress::Phase phase) {
  switch (phase) {
    case RestoreProgress::Phase::planning: return "planning";
    case RestoreProgress::Phase::copying: return "copying";
    case RestoreProgress::Phase::syncing: return "syncing";
    case RestoreProgress::Phase::replaying: return "replaying";
  }
  return "planning";
}

ProgressView view_of(const std::string& cluster, const RestoreProgress& progress) {
  const RestoreProgress::Phase phase = progress.phase;
  ProgressView view;
  view.what = format("restore {}", cluster);
  view.phase = phase_name(phase);
  view.kind = phase == RestoreProgress::Phase::copying ? ProgressView::Kind::counting
                                                       : ProgressView::Kind::waiting;
  view.done_bytes = progress.bytes_done;
  view.total_bytes = progress.bytes_total;
  return view;
}

// "1 to 0/5000028, 2 to 0/7000140, 3"
std::string lineage_of(const wal::TimelineHistory& lineage) {
  std::string text;
  for (const wal::TimelinePeriod& period : lineage.periods) {
    text += format("{}{}", text.empty() ? "" : ", ", period.timeline.value);
    if (period.end.valid()) text += format(" to {}", to_string(period.end));
  }
  return text;
}

void print_recovery(Context& context, const restore::RecoveryPlan& plan) {
  const restore::Survey& survey = plan.survey;
  print_summary(context, format("recovery to {}", restore::describe(plan.target)));
  print_summary(context, format("timelines: {}", lineage_of(plan.lineage)));
  print_summary(
      context, format("WAL {}..{} in {} segments, {} to {}{}", to_string(plan.start),
                      to_string(survey.end), survey.segments, plan.first_segment, plan.last_segment,
                      plan.last_is_unfinished ? " (its beginning, into pg_wal)" : ""));
  print_summary(
      context, survey.stop ? format("replay stops {}", restore::describe(*survey.stop, plan.target))
                           : format("replay goes to the end at {}", to_string(survey.end)));
  if (survey.last_transaction) {
    print_summary(context,
                  format("last transaction replayed: {} at {}", survey.last_transaction->xid,
                         restore::to_target_time(survey.last_transaction->time)));
  }
  print_summary(context, format("{} is written, and to postgresql.auto.conf:", plan.signal_file));
  for (const restore::Setting& setting : plan.settings) {
    print_summary(context,
                  format("  {} = {}", setting.name, restore::quote_setting(setting.value)));
  }
}

void print_server(Context& context, const RestoreReport& report) {
  const restore::ServerReport& server = *report.server;
  const auto total = report.plan_time + report.copy_time + report.sync_time + server.replay_time +
                     server.first_query_time;
  print_summary(context,
                format("server {} after {} (replay {}, first query {})", to_string(server.outcome),
                       print_duration(total), print_duration(server.replay_time),
                       print_duration(server.first_query_time)));
}

void print_report(Context& context, const RestoreReport& report, const RestoreOptions& options) {
  for (const auto& [from, to] : report.tablespaces) {
    print_summary(context, format("tablespace {} -> {}", from, to));
  }
  for (const auto& [from, to] : report.configuration) {
    print_summary(context, format("configuration {} -> {}", from, to));
  }
  if (report.recovery) print_recovery(context, *report.recovery);
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
  if (report.delta) {
    print_summary(
        context,
        format("kept {}, rewrote {}, removed {} names", print_size(report.delta->kept_bytes),
               print_size(report.bytes - report.delta->kept_bytes), report.delta->removed));
  }
  if (report.server) print_server(context, report);
}

}  // namespace

Result<int> run_restore_command(Context& context) {
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  context.subject = Subject::request;
  const RestoreOptions options = HAUL_TRY(options_of(context, cluster.name));
  const ProgressMode mode = HAUL_TRY(progress_mode(context));

  RestoreProgress progress;
  restore::RestoreEnvironment environment;
  environment.repository = &*context.repository;
  environment.clock = &context.platform->clock();
  environment.log = context.console;
  environment.stop = context.stop;
  environment.open_directory = directory_opener(context);
  environment.progress = &progress;
  environment.rings = HAUL_TRY(ring_factory(context));
  environment.program = HAUL_TRY(own_program());
  context.subject = Subject::repository;
  auto restored = [&] {
    const ProgressReporter reporter(mode, *context.console, *environment.clock,
                                    [&] { return view_of(cluster.name, progress); });
    return restore::run_restore(options, environment);
  }();
  // Until then what was looked for, a backup or a way to the target, was in the repository.
  if (progress.phase != RestoreProgress::Phase::planning) context.subject = Subject::target;
  const RestoreReport report = HAUL_TRY(std::move(restored));

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
