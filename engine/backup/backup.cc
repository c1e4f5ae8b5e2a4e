#include "engine/backup/backup.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <iterator>
#include <mutex>

#include "base/format.h"
#include "engine/backup/backup_wal.h"
#include "engine/backup/changes_ahead.h"
#include "engine/backup/changes_since.h"
#include "engine/backup/commit.h"
#include "engine/backup/configuration.h"
#include "engine/backup/copy.h"
#include "engine/backup/preflight.h"
#include "engine/backup/wal_store.h"
#include "engine/flow/workers.h"
#include "engine/postgres/backup_label.h"

namespace haul::backup {

namespace {

using Phase = BackupProgress::Phase;
using repository::EntryKind;
using repository::TreeEntry;
using repository::TreeRoot;

TreeEntry entry_of(const PlannedDirectory& directory) {
  TreeEntry entry;
  entry.kind = EntryKind::directory;
  entry.path = directory.path;
  entry.mode = directory.info.mode;
  entry.user = directory.info.user;
  entry.group = directory.info.group;
  return entry;
}

TreeEntry entry_of(const PlannedLink& link) {
  TreeEntry entry;
  entry.kind = EntryKind::link;
  entry.path = link.path;
  entry.mode = 0777;
  entry.link_target = link.target;
  return entry;
}

using AddEntry = std::function<Status(const TreeEntry&)>;

// Directories and links are entries at once; files are so when they have been copied.
class CopyingSink final : public PlanSink {
 public:
  CopyingSink(const CopyContext::TakeFile& take_file, const AddEntry& add_entry,
              BackupProgress& progress)
      : take_file_(take_file), add_entry_(add_entry), progress_(progress) {}

  Status directory(PlannedDirectory directory) override {
    // The data directory itself is in the facts.
    return directory.path.empty() ? ok() : add_entry_(entry_of(directory));
  }
  Status file(PlannedFile file) override {
    progress_.bytes_total += file.info.size_bytes;
    return take_file_(std::move(file));
  }
  Status link(PlannedLink link) override { return add_entry_(entry_of(link)); }

 private:
  const CopyContext::TakeFile& take_file_;
  const AddEntry& add_entry_;
  BackupProgress& progress_;
};

// Of a dry run: only the summary is wanted.
class CountingSink final : public PlanSink {
 public:
  Status directory(PlannedDirectory) override { return ok(); }
  Status file(PlannedFile) override { return ok(); }
  Status link(PlannedLink) override { return ok(); }
};

// One backup on its way; the members come into being in the order of the steps.
class Backup {
 public:
  Backup(const BackupOptions& options, BackupEnvironment& environment,
         const repository::Cluster& cluster)
      : options_(options),
        environment_(environment),
        cluster_(cluster),
        entries_(environment.repository->parameters().chunk_pages, {environment.spool}) {}

  Result<BackupReport> run() {
    preflight_ = HAUL_TRY(run_preflight(options_, environment_, cluster_));
    // Nobody waits for a server that does not answer once the user has asked to stop.
    const std::stop_callback cancel(environment_.stop, [this] {
      if (preflight_.session) preflight_.session->cancel();
    });
    if (options_.run == BackupOptions::Run::dry) return dry_run();
    const bool overlaid = options_.type == BackupOptions::Type::automatic;
    repository_ = HAUL_TRY(
        RepositorySession::open(cluster_, environment_, overlaid ? &preflight_.facts : nullptr));
    auto report = online() ? run_online() : run_offline();
    if (report) return report;
    if (report.error().code() == ErrorCode::inconsistent) note_distrust(report.error());
    repository_->abandon();
    return report;
  }

 private:
  bool online() const { return options_.mode == BackupOptions::Mode::online; }
  void enter(Phase phase) { environment_.progress->phase = phase; }
  const postgres::ControlFile& control() const { return preflight_.control; }

  Result<BackupReport> dry_run() {
    CountingSink sink;
    const SourceSummary plan = HAUL_TRY(
        plan_source(*preflight_.source, control(), {environment_.spool}, environment_.stop, sink));
    BackupReport report;
    report.facts = preflight_.facts;
    report.planned_files = plan.files + 1;  // and the control file
    report.planned_bytes = plan.bytes;
    report.warnings = plan.warnings;
    return report;
  }

  TreeEntry prototype() const {
    TreeEntry entry;
    entry.mode = preflight_.directory_info.mode & 0640U;
    entry.user = preflight_.directory_info.user;
    entry.group = preflight_.directory_info.group;
    entry.page_size_bytes = control().block_size_bytes;
    return entry;
  }

