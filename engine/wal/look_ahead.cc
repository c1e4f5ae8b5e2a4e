#include "engine/wal/look_ahead.h"

#include <algorithm>
#include <optional>

#include "base/format.h"
#include "engine/postgres/wal_segment.h"
#include "engine/wal/wal_object.h"

namespace haul::wal {
namespace {

using std::chrono::nanoseconds;

// What is not archived yet is asked for no more often.
constexpr std::chrono::milliseconds kAbsentPause{200};

// Whether a server that was there at the start has gone or ended its recovery.
class ServerWatch {
 public:
  explicit ServerWatch(std::unique_ptr<io::Directory> data_directory)
      : data_directory_(std::move(data_directory)),
        ran_(has("postmaster.pid")),
        recovered_(is_recovering()) {}

  bool ended() const {
    return (ran_ && !has("postmaster.pid")) || (recovered_ && !is_recovering());
  }

 private:
  // What cannot be examined counts as there.
  bool has(std::string_view name) const {
    const auto info = data_directory_->info(name);
    return info || info.error().code() != ErrorCode::not_found;
  }
  bool is_recovering() const { return has("recovery.signal") || has("standby.signal"); }

  const std::unique_ptr<io::Directory> data_directory_;
  const bool ran_;
  const bool recovered_;
};

class Prefetcher {
 public:
  Prefetcher(const PrefetchOptions& options, const PrefetchEnvironment& environment, Spool spool)
      : options_(options),
        environment_(environment),
        cluster_(*environment.cluster),
        spool_(std::move(spool)) {}

  Status run() {
    HAUL_TRY(remove_abandoned());
    const ServerWatch server(HAUL_TRY(environment_.open_directory(options_.data_directory)));
    last_change_ = environment_.clock->now_monotonic();
    while (!environment_.stop.stop_requested() && !server.ended() && !idle()) {
      HAUL_TRY(look_at_request());
      const bool worked = request_ && !given_up_ && step();
      if (!worked) environment_.clock->sleep_for(kPrefetchPoll);
    }
    return spool_.clear();
  }

 private:
  // Spools that nobody looks after: of another boot, or left by a process that was killed.
  Status remove_abandoned() {
    for (const std::string& name : HAUL_TRY(spool_.others())) {
      const std::string lock = format("{}/{}/lock", options_.place.path, name);
      if (!HAUL_TRY(environment_.host->is_locked(lock))) {
        // One that holds something else as well stays.
        static_cast<void>(spool_.remove_other(name));
      }
    }
    return ok();
  }

  bool idle() const {
    return environment_.clock->now_monotonic() - last_change_ > kPrefetchIdleMax;
  }

  Status look_at_request() {
    auto request = HAUL_TRY(spool_.last_request());
    if (request == request_) return ok();
    request_ = std::move(request);
    last_change_ = environment_.clock->now_monotonic();
    given_up_ = false;
    absent_until_ = {};
    return ok();
  }

  // Brings the spool one segment closer to what it should hold; false when there is nothing to do.
  // After a failure the next request tries again: by then the server has been told by wal get.
  bool step() {
    const auto worked = try_step();
    if (!worked) given_up_ = true;
    return worked && *worked;
  }

  Result<bool> try_step() {
    const std::vector<WalName> wanted = HAUL_TRY(names_ahead());
    const std::vector<WalName> present = HAUL_TRY(spool_.segments());
    for (const WalName& name : present) {
      if (std::ranges::find(wanted, name) == wanted.end()) HAUL_TRY(spool_.remove(name));
    }
    const auto missing = std::ranges::find_if(wanted, [&](const WalName& name) {
      return std::ranges::find(present, name) == present.end();
    });
    if (missing == wanted.end()) return false;
    if (environment_.clock->now_monotonic() < absent_until_) return false;
    const auto content = read_wal_content(cluster_, {options_.system_identifier, *missing});
    if (!content && content.error().code() == ErrorCode::not_found) {
      absent_until_ = environment_.clock->now_monotonic() + kAbsentPause;
      return false;
    }
    if (!content) return content.error();
    HAUL_TRY(spool_.put(*missing, *content));
    return true;
  }

  // Those after the one that was delivered last.
  Result<std::vector<WalName>> names_ahead() const {
    const auto name = parse_wal_name(request_->segment);
    if (!name) return Error(ErrorCode::corrupt, "the spool's request is no segment");
    const WalHeader header =
        HAUL_TRY(read_wal_header(cluster_, {options_.system_identifier, *name}));
    const std::uint32_t size = header.facts.segment_size_bytes;
    std::vector<WalName> names;
    for (std::uint64_t ahead = 1; ahead <= options_.segments; ++ahead) {
      const postgres::WalSegment segment{name->timeline, header.facts.segment_number + ahead};
      names.push_back(*parse_wal_name(postgres::to_name(segment, size)));
    }
    return names;
  }

  const PrefetchOptions& options_;
  const PrefetchEnvironment& environment_;
  const repository::Cluster& cluster_;
  Spool spool_;
  std::optional<Spool::Request> request_;
  nanoseconds last_change_{};
  nanoseconds absent_until_{};
  bool given_up_ = false;
};

}  // namespace

Result<bool> take_from_spool(Spool& spool, const LookAhead& look_ahead, const WalName& name,
                             const std::string& target) {
  Status moved = look_ahead.host->move_file(spool.path_of(name.text), target);
  if (moved) return true;
  if (moved.error().code() == ErrorCode::not_found) return false;
  return std::move(moved).take_error();
}

Status note_delivery(Spool& spool, const LookAhead& look_ahead, const WalName& name) {
  HAUL_TRY(spool.note_request(name));
  if (HAUL_TRY(look_ahead.host->is_locked(spool.lock_path()))) return ok();
  return look_ahead.host->start_detached(look_ahead.prefetcher);
}

Status run_prefetcher(const PrefetchOptions& options, const PrefetchEnvironment& environment) {
  Spool spool = HAUL_TRY(Spool::open(environment.open_directory, options.place));
  if (!HAUL_TRY(environment.host->lock(spool.lock_path()))) return ok();
  return Prefetcher(options, environment, std::move(spool)).run();
}

}  // namespace haul::wal
