#include "engine/restore/restore.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "base/format.h"
#include "engine/flow/workers.h"
#include "engine/repository/chunk_reader.h"
#include "engine/repository/findings.h"
#include "engine/repository/index.h"
#include "engine/repository/pack_opener.h"
#include "engine/restore/clear_target.h"
#include "engine/restore/configuration.h"
#include "engine/restore/earlier_state.h"
#include "engine/restore/owner.h"
#include "engine/restore/place.h"
#include "engine/restore/plan.h"
#include "engine/restore/recovery_plan.h"
#include "engine/restore/recovery_settings.h"
#include "engine/restore/replayed_tablespaces.h"
#include "engine/restore/seal.h"
#include "engine/restore/target.h"
#include "io/posix_directory.h"

namespace haul::restore {

namespace {

// Named in the error itself; the log has them all.
constexpr std::size_t kLostFilesNamed = 5;

class Restore {
 public:
  Restore(const RestoreOptions& options, RestoreEnvironment& environment)
      : options_(options), environment_(environment) {
    open_ = environment.open_directory;
    if (!open_) open_ = [](const std::string& path) { return io::open_posix_directory(path); };
  }

  Result<RestoreReport> run() {
    auto restored = restore();
    report_.findings = findings_.lines();
    // A report is not there to carry them when the restore fails.
    if (!restored) {
      for (const std::string& line : report_.findings) environment_.log->warning(line);
      return std::move(restored).take_error();
    }
    return std::move(report_);
  }

 private:
  Status restore() {
    const auto begin = environment_.clock->now_monotonic();
    const auto cluster = HAUL_TRY(environment_.repository->cluster(options_.cluster));
    const auto index = HAUL_TRY(
        repository::Index::open(cluster, findings_, repository::Index::Packs::listed_when_needed));
    repository::ChunkReader chunks(cluster, *index, findings_);
    ChosenBackup chosen = HAUL_TRY(choose_backup(recovery_request(cluster, chunks)));
    RestorePlan& plan = chosen.plan;
    std::optional<repository::PackOpener> opener;
    if (options_.run != RestoreOptions::Run::dry) opener.emplace(chunks, plan.packs);
    std::ranges::copy(chosen.warnings, std::back_inserter(report_.warnings));
    TargetLayout layout = HAUL_TRY(make_layout(options_, plan.facts));
    HAUL_TRY(check_place(plan, cluster, layout));
    const PathProbe exists = [this](const std::string& path) { return path_exists(path); };
    ConfigurationPlan configuration = HAUL_TRY(plan_configuration(plan, chunks, exists));
    if (chosen.recovery) {
      const RecoveryPlan& recovery = *chosen.recovery;
      HAUL_TRY(check_replayed_tablespaces(recovery.survey.tablespaces, layout, open_));
      HAUL_TRY(plan_recovery_files({recovery.target, recovery.settings, layout.data_directory},
                                   chunks, plan, configuration));
      if (chosen.unfinished) plan_wal_file(*std::move(chosen.unfinished), plan, configuration);
      report_.recovery = std::make_shared<const RecoveryPlan>(*std::move(chosen.recovery));
      if (options_.recovery.archiving == RecoveryTarget::Archiving::off) {
        report_.warnings.emplace_back(
            "archiving is off in the restored cluster (archive_mode = off): nothing of what it "
            "does next can be recovered until that is changed; --take-over leaves it on");
      }
    }
    std::ranges::copy(configuration.lost_files, std::back_inserter(plan.lost_files));
    fill_report(plan, layout, configuration);
    report_.plan_time = environment_.clock->now_monotonic() - begin;
    if (!plan.lost_files.empty()) return survey(plan, chunks);
    if (options_.start == RestoreOptions::Start::yes) HAUL_TRY(find_programs());
    if (options_.run == RestoreOptions::Run::dry) return ok();
    HAUL_TRY(place_and_seal(plan, layout, configuration, chunks));
    return options_.start == RestoreOptions::Start::yes ? start(layout) : ok();
  }

  postgres::ProcessProbe& processes() {
    return environment_.processes != nullptr ? *environment_.processes : system_processes_;
  }