  Result<BackupReport> run_online() {
    postgres::BackupSession& session = *preflight_.session;
    enter(Phase::archiving);
    const auto wal = HAUL_TRY(open_backup_wal(
        {&options_, &environment_, &cluster_, &preflight_, repository_.get(), prototype()}));
    const std::stop_callback cancel(environment_.stop, [&wal] { wal->cancel(); });
    enter(Phase::starting);
    if (options_.changes == BackupOptions::Changes::wal) HAUL_TRY(prepare_changes());
    std::optional<ChangesAhead> ahead;
    if (since_) ahead.emplace(*since_);
    const postgres::StartResult start =
        HAUL_TRY(session.start(options_.label, options_.checkpoint));
    HAUL_TRY(wal->start(start));

    if (ahead) {
      enter(Phase::finding_changes);
      ahead->wait();
      HAUL_TRY(find_changes(start));
    }
    enter(Phase::copying);
    PageCheckContext pages = page_check_context();
    pages.start = start.start;
    pages.current_insert_lsn = [&session] { return session.current_wal_insert_lsn(); };
    HAUL_TRY(copy(pages, [&session, &wal]() -> Status {
      HAUL_TRY(session.health());
      return wal->health();
    }));
    HAUL_TRY(copy_configuration());
    // Last of all data: a standby's backup relies on it, and it costs a primary's nothing.
    HAUL_TRY(copy_control_file());

    enter(Phase::stopping);
    wal->prepare_stop();
    const postgres::StopResult stop = HAUL_TRY(session.stop());
    if (!wal->is_included()) enter(Phase::archiving);
    HAUL_TRY(wal->finish(stop));
    // Its WAL has an end now.
    if (!suspects_.empty()) HAUL_TRY(suspects_.check(HAUL_TRY(changes_during(*since_, stop.stop))));
    // What a restore could not use must not be committed.
    HAUL_TRY(postgres::parse_backup_label(stop.backup_label, control().wal_segment_size_bytes));
    HAUL_TRY(postgres::parse_tablespace_map(stop.tablespace_map));
    const BackupWal::Included included = wal->take_included();
    HAUL_TRY(take_entries(included.entries));
    snapshot_.statistics.hole_bytes += included.hole_bytes;

    postgres::BackupFacts& facts = preflight_.facts;
    facts.start = start.start;
    facts.stop = stop.stop;
    facts.start_timeline = start.timeline;
    facts.stop_timeline = stop.timeline;
    facts.start_time = start.start_time;
    facts.stop_time = stop.stop_time;
    facts.wal_included = wal->is_included();
    facts.label = options_.label;
    facts.backup_label = stop.backup_label;
    facts.tablespace_map = stop.tablespace_map;
    return commit();
  }

  Result<BackupReport> run_offline() {
    enter(Phase::copying);
    HAUL_TRY(copy(page_check_context(), [] { return ok(); }));
    HAUL_TRY(copy_offline_wal());
    HAUL_TRY(copy_control_file());
    HAUL_TRY(check_still_shut_down(preflight_, *environment_.clock));

    postgres::BackupFacts& facts = preflight_.facts;
    facts.start = control().checkpoint_redo;
    facts.stop = control().checkpoint;
    facts.start_timeline = facts.stop_timeline = control().timeline;
    facts.wal_included = true;
    facts.label = options_.label;
    return commit();
  }

  // Nothing comes of it where everything has to be read.
  Status prepare_changes() {
    Parent* const parent = repository_->parent();
    if (parent == nullptr) return ok();
    if (auto reason =
            HAUL_TRY(check_changes_usable(cluster_, parent->snapshot(), preflight_.facts))) {
      report_.warnings.push_back(*std::move(reason));
      return ok();
    }
    std::array<std::byte, sizeof(std::uint64_t)> seed{};
    HAUL_TRY(environment_.random->fill(seed));
    ChangesSince& since = since_.emplace();
    since.cluster = &cluster_;
    since.index = &repository_->index();
    since.findings = &repository_->findings();
    since.parent = parent;
    since.preflight = &preflight_;
    since.start.timeline = control().timeline;
    since.audit = options_.audit;
    since.workers = flow::resolve_workers(options_.workers);
    since.seed = std::bit_cast<std::uint64_t>(seed);
    since.stop = environment_.stop;
    return ok();
  }

  // What is read of the files from here on.
  Status find_changes(const postgres::StartResult& start) {
    since_->start = start;
    changes_ = HAUL_TRY(select_changes(*since_));
    repository_->writer().inherit(repository_->parent()->snapshot().packs);
    snapshot_.from_wal = true;
    return ok();
  }

