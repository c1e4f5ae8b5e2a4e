#include "engine/verify/verify.h"

#include <charconv>

#include "base/format.h"
#include "engine/restore/restore.h"
#include "tools/pghaul/commands.h"
#include "tools/pghaul/json_output.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {

namespace {

using verify::AffectedBackup;
using verify::VerifyOptions;
using verify::VerifyProgress;
using verify::VerifyReport;

using ClusterReport = std::pair<std::string, VerifyReport>;

Result<VerifyReport> verify_cluster(Context& context, const VerifyOptions& options,
                                    ProgressMode mode) {
  VerifyProgress progress;
  verify::VerifyEnvironment environment;
  environment.repository = &*context.repository;
  environment.clock = &context.platform->clock();
  environment.log = context.console;
  environment.stop = context.stop;
  environment.progress = &progress;
  environment.random = &context.platform->random();
  environment.program = program_version();
  const ProgressReporter reporter(mode, *context.console, *environment.clock, [&] {
    ProgressView view;
    view.what = format("verify {}", options.cluster);
    view.phase = "checking";
    view.done_bytes = progress.bytes_done;
    view.total_bytes = progress.bytes_total;
    return view;
  });
  return verify::run_verify(options, environment);
}

void print_affected(Context& context, const AffectedBackup& affected) {
  if (affected.loss == AffectedBackup::Loss::everything) {
    print_line(context, format("backup {} cannot be restored", affected.backup));
    return;
  }
  if (affected.loss == AffectedBackup::Loss::wal) {
    print_line(context,
               format("backup {} cannot be recovered: its WAL is damaged", affected.backup));
    return;
  }
  print_line(context, format("backup {}: {} file{} cannot be restored whole", affected.backup,
                             affected.lost_file_count, affected.lost_file_count == 1 ? "" : "s"));
  for (const std::string& file : affected.lost_files) {
    const auto whole = affected.whole_in.find(file);
    const std::string elsewhere =
        whole == affected.whole_in.end() ? "" : format(", whole in {}", whole->second);
    print_line(context, format("  {}{}", file, elsewhere));
  }
  if (affected.lost_file_count > affected.lost_files.size()) {
    print_line(context,
               format("  and {} more", affected.lost_file_count - affected.lost_files.size()));
  }
}

// "1 backup", "2 backups".
std::string counted(std::uint64_t count, std::string_view noun) {
  return format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

void print_report(Context& context, const std::string& cluster, const VerifyReport& report) {
  for (const std::string& line : report.damage) print_line(context, "damage: " + line);
  for (const AffectedBackup& affected : report.affected) print_affected(context, affected);
  for (const verify::LostMoments& moments : report.lost_moments) {
    print_line(context,
               format("cannot be recovered any more: {} to {} on timeline {}",
                      to_string(moments.from), to_string(moments.to), moments.timeline.value));
  }
  const std::string amount = format(
      "{}, {}, {}, {} read", counted(report.backups, "backup"), counted(report.packs, "pack"),
      counted(report.wal_files, "WAL file"), print_size(report.bytes_read));
  if (!report.sound()) {
    print_line(context, format("verify {}: {}: {}, {} affected", cluster, amount,
                               counted(report.damage.size(), "finding"),
                               counted(report.affected.size(), "backup")));
    return;
  }
  print_summary(context, format("verify {}: {}: sound", cluster, amount));
  if (report.unreferenced_packs > 0) {
    print_summary(context, format("not referenced by any backup, which is harmless: {}",
                                  counted(report.unreferenced_packs, "pack")));
  }
}

// "2/7"
Result<verify::Shard> parse_shard(std::string_view text) {
  verify::Shard shard;
  const char* const end = text.data() + text.size();
  const auto number = std::from_chars(text.data(), end, shard.number);
  const bool split = number.ec == std::errc{} && number.ptr != end && *number.ptr == '/';
  const auto of = split ? std::from_chars(number.ptr + 1, end, shard.of) : number;
  if (!split || of.ec != std::errc{} || of.ptr != end || shard.number < 1 ||
      shard.number > shard.of || shard.of > verify::kShardsMax) {
    return Error(
        ErrorCode::usage, format("\"{}\" is no share like 2/7", text),
        format("K and N are numbers from 1, K at most N, N at most {}", verify::kShardsMax));
  }
  return shard;
}

Status read_depth(const Settings& settings, VerifyOptions& options) {
  if (HAUL_TRY(settings.flag("data"))) options.depth = VerifyOptions::Depth::data;
  const auto text = settings.value("shard");
  if (!text) return ok();
  if (options.depth != VerifyOptions::Depth::data) {
    return Error(ErrorCode::usage, format("{} is a share of the data", settings.origin("shard")),
                 "give --data too");
  }
  auto shard = parse_shard(*text);
  if (!shard) return std::move(shard).take_error().with_context(settings.origin("shard"));
  options.shard = *shard;
  return ok();
}

// Without a name, all clusters: a repository is sound when all of it is.
Result<std::vector<std::string>> clusters_to_verify(Context& context) {
  const bool named =
      context.settings->named_cluster().has_value() || !context.settings->arguments().empty();
  if (!named) {
    const std::vector<std::string> all = HAUL_TRY(context.repository->clusters());
    std::vector<std::string> valid;
    for (const std::string& name : all) {
      // Another name is no cluster's; every run reports what lies there.
      if (repository::check_cluster_name(name)) valid.push_back(name);
    }
    if (valid.size() > 1) return valid;
  }
  return std::vector{HAUL_TRY(choose_cluster(context))};
}

}  // namespace

Result<int> run_verify_command(Context& context) {
  if (const auto named = context.settings->named_cluster()) {
    context.settings->select_cluster(*named);
  }
  HAUL_TRY(open_repository(context));
  const std::vector<std::string> clusters = HAUL_TRY(clusters_to_verify(context));
  context.subject = Subject::request;
  VerifyOptions options;
  HAUL_TRY(read_depth(*context.settings, options));
  options.workers = HAUL_TRY(worker_count(context));
  const ProgressMode mode = HAUL_TRY(progress_mode(context));
  context.subject = Subject::repository;

  std::vector<ClusterReport> reports;
  bool sound = true;
  for (const std::string& cluster : clusters) {
    options.cluster = cluster;
    options.backups.clear();
    for (const std::string& name : context.settings->arguments()) {
      options.backups.push_back(
          HAUL_TRY(restore::resolve_backup(HAUL_TRY(context.repository->cluster(cluster)), name)));
    }
    reports.emplace_back(cluster, HAUL_TRY(verify_cluster(context, options, mode)));
    sound = sound && reports.back().second.sound();
    if (const auto& failure = reports.back().second.not_recorded) {
      context.console->warning(format("this verification is not recorded: {}", failure->message()));
    }
    if (context.output == Context::Output::text) {
      print_report(context, cluster, reports.back().second);
    }
  }
  if (context.output == Context::Output::json) print_json(context, verify_result_json(reports));
  return sound ? kDone : kDamaged;
}

}  // namespace haul::cli
