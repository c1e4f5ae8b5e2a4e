#include "engine/wal/get.h"

#include "base/format.h"
#include "engine/wal/server_files.h"
#include "engine/wal/wal_archive.h"

namespace haul::wal {

Result<std::uint64_t> system_wanted(const GetEnvironment& environment,
                                    const std::string& wal_directory) {
  const repository::Cluster& cluster = *environment.cluster;
  const auto beside =
      HAUL_TRY(system_beside(environment.open_directory, wal_directory, *environment.clock));
  const auto bound = HAUL_TRY(bound_system(cluster));
  if (!bound) {
    return Error(ErrorCode::server_state,
                 format("cluster {} has neither WAL nor backups", cluster.name),
                 "check --cluster; that nothing is there does not mean that recovery is complete");
  }
  if (beside && *beside != *bound) {
    return Error(ErrorCode::server_state,
                 format("cluster {} belongs to system identifier {}, this data directory to {}",
                        cluster.name, *bound, *beside));
  }
  return *bound;
}

Status write_wal_file(io::Directory& directory, const std::string& name, ByteSpan content) {
  const auto file = HAUL_TRY(directory.create_temporary("", io::Caching::buffered));
  HAUL_TRY(file->write_at(0, content));
  HAUL_TRY(directory.publish_over(*file, name));
  return file->finish();
}

namespace {

// One call of wal get.
class Get {
 public:
  Get(const GetOptions& options, const GetEnvironment& environment, WalName name,
      std::uint64_t system_identifier)
      : options_(options),
        environment_(environment),
        name_(std::move(name)),
        system_identifier_(system_identifier) {}

  Result<Delivery> run() {
    // Histories are asked for to see whether there are any, and are small.
    if (!options_.spool.empty() && name_.kind == WalFileKind::segment) open_spool();
    const bool was_ready = spool_ && from_spool();
    if (!was_ready && HAUL_TRY(from_archive()) == Delivery::absent) return Delivery::absent;
    if (spool_) note_delivery_made();
    return Delivery::delivered;
  }

 private:
  void open_spool() {
    look_ahead_.place = {options_.spool, Spool::name_for(*environment_.cluster, system_identifier_,
                                                         environment_.boot_id)};
    look_ahead_.host = environment_.host;
    look_ahead_.prefetcher = environment_.prefetcher;
    auto spool = Spool::open(environment_.open_directory, look_ahead_.place);
    if (!spool) return without_spool(spool.error());
    spool_.emplace(std::move(spool).take());
  }

  bool from_spool() {
    const auto taken = take_from_spool(*spool_, look_ahead_, name_, options_.target);
    if (!taken) without_spool(taken.error());
    return taken && *taken;
  }

  Result<Delivery> from_archive() {
    const WalArchive archive(*environment_.cluster, system_identifier_);
    auto content = archive.get(name_);
    if (!content) {
      if (content.error().code() != ErrorCode::not_found) return std::move(content).take_error();
      HAUL_TRY(environment_.repository->check_still_there());
      return Delivery::absent;
    }
    if (environment_.stop.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
    const SplitPath target = split_path(options_.target);
    const auto directory = HAUL_TRY(environment_.open_directory(target.directory));
    HAUL_TRY(write_wal_file(*directory, target.name, *content));
    return Delivery::delivered;
  }

  void note_delivery_made() {
    const Status noted = note_delivery(*spool_, look_ahead_, name_);
    if (!noted) without_spool(noted.error());
  }

  // The archive serves as well, only slower.
  void without_spool(const Error& error) {
    spool_.reset();
    environment_.log->warning(format("cannot look ahead: {}", error.message()));
  }

  const GetOptions& options_;
  const GetEnvironment& environment_;
  const WalName name_;
  const std::uint64_t system_identifier_;
  LookAhead look_ahead_;
  std::optional<Spool> spool_;
};

}  // namespace

Result<Delivery> get_wal(const GetOptions& options, const GetEnvironment& environment) {
  const auto name = parse_wal_name(options.name);
  if (!name) {
    return Error(ErrorCode::usage, format("\"{}\" is no name of a WAL file", options.name),
                 "restore_command passes %f and %p");
  }
  const std::uint64_t system =
      HAUL_TRY(system_wanted(environment, split_path(options.target).directory));
  return Get(options, environment, *name, system).run();
}

}  // namespace haul::wal