  void note_distrust(const Error& error) {
    const Status noted = record_distrust(cluster_, repository_->lease().id(), error);
    if (!noted) environment_.log->warning(noted.error().message());
  }

  PageCheckContext page_check_context() const {
    PageCheckContext pages;
    pages.page_size_bytes = control().block_size_bytes;
    pages.checksums = control().data_checksums();
    return pages;
  }

  Status copy(const PageCheckContext& pages, std::function<Status()> health) {
    snapshot_.copy_started = environment_.clock->now_utc();
    SourceSummary summary;
    CopyContext context;
    context.source = preflight_.source.get();
    context.writer = &repository_->writer();
    context.metadata = &repository_->metadata();
    context.parent = repository_->parent();
    context.changes = changes_.get();
    context.pages = pages;
    context.codec = options_.codec;
    context.workers = flow::resolve_workers(options_.workers);
    context.rings = environment_.rings ? environment_.rings : io::open_ring;
    context.bytes_per_second = options_.bytes_per_second;
    context.clock = environment_.clock;
    context.stop = environment_.stop;
    context.progress = environment_.progress;
    context.health = std::move(health);
    context.plan = [&](const CopyContext::TakeFile& take_file) -> Status {
      summary = HAUL_TRY(plan(take_file));
      return ok();
    };
    context.add_entry = [this](const TreeEntry& entry) { return add_entry(entry); };
    CopyResult result = HAUL_TRY(copy_files(context));
    for (const auto* vanished :
         {&summary.vanished_with_directory, &result.vanished_with_directory}) {
      HAUL_TRY(check_vanished_directories(*preflight_.source, *vanished, *environment_.clock));
    }
    HAUL_TRY(check_same_directory(preflight_, environment_));

    std::ranges::move(summary.warnings, std::back_inserter(report_.warnings));
    snapshot_.statistics.hole_bytes += result.hole_bytes;
    snapshot_.statistics.read_bytes += result.read_bytes;
    snapshot_.statistics.changed_bytes += result.changed_bytes;
    snapshot_.statistics.changed_leaves = result.changed_leaves;
    suspects_ = std::move(result.suspects);
    report_.files_vanished = result.files_vanished;
    report_.pages_reread = result.pages.reread_pages;
    report_.io_backend = result.io_backend;
    note_bad_pages(std::move(result.pages.bad_pages));
    return ok();
  }

  // On a thread of its own, while what it lists is being copied.
  Result<SourceSummary> plan(const CopyContext::TakeFile& take_file) {
    const auto databases_before = HAUL_TRY(databases());
    const AddEntry add = [this](const TreeEntry& entry) { return add_entry(entry); };
    CopyingSink sink(take_file, add, *environment_.progress);
    SourceSummary summary = HAUL_TRY(
        plan_source(*preflight_.source, control(), {environment_.spool}, environment_.stop, sink));
    HAUL_TRY(check_databases(summary, *preflight_.source, databases_before, HAUL_TRY(databases())));
    return summary;
  }

  // Nobody can be asked about a cluster that is shut down.
  Result<std::vector<postgres::DatabasePlace>> databases() {
    if (!preflight_.session) return std::vector<postgres::DatabasePlace>();
    return preflight_.session->databases();
  }

  void note_bad_pages(std::vector<postgres::BadPage> pages) {
    std::ranges::sort(pages, [](const auto& a, const auto& b) {
      const auto order = repository::compare_paths(a.path, b.path);
      return order != 0 ? order < 0 : a.block < b.block;
    });
    preflight_.facts.bad_page_count = pages.size();
    pages.resize(std::min(pages.size(), postgres::BackupFacts::kBadPagesMax));
    preflight_.facts.bad_pages = std::move(pages);
  }

  // From any thread.
  Status add_entry(const TreeEntry& entry) {
    const std::scoped_lock lock(entries_mutex_);
    return entries_.add(entry);
  }

  Status take_entries(const std::vector<TreeEntry>& entries) {
    for (const TreeEntry& entry : entries) HAUL_TRY(add_entry(entry));
    return ok();
  }

