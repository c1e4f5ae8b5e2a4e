#include "engine/wal/push.h"

#include <optional>
#include <utility>

#include "base/format.h"
#include "engine/wal/server_files.h"
#include "engine/wal/wal_archive.h"

namespace haul::wal {
namespace {

using Side = PushEnvironment::Side;

// A file as read from the server, and what it says of itself.
struct PushedFile {
  WalName name;
  std::vector<std::byte> content;
  WalFacts facts;
};

class Push {
 public:
  Push(const PushOptions& options, PushEnvironment& environment)
      : options_(options),
        environment_(environment),
        cluster_(*environment.cluster),
        place_(split_path(options.path)) {}

  Result<PushReport> run() {
    const auto name = parse_wal_name(place_.name);
    if (!name) {
      return Error(ErrorCode::usage, format("{}: no WAL file has such a name", options_.path),
                   "archive_command passes %p, the path of the file");
    }
    directory_ = HAUL_TRY(environment_.open_directory(place_.directory));
    const PushedFile file = HAUL_TRY(read(*name));
    HAUL_TRY(open_archive(file));
    HAUL_TRY(put(file));
    if (options_.batch > 0) take_along(*name);
    HAUL_TRY(check_stop());
    environment_.side = Side::repository;
    HAUL_TRY(archive_->make_durable());
    return std::move(report_);
  }

 private:
  Status check_stop() const {
    if (!environment_.stop.stop_requested()) return ok();
    return Error(ErrorCode::interrupted, "interrupted");
  }

  Result<PushedFile> read(const WalName& name) {
    HAUL_TRY(check_stop());
    environment_.side = Side::server;
    auto content = HAUL_TRY(read_wal_file(*directory_, name));
    PushedFile file{name, std::move(content), {}};
    auto facts = examine_content(name, file.content);
    if (!facts) return std::move(facts).take_error().with_context(place_.directory);
    file.facts = *facts;
    return file;
  }

  // The file's own word, the control file's and the cluster's: all that speak must agree.
  Status open_archive(const PushedFile& file) {
    std::optional<std::uint64_t> system =
        HAUL_TRY(system_beside(environment_.open_directory, place_.directory, *environment_.clock));
    const std::uint64_t own = file.facts.system_identifier;
    if (own != 0 && system && *system != own) {
      return Error(ErrorCode::server_state,
                   format("{} belongs to system identifier {}, the data directory to {}",
                          options_.path, own, *system));
    }
    if (own != 0) system = own;
    environment_.side = Side::repository;
    if (!system) system = HAUL_TRY(bound_system(cluster_));
    if (!system) {
      return Error(ErrorCode::server_state,
                   format("{} does not tell which system it belongs to", options_.path),
                   "push it from the data directory, or after a segment or a backup");
    }
    HAUL_TRY(check_system(cluster_, *system));
    archive_.emplace(cluster_, *system, options_.workers);
    return ok();
  }

  Status put(const PushedFile& file) {
    HAUL_TRY(check_stop());
    environment_.side = Side::repository;
    const auto put = HAUL_TRY(archive_->put(file.name, file.facts, file.content));
    auto& list = put == WalArchive::Put::stored ? report_.stored : report_.were_there;
    list.push_back(file.name.text);
    return ok();
  }

  Status put_along(const WalName& name) {
    const PushedFile file = HAUL_TRY(read(name));
    const std::uint64_t own = file.facts.system_identifier;
    if (own != 0 && own != archive_->system_identifier()) {
      return Error(ErrorCode::server_state, format("{} belongs to another system", name.text));
    }
    return put(file);
  }

  // What the server asked for is stored by now; a failure here is another call's to report.
  void take_along(const WalName& first) {
    const auto names = ready_files(*directory_, options_.batch + 1);
    if (!names) return warn(names.error());
    std::size_t left = options_.batch;
    for (const WalName& name : *names) {
      if (name == first || left == 0) continue;
      --left;
      const Status put = put_along(name);
      if (!put) return warn(put.error());
    }
  }

  void warn(const Error& error) {
    report_.warnings.push_back(format("taking further WAL along: {}", error.message()));
  }

  const PushOptions& options_;
  PushEnvironment& environment_;
  const repository::Cluster& cluster_;
  const SplitPath place_;
  std::unique_ptr<io::Directory> directory_;
  std::optional<WalArchive> archive_;
  PushReport report_;
};

}  // namespace

Result<PushReport> push_wal(const PushOptions& options, PushEnvironment& environment) {
  return Push(options, environment).run();
}

}  // namespace haul::wal