  // All that can be refused of the target is refused here.
  Status check_place(const RestorePlan& plan, const repository::Cluster& cluster,
                     TargetLayout& layout) {
    if (options_.delta == RestoreOptions::Delta::no) {
      return check_vacant(layout, open_, processes());
    }
    EarlierStateRequest request;
    request.layout = &layout;
    request.facts = &plan.facts;
    request.mappings = &options_.mappings;
    request.repository = cluster.store->name();
    earlier_ = HAUL_TRY(check_earlier_state(request, open_, processes()));
    layout.abandoned = earlier_->abandoned;
    if (earlier_->is_vacant) earlier_.reset();
    return ok();
  }

  int server_major() const { return report_.facts.server_version / 10000; }

  // Before anything is copied: a server that cannot be started is known then.
  Status find_programs() {
    SystemProgramRunner system({});
    ProgramRunner* const runner = environment_.programs;
    programs_ = HAUL_TRY(find_server_programs(runner != nullptr ? *runner : system,
                                              options_.server_programs, server_major()));
    return ok();
  }

  Status start(const TargetLayout& layout) {
    enter(RestoreProgress::Phase::replaying);
    const auto directory = HAUL_TRY(open_(layout.data_directory));
    SystemProgramRunner system_programs(owner_);
    ServerStart start{programs_, layout.data_directory, server_major(), options_.recovery, {}};
    if (report_.recovery) start.replayed = report_.recovery->survey.end;
    ServerEnvironment server;
    server.runner = environment_.programs != nullptr ? environment_.programs : &system_programs;
    server.directory = directory.get();
    server.processes = &processes();
    server.clock = environment_.clock;
    server.stop = environment_.stop;
    report_.server = HAUL_TRY(start_server(start, server));
    return ok();
  }

  RecoveryRequest recovery_request(const repository::Cluster& cluster,
                                   repository::ChunkReader& chunks) const {
    RecoveryRequest request;
    request.cluster = &cluster;
    request.chunks = &chunks;
    request.backup = options_.backup;
    request.target = options_.recovery;
    request.access = {environment_.program, cluster.store->name(), to_hex(cluster.repository.bytes),
                      cluster.name};
    request.workers = flow::resolve_workers(options_.workers);
    request.stop = environment_.stop;
    return request;
  }

  bool path_exists(const std::string& path) const {
    if (open_(path)) return true;
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos || slash + 1 == path.size()) return false;
    const auto parent = open_(slash == 0 ? "/" : path.substr(0, slash));
    return parent && (*parent)->info(path.substr(slash + 1)).has_value();
  }

  void fill_report(const RestorePlan& plan, const TargetLayout& layout,
                   const ConfigurationPlan& configuration) {
    report_.backup = plan.backup;
    report_.facts = plan.facts;
    report_.files = plan.files + plan.configuration.size() + configuration.rewritten.size() + 1;
    report_.bytes = plan.bytes;
    for (const TablespacePlace& place : layout.tablespaces) {
      report_.tablespaces.emplace_back(place.from, place.to);
    }
    for (const ConfigurationFile& file : configuration.files) {
      report_.configuration.emplace_back(file.from, layout.data_directory + "/" + file.to);
    }
    std::ranges::copy(plan.warnings, std::back_inserter(report_.warnings));
    std::ranges::copy(configuration.warnings, std::back_inserter(report_.warnings));
    if (environment_.progress != nullptr) environment_.progress->bytes_total = plan.bytes;
  }

  PlaceContext place_context(repository::ChunkReader& chunks, Target* target) {
    PlaceContext context;
    context.chunks = &chunks;
    context.findings = &findings_;
    context.target = target;
    context.is_delta = target != nullptr && earlier_.has_value();
    context.workers = flow::resolve_workers(options_.workers);
    context.rings = environment_.rings;
    context.stop = environment_.stop;
    context.progress = environment_.progress;
    return context;
  }

  void enter(RestoreProgress::Phase phase) {
    if (environment_.progress != nullptr) environment_.progress->phase = phase;
  }

