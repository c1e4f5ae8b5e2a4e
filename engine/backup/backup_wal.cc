#include "engine/backup/backup_wal.h"

#include <atomic>
#include <utility>

#include "base/format.h"
#include "engine/backup/archive_wait.h"
#include "engine/backup/wal_store.h"
#include "engine/postgres/wal_copier.h"

namespace haul::backup {

namespace {

class CopiedWal final : public BackupWal {
 public:
  static Result<std::unique_ptr<BackupWal>> open(const BackupWalContext& context) {
    auto wal = std::make_unique<CopiedWal>(WalStore(
        HAUL_TRY(context.repository->make_file_store(context.options->codec)), context.prototype));
    postgres::WalCopierOptions options;
    options.connection = context.preflight->connection;
    // Before the start: a busy server recycles the start segment within seconds.
    wal->copier_ = HAUL_TRY(postgres::WalCopier::open(
        options, context.preflight->source->wal_directory(), wal->store_));
    return std::unique_ptr<BackupWal>(std::move(wal));
  }
  explicit CopiedWal(WalStore store) : store_(std::move(store)) {}

  Status start(const postgres::StartResult& start) override {
    return copier_->start(start.start, start.timeline);
  }
  Status health() override { return copier_->health(); }
  void prepare_stop() override { copier_->prepare_stop(); }
  Status finish(const postgres::StopResult& stop) override {
    HAUL_TRY(copier_->finish(stop.stop, stop.timeline));
    return ok();
  }
  void cancel() override { copier_->cancel(); }
  Included take_included() override { return {std::move(store_.entries()), store_.hole_bytes()}; }
  bool is_included() const override { return true; }

 private:
  WalStore store_;
  std::unique_ptr<postgres::WalCopier> copier_;
};

class ArchivedWal final : public BackupWal {
 public:
  ArchivedWal(const wal::WalArchive& archive, ArchiveWait wait, postgres::BackupSession& session)
      : archive_(archive), wait_(std::move(wait)), session_(&session) {
    wait_.archive = &archive_;
    wait_.stop = stop_.get_token();
  }

  Status start(const postgres::StartResult& start) override {
    start_ = start.start;
    return ok();
  }
  Status health() override { return ok(); }
  void prepare_stop() override {}
  Status finish(const postgres::StopResult& stop) override {
    wait_.health = [this] { return session_->health(); };
    return wait_for_segments(
        wait_, postgres::segment_of(start_, stop.timeline, wait_.segment_size_bytes),
        postgres::segment_before(stop.stop, stop.timeline, wait_.segment_size_bytes));
  }
  void cancel() override { stop_.request_stop(); }
  Included take_included() override { return {}; }
  bool is_included() const override { return false; }

 private:
  const wal::WalArchive archive_;
  ArchiveWait wait_;
  postgres::BackupSession* session_;
  std::stop_source stop_;
  Lsn start_;
};

Result<bool> wants_archive(const BackupWalContext& context, const ArchiveWait& wait) {
  switch (context.options->wal) {
    case BackupOptions::Wal::include: return false;
    case BackupOptions::Wal::archive: return true;
    case BackupOptions::Wal::automatic: break;
  }
  // A standby cannot end a segment.
  if (context.preflight->session->facts().in_recovery) return false;
  const auto connection = HAUL_TRY(postgres::PgConnection::open(context.preflight->connection));
  const Arrival arrival = HAUL_TRY(try_archive(wait, *connection));
  context.environment->log->debug(
      arrival.arrived()
          ? format("{} arrived by the archive: so will the backup's WAL", arrival.segment)
          : format("the backup's WAL is copied: {}", arrival.reason));
  return arrival.arrived();
}

}  // namespace

Result<std::unique_ptr<BackupWal>> open_backup_wal(const BackupWalContext& context) {
  const postgres::ControlFile& control = context.preflight->control;
  const wal::WalArchive archive(*context.cluster, control.system_identifier);
  ArchiveWait wait;
  wait.archive = &archive;
  wait.segment_size_bytes = control.wal_segment_size_bytes;
  wait.clock = context.environment->clock;
  wait.stop = context.environment->stop;
  wait.timeout = context.options->archive_timeout;
  if (!HAUL_TRY(wants_archive(context, wait))) return CopiedWal::open(context);
  return std::unique_ptr<BackupWal>(
      std::make_unique<ArchivedWal>(archive, std::move(wait), *context.preflight->session));
}

}  // namespace haul::backup
