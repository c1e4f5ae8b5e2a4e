#include "engine/backup/commit.h"

#include "engine/repository/tree_store.h"

namespace haul::backup {

Result<std::unique_ptr<RepositorySession>> RepositorySession::open(
    const repository::Cluster& cluster, BackupEnvironment& environment,
    const postgres::BackupFacts* overlaid) {
  std::unique_ptr<RepositorySession> session(new RepositorySession(cluster));
  session->started_ = environment.clock->now_utc();
  std::optional<repository::Snapshot> parent;
  if (overlaid != nullptr) {
    parent = HAUL_TRY(choose_parent(cluster, *overlaid, session->findings_));
  }
  session->lease_ = HAUL_TRY(repository::Lease::create_for_backup(
      cluster, parent ? 'I' : 'F', repository::this_process("backup"), *environment.clock));
  session->index_ = HAUL_TRY(repository::Index::open(cluster, session->findings_));
  // What a killed backup stored without an index run is found through the packs' footers and used
  // again.
  HAUL_TRY(session->index_->load_packs_without_run());
  session->writer_ = std::make_unique<repository::ChunkWriter>(
      cluster, *session->index_, session->lease_->id(), *environment.random);
  session->data_ = std::make_unique<repository::PackStream>(*session->writer_);
  session->metadata_ = std::make_unique<repository::PackStream>(*session->writer_);
  if (parent) {
    session->parent_ =
        std::make_unique<Parent>(*std::move(parent), *session->index_, session->findings_, cluster);
  }
  return session;
}

Result<FileStore> RepositorySession::make_file_store(compress::CodecChoice codec) {
  return FileStore(*writer_, HAUL_TRY(repository::ChunkEncoder::open(*writer_, codec)),
                   {data_.get(), metadata_.get()});
}

Status RepositorySession::commit(EntrySorter& entries, repository::Snapshot& snapshot,
                                 BackupEnvironment& environment) {
  auto encoder = HAUL_TRY(repository::ChunkEncoder::open(*writer_, repository::kMetadataCodec));
  repository::TreeWriter tree(encoder, *metadata_);
  HAUL_TRY(entries.drain([&](const repository::TreeEntry& entry) -> Status {
    if (entry.kind == repository::EntryKind::file) {
      ++snapshot.statistics.files;
      snapshot.statistics.source_bytes += entry.size_bytes;
    }
    return tree.add(entry);
  }));
  snapshot.tree = HAUL_TRY(tree.finish());
  HAUL_TRY(data_->close());
  HAUL_TRY(metadata_->close());
  HAUL_TRY(writer_->finish());

  const repository::ChunkWriterStatistics statistics = writer_->statistics();
  snapshot.id = lease_->id();
  snapshot.cluster = cluster_.name;
  if (parent_) snapshot.parent = parent_->snapshot().id;
  snapshot.program = environment.program;
  snapshot.started = started_;
  snapshot.finished = environment.clock->now_utc();
  snapshot.statistics.stored_bytes = statistics.stored_bytes;
  snapshot.statistics.chunks_stored = statistics.chunks_stored;
  snapshot.statistics.chunks_found = statistics.chunks_found;
  snapshot.packs = writer_->pack_table();
  HAUL_TRY(lease_->health());
  if (environment.stop.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
  // An open directory outlives its name: what was moved away meanwhile is not where the user will
  // look.
  HAUL_TRY(environment.repository->check_still_there());
  HAUL_TRY(repository::commit_snapshot(snapshot, cluster_));
  // The backup is committed; a lease that stays is no more than something for gc to judge.
  const Status released = lease_->release();
  if (!released) environment.log->warning(released.error().message());
  return ok();
}

void RepositorySession::abandon() {
  if (lease_) static_cast<void>(lease_->release());
}

}  // namespace haul::backup
