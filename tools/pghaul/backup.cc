#include "engine/backup/backup.h"

#include <charconv>

#include "base/format.h"
#include "tools/pghaul/commands.h"
#include "tools/pghaul/json_output.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {

namespace {

using backup::BackupOptions;
using backup::BackupProgress;
using backup::BackupReport;

// On standard error; info lists all that were recorded.
constexpr std::size_t kBadPagesShown = 20;

// "N" pages or "P%" of them.
Result<backup::AuditSize> parse_audit(std::string_view text) {
  const Error wrong(ErrorCode::usage,
                    format("\"{}\" is neither a number of pages nor a share", text),
                    "e.g. --audit 5000 or --audit 2%");
  backup::AuditSize audit;
  const bool is_share = text.ends_with('%');
  const std::string_view digits = is_share ? text.substr(0, text.size() - 1) : text;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), number);
  if (error != std::errc() || end != digits.end() || (is_share && number > 100)) return wrong;
  (is_share ? audit.ppm : audit.pages) = is_share ? number * 10'000 : number;
  return audit;
}

Status take_change_options(const Settings& settings, BackupOptions& options) {
  const std::string changes = settings.value_or("changes", "scan");
  if (changes != "scan" && changes != "wal") return wrong_choice(settings, "changes", "scan, wal");
  if (changes == "wal") options.changes = BackupOptions::Changes::wal;
  if (changes == "wal" && options.mode == BackupOptions::Mode::offline) {
    return Error(ErrorCode::usage, "--changes wal needs a server that runs",
                 "leave out --offline, or --changes wal");
  }
  if (const auto audit = settings.value("audit")) {
    auto parsed = parse_audit(*audit);
    if (!parsed) return std::move(parsed).take_error().with_context(settings.origin("audit"));
    options.audit = *parsed;
  }
  return ok();
}

Result<BackupOptions> options_of(Context& context, const std::string& cluster) {
  const Settings& settings = *context.settings;
  BackupOptions options;
  options.cluster = cluster;
  HAUL_TRY(take_server_options(settings, options));
  const std::string checkpoint = settings.value_or("checkpoint", "spread");
  if (checkpoint != "fast" && checkpoint != "spread") {
    return wrong_choice(settings, "checkpoint", "fast, spread");
  }
  options.checkpoint =
      checkpoint == "fast" ? postgres::CheckpointMode::fast : postgres::CheckpointMode::spread;
  const std::string wal = settings.value_or("wal", "auto");
  if (wal == "include") {
    options.wal = BackupOptions::Wal::include;
  } else if (wal == "archive") {
    options.wal = BackupOptions::Wal::archive;
  } else if (wal != "auto") {
    return wrong_choice(settings, "wal", "auto, include, archive");
  }
  if (const auto codec = settings.value("compress")) {
    auto parsed = compress::parse_codec_choice(*codec);
    if (!parsed) return std::move(parsed).take_error().with_context(settings.origin("compress"));
    options.codec = *parsed;
  }
  options.label = settings.value_or("label", options.label);
  HAUL_TRY(postgres::check_label(options.label));
  if (HAUL_TRY(settings.flag("offline"))) options.mode = BackupOptions::Mode::offline;
  if (HAUL_TRY(settings.flag("dry-run"))) options.run = BackupOptions::Run::dry;
  const std::string type = settings.value_or("type", "auto");
  if (type != "auto" && type != "full") return wrong_choice(settings, "type", "auto, full");
  if (type == "full") options.type = BackupOptions::Type::full;
  HAUL_TRY(take_change_options(settings, options));
  options.workers = HAUL_TRY(worker_count(context));
  if (const auto rate = settings.value("rate")) {
    auto parsed = parse_size(*rate);
    if (parsed && *parsed == 0) parsed = Error(ErrorCode::usage, "a rate of 0 would never end");
    if (!parsed) return std::move(parsed).take_error().with_context(settings.origin("rate"));
    options.bytes_per_second = *parsed;
  }
  return options;
}

const char* phase_name(BackupProgress::Phase phase) {
  switch (phase) {
    case BackupProgress::Phase::connecting: return "connecting";
    case BackupProgress::Phase::starting: return "waiting for the server's checkpoint";
    case BackupProgress::Phase::finding_changes: return "reading WAL";
    case BackupProgress::Phase::copying: return "copying";
    case BackupProgress::Phase::stopping: return "stopping, copying the last WAL";
    case BackupProgress::Phase::archiving: return "waiting for the archive";
    case BackupProgress::Phase::committing: return "committing";
  }
  return "copying";
}