  // The restore has failed already; the user is told of all that is lost, not of the first.
  Status survey(const RestorePlan& plan, repository::ChunkReader& chunks) {
    enter(RestoreProgress::Phase::copying);
    PlaceResult result = HAUL_TRY(place_files(plan, place_context(chunks, nullptr)));
    std::ranges::copy(plan.lost_files, std::back_inserter(result.lost_files));
    result.lost_file_count += plan.lost_files.size();
    return lost(plan, result);
  }

  Error lost(const RestorePlan& plan, const PlaceResult& result) const {
    std::string named;
    for (const std::string& path : result.lost_files) {
      environment_.log->error(format("cannot be restored: {}", path));
    }
    const std::size_t count = std::min(result.lost_files.size(), kLostFilesNamed);
    for (std::size_t i = 0; i < count; ++i) {
      named += (i == 0 ? "" : ", ") + result.lost_files[i];
    }
    if (count < result.lost_file_count) named += ", ...";
    return Error(ErrorCode::corrupt,
                 format("backup {}: {} files cannot be restored whole: {}", plan.backup,
                        result.lost_file_count, named),
                 "the log names them all; another backup may have them");
  }

  Result<std::unique_ptr<Target>> open_target(const RestorePlan& plan, const TargetLayout& layout) {
    Target::Options target;
    if (plan.group_access) target.rules = {0750, 0640, std::nullopt};
    SystemUserDatabase users;
    target.rules.owner = owner_ = choose_owner(options_, plan.facts, users, report_.warnings);
    target.marker.system_identifier = plan.facts.system_identifier;
    for (const TablespacePlace& place : layout.tablespaces) {
      target.marker.tablespaces.push_back(place.to);
    }
    if (earlier_) {
      // It may have been long since it was looked for.
      HAUL_TRY(check_no_server(layout, open_, processes()));
      target.is_delta = true;
      std::ranges::copy(earlier_->abandoned, std::back_inserter(target.marker.tablespaces));
    }
    return Target::create(layout, target, open_);
  }

  // What is there ceases to be a cluster before anything of it is changed.
  Status clear(const RestorePlan& plan, repository::ChunkReader& chunks, Target& target) {
    HAUL_TRY(remove_control_file(target));
    ClearResult cleared = HAUL_TRY(clear_target(plan, chunks, target, open_, environment_.stop));
    std::ranges::move(cleared.warnings, std::back_inserter(report_.warnings));
    report_.delta = RestoreReport::Delta{0, cleared.removed};
    return ok();
  }

  Status place_and_seal(const RestorePlan& plan, const TargetLayout& layout,
                        const ConfigurationPlan& configuration, repository::ChunkReader& chunks) {
    const auto begin = environment_.clock->now_monotonic();
    enter(RestoreProgress::Phase::copying);
    const auto target = HAUL_TRY(open_target(plan, layout));
    if (earlier_) {
      HAUL_TRY(clear(plan, chunks, *target));
    } else {
      HAUL_TRY(place_directories(plan, *target));
    }
    const PlaceResult placed = HAUL_TRY(place_files(plan, place_context(chunks, target.get())));
    if (placed.lost_file_count > 0) return lost(plan, placed);
    const auto copied = environment_.clock->now_monotonic();
    report_.copy_time = copied - begin;
    enter(RestoreProgress::Phase::syncing);
    report_.io_backend = placed.io_backend;
    if (report_.delta) report_.delta->kept_bytes = placed.kept_bytes;
    HAUL_TRY(seal({&chunks, &plan, &configuration, placed.crcs, environment_.clock->now_utc()},
                  *target));
    report_.sync_time = environment_.clock->now_monotonic() - copied;
    // With pg_control and the configuration, which no worker copied.
    if (environment_.progress != nullptr) environment_.progress->bytes_done = plan.bytes;
    return ok();
  }

  const RestoreOptions& options_;
  RestoreEnvironment& environment_;
  DirectoryOpener open_;
  postgres::SystemProcessProbe system_processes_;
  repository::Findings findings_;
  std::optional<EarlierState> earlier_;  // of a delta restore that finds something
  std::string programs_;
  std::optional<io::FileOwner> owner_;
  RestoreReport report_;
};

}  // namespace

Result<RestoreReport> run_restore(const RestoreOptions& options, RestoreEnvironment& environment) {
  return Restore(options, environment).run();
}

}  // namespace haul::restore