  Status copy_configuration() {
    Configuration configuration =
        read_configuration(preflight_.session->facts(), preflight_.data_directory,
                           *preflight_.source, environment_.open_directory);
    std::ranges::move(configuration.warnings, std::back_inserter(report_.warnings));
    FileStore store = HAUL_TRY(repository_->make_file_store(options_.codec));
    for (ConfigurationFile& file : configuration.files) {
      TreeEntry entry = prototype();
      entry.root = TreeRoot::configuration;
      entry.path = file.fact.path.substr(1);
      entry.mode = file.info.mode;
      entry.user = file.info.user;
      entry.group = file.info.group;
      HAUL_TRY(add_entry(HAUL_TRY(store.store(std::move(entry), file.bytes))));
      preflight_.facts.configuration.push_back(std::move(file.fact));
    }
    return ok();
  }

  Status copy_control_file() {
    const postgres::ControlFileImage image = HAUL_TRY(
        postgres::read_control_file(preflight_.source->data_directory(), *environment_.clock));
    HAUL_TRY(check_control_file_unchanged(control(), image.parsed));
    FileStore store = HAUL_TRY(repository_->make_file_store(options_.codec));
    TreeEntry entry = prototype();
    entry.path = postgres::kControlFilePath;
    entry.mode = HAUL_TRY(preflight_.source->info(entry.path)).mode;
    return add_entry(HAUL_TRY(store.store(std::move(entry), image.bytes)));
  }

  // A cluster that was shut down cleanly needs the segments from its last checkpoint's redo to that
  // checkpoint.
  Status copy_offline_wal() {
    const std::uint32_t segment_size = control().wal_segment_size_bytes;
    const postgres::WalGeometry geometry{control().server_major, control().system_identifier,
                                         segment_size, control().wal_block_size_bytes};
    io::Directory& directory = preflight_.source->wal_directory();
    WalStore wal(HAUL_TRY(repository_->make_file_store(options_.codec)), prototype());
    postgres::WalSegment segment =
        postgres::segment_of(control().checkpoint_redo, control().timeline, segment_size);
    const postgres::WalSegment last =
        postgres::segment_of(control().checkpoint, control().timeline, segment_size);
    for (; segment.number <= last.number; ++segment.number) {
      const std::string name = postgres::to_name(segment, segment_size);
      const auto file = HAUL_TRY(directory.open_file(name, io::Caching::buffered));
      std::vector<std::byte> bytes(segment_size);
      bytes.resize(HAUL_TRY(file->read_at(0, bytes)));
      const std::uint64_t needed = segment.number < last.number
                                       ? segment_size
                                       : control().checkpoint.value % segment_size + 1;
      HAUL_TRY(postgres::check_segment(bytes, geometry, segment, needed));
      HAUL_TRY(wal.begin_segment(name, bytes.size()));
      HAUL_TRY(wal.append(bytes));
      HAUL_TRY(wal.finish_segment());
    }
    for (const io::DirectoryEntry& entry : HAUL_TRY(directory.list(""))) {
      const auto timeline = postgres::parse_timeline_history_name(entry.name);
      if (!timeline || *timeline > control().timeline) continue;
      const auto file = HAUL_TRY(directory.open_file(entry.name, io::Caching::buffered));
      std::vector<std::byte> bytes(HAUL_TRY(file->info()).size_bytes);
      bytes.resize(HAUL_TRY(file->read_at(0, bytes)));
      HAUL_TRY(wal.take_history(entry.name, bytes));
    }
    return take_entries(wal.entries());
  }

  Result<BackupReport> commit() {
    enter(Phase::committing);
    snapshot_.facts = postgres::to_json(preflight_.facts);
    HAUL_TRY(repository_->commit(entries_, snapshot_, environment_));
    report_.snapshot = std::move(snapshot_);
    report_.facts = std::move(preflight_.facts);
    report_.findings = repository_->findings().lines();
    return std::move(report_);
  }

  const BackupOptions& options_;
  BackupEnvironment& environment_;
  const repository::Cluster cluster_;
  Preflight preflight_;
  std::unique_ptr<RepositorySession> repository_;
  std::optional<ChangesSince> since_;
  std::unique_ptr<const ChangeSelection> changes_;  // null: everything is read
  Suspects suspects_;
  std::mutex entries_mutex_;  // guards entries_ while files are copied
  EntrySorter entries_;
  repository::Snapshot snapshot_;
  BackupReport report_;
};

}  // namespace

Result<BackupReport> run_backup(const BackupOptions& options, BackupEnvironment& environment) {
  BackupProgress unwatched;
  BackupEnvironment own = environment;
  if (own.progress == nullptr) own.progress = &unwatched;
  const repository::Cluster cluster = HAUL_TRY(own.repository->cluster(options.cluster));
  return Backup(options, own, cluster).run();
}

}  // namespace haul::backup