ProgressView view_of(const std::string& cluster, const BackupProgress& progress) {
  const BackupProgress::Phase phase = progress.phase;
  ProgressView view;
  view.what = format("backup {}", cluster);
  view.phase = phase_name(phase);
  view.kind = phase == BackupProgress::Phase::copying ? ProgressView::Kind::counting
                                                      : ProgressView::Kind::waiting;
  view.done_bytes = progress.bytes_done;
  view.total_bytes = progress.bytes_total;
  view.stored_bytes = progress.stored_bytes;
  if (const auto backend = progress.io_backend.load()) view.io_backend = *backend;
  return view;
}

std::string timelines_of(const postgres::BackupFacts& facts) {
  if (facts.start_timeline == facts.stop_timeline) return format("{}", facts.stop_timeline.value);
  return format("{}..{}", facts.start_timeline.value, facts.stop_timeline.value);
}

std::string summary_of(const BackupReport& report, std::chrono::nanoseconds duration) {
  const auto& statistics = report.snapshot.statistics;
  const postgres::BackupFacts& facts = report.facts;
  std::string bad_pages;
  if (facts.bad_page_count > 0) {
    bad_pages = format(", {} page checksum failure{}", facts.bad_page_count,
                       facts.bad_page_count == 1 ? "" : "s");
  }
  const std::string changed =
      report.snapshot.parent.empty()
          ? std::string()
          : format(", {} changed since {}", print_size(statistics.changed_bytes),
                   report.snapshot.parent);
  return format("backup {} done: {} in {}{}, stored {}{}, WAL {}..{} ({})", report.snapshot.id,
                print_size(statistics.source_bytes), print_duration(duration), changed,
                print_size(statistics.stored_bytes), bad_pages, to_string(facts.start),
                to_string(facts.stop), timelines_of(facts));
}

void print_warnings(Context& context, const BackupReport& report) {
  for (const std::string& warning : report.warnings) context.console->warning(warning);
  for (const std::string& finding : report.findings) {
    context.console->warning(format("damage in the repository was worked around: {}", finding));
  }
  const std::vector<postgres::BadPage>& pages = report.facts.bad_pages;
  for (std::size_t i = 0; i < pages.size() && i < kBadPagesShown; ++i) {
    context.console->warning(
        format("page checksum failure in {}, block {}", pages[i].path, pages[i].block));
  }
  if (report.facts.bad_page_count > kBadPagesShown) {
    context.console->warning(
        format("and {} more page checksum failures", report.facts.bad_page_count - kBadPagesShown));
  }
}

void print_dry_run(Context& context, const BackupReport& report, const std::string& cluster) {
  if (context.output == Context::Output::json) {
    print_json(context, backup_dry_run_json(report, cluster));
    return;
  }
  print_line(context,
             format("would back up {} as cluster {}: {} files, {}", report.facts.data_directory,
                    cluster, report.planned_files, print_size(report.planned_bytes)));
}

}  // namespace

Result<int> run_backup_command(Context& context) {
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  context.subject = Subject::request;
  const BackupOptions options = HAUL_TRY(options_of(context, cluster.name));
  const ProgressMode mode = HAUL_TRY(progress_mode(context));
  context.subject = Subject::source;
  // Who asks for a slow backup wants the server to be quick.
  if (options.bytes_per_second > 0) context.platform->give_way();

  BackupProgress progress;
  backup::BackupEnvironment environment;
  environment.repository = &*context.repository;
  environment.clock = &context.platform->clock();
  environment.random = &context.platform->random();
  environment.log = context.console;
  environment.stop = context.stop;
  environment.open_directory = directory_opener(context);
  environment.progress = &progress;
  environment.spool = [&context] {
    const auto directory = context.platform->variable("TMPDIR");
    return context.platform->open_directory(directory && !directory->empty() ? *directory
                                                                             : "/var/tmp");
  };
  environment.rings = HAUL_TRY(ring_factory(context));
  environment.program = program_version();
  const auto begin = environment.clock->now_monotonic();
  auto report = [&] {
    const ProgressReporter reporter(mode, *context.console, *environment.clock,
                                    [&] { return view_of(cluster.name, progress); });
    return backup::run_backup(options, environment);
  }();
  if (!report) {
    // What is wrong by then was wrong in what has been stored.
    const BackupProgress::Phase phase = progress.phase;
    const bool stored = phase == BackupProgress::Phase::committing ||
                        phase == BackupProgress::Phase::archiving ||
                        phase == BackupProgress::Phase::finding_changes;
    if (stored) context.subject = Subject::repository;
    return std::move(report).take_error();
  }
  const auto duration = environment.clock->now_monotonic() - begin;

  print_warnings(context, *report);
  if (options.run == BackupOptions::Run::dry) {
    print_dry_run(context, *report, cluster.name);
    return kDone;
  }
  if (context.output == Context::Output::json) {
    print_json(context, backup_result_json(*report, duration));
  } else {
    print_summary(context, summary_of(*report, duration));
  }
  return report->facts.bad_page_count > 0 ? kBadSourcePages : kDone;
}

}  // namespace haul::cli
