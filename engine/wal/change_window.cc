#include "engine/wal/change_window.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/assert.h"
#include "base/format.h"
#include "engine/wal/segment_changes.h"

namespace haul::wal {
namespace {

using postgres::WalSegment;

// One segment of the window, and where its records begin and end.
struct Part {
  WalSegment segment;
  bool is_archived = false;
  bool has_known_changes = false;  // an object of this name is there
  bool used_known_changes = false;
  Lsn begin;
  Lsn end;
};

constexpr std::string_view kHint =
    "take this backup with --changes scan; archive WAL without gaps for the next one";

// Which segments the window takes, and that each of them is somewhere.
class Planner {
 public:
  explicit Planner(const ChangeWindowRequest& request)
      : request_(request),
        route_(request.route),
        layout_(route_.cluster.layout, route_.geometry.system_identifier) {}

  Result<std::vector<Part>> run() {
    const std::uint32_t size = route_.geometry.segment_size_bytes;
    const std::uint64_t first = postgres::segment_of(request_.from, {}, size).number;
    const std::uint64_t last = postgres::segment_before(request_.to, {}, size).number;
    std::vector<Part> parts;
    for (std::uint64_t number = first; number <= last; ++number) {
      if (request_.stop.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
      parts.push_back(HAUL_TRY(plan(route_.segment(number))));
    }
    return parts;
  }

  // Those that are archived and follow each other, but for the last one, whose last record may go
  // on behind it; without those whose changes are kept.
  Result<std::vector<Part>> archived_and_not_known() {
    std::vector<Part> parts;
    std::optional<Part> before;
    std::uint64_t number =
        postgres::segment_of(request_.from, {}, route_.geometry.segment_size_bytes).number;
    for (;; ++number) {
      if (request_.stop.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
      Part part;
      part.segment = route_.segment(number);
      const WalName name = route_.name(part.segment);
      const std::set<std::string>& names = *HAUL_TRY(names_in(layout_.prefix(name)));
      part.is_archived = names.contains(name.text);
      if (!part.is_archived) return parts;
      part.has_known_changes = names.contains(changes_name(name));
      if (before && !before->has_known_changes) parts.push_back(*before);
      before = part;
    }
  }

 private:
  Result<Part> plan(const WalSegment& segment) {
    const WalName name = route_.name(segment);
    const std::set<std::string>& names = *HAUL_TRY(names_in(layout_.prefix(name)));
    Part part;
    part.segment = segment;
    part.is_archived = names.contains(name.text);
    // The last segment goes on behind the window.
    const bool is_whole = segment.end(route_.geometry.segment_size_bytes) <= request_.to;
    part.has_known_changes = is_whole && names.contains(changes_name(name));
    if (part.is_archived || part.has_known_changes || HAUL_TRY(server_has(name))) return part;
    return Error(
        ErrorCode::server_state,
        format("WAL segment {} is neither archived nor in pg_wal: what changed from {} to {} is "
               "not known",
               name.text, to_string(request_.from), to_string(request_.to)),
        std::string(kHint));
  }

  std::string changes_name(const WalName& name) const {
    const std::string key =
        changes_key(route_.cluster.layout, {route_.geometry.system_identifier, name});
    return key.substr(key.rfind('/') + 1);
  }

  Result<const std::set<std::string>*> names_in(const std::string& prefix) {
    const auto known = names_.find(prefix);
    if (known != names_.end()) return &known->second;
    std::vector<std::string> objects = HAUL_TRY(route_.cluster.store->list_names(prefix)).objects;
    // Segments come in order: what was listed before is not asked for again.
    names_.clear();
    std::set<std::string>& names = names_[prefix];
    names.insert(std::make_move_iterator(objects.begin()), std::make_move_iterator(objects.end()));
    return &names;
  }

  Result<bool> server_has(const WalName& name) const {
    if (route_.wal_directory == nullptr) return false;
    const auto info = route_.wal_directory->info(name.text);
    if (info) return info->kind == io::FileKind::regular;
    if (info.error().code() == ErrorCode::not_found) return false;
    return info.error();
  }

  const ChangeWindowRequest& request_;
  const WalRoute& route_;
  const WalLayout layout_;
  std::map<std::string, std::set<std::string>> names_;
};

class WindowReader {
 public:
  WindowReader(const ChangeWindowRequest& request, std::vector<Part> parts)
      : request_(request), route_(request.route), parts_(std::move(parts)) {
    window_.segments = parts_.size();
  }

  Result<ChangeWindow> run() {
    HAUL_TRY(read_all());
    HAUL_TRY(check_joints());
    for (const Part& part : parts_) window_.segments_known += part.used_known_changes ? 1 : 0;
    settle_events();
    return std::move(window_);
  }

  Status read_all() {
    const std::size_t workers = std::min(std::max<std::size_t>(request_.workers, 1), parts_.size());
    {
      std::vector<std::jthread> others;
      for (std::size_t i = 1; i < workers; ++i) others.emplace_back([this] { work(); });
      work();
    }
    const std::scoped_lock lock(mutex_);
    return failure_ ? Status(*failure_) : ok();
  }

 private:
  // Takes segments until none is left or one has failed; no exception leaves a thread.
  void work() noexcept {
    Status done = ok();
    try {
      done = read_rest();
    } catch (const std::exception& exception) {
      done = Error(ErrorCode::io, format("reading WAL: {}", exception.what()));
    }
    if (done) return;
    const std::scoped_lock lock(mutex_);
    if (!failure_) failure_ = std::move(done).take_error();
    next_ = parts_.size();
  }

  Status read_rest() {
    for (std::size_t at = next_++; at < parts_.size(); at = next_++) {
      if (request_.stop.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
      Part& part = parts_[at];
      part.used_known_changes = part.has_known_changes && HAUL_TRY(take_known(part));
      if (!part.used_known_changes) HAUL_TRY(read(part));
    }
    return ok();
  }

  // False when what is kept is of no use.
  Result<bool> take_known(Part& part) {
    auto known = read_changes(route_.cluster,
                              {route_.geometry.system_identifier, route_.name(part.segment)});
    if (known) {
      if (known->server_major == route_.geometry.server_major &&
          known->segment_size_bytes == route_.geometry.segment_size_bytes) {
        take(part, *std::move(known));
        return true;
      }
      note_damage(format("changes of {} are of another server", route_.name(part.segment).text));
      return false;
    }
    switch (known.error().code()) {
      case ErrorCode::corrupt: note_damage(known.error().message()); return false;
      case ErrorCode::unsupported:  // other rules
      case ErrorCode::not_found: return false;
      default: return std::move(known).take_error();
    }
  }

  // A segment that pg_wal had may have been archived and recycled while it was read.
  Status read(Part& part) {
    Status done = read_once(part);
    if (done || part.is_archived || route_.wal_directory == nullptr) return done;
    return read_once(part);
  }

  Status read_once(Part& part) {
    LineageSource source(route_);
    postgres::WalRange range;
    range.begin = part.segment.start(route_.geometry.segment_size_bytes);
    range.stop = std::min(part.segment.end(route_.geometry.segment_size_bytes), request_.to);
    range.required_end = range.stop;
    SegmentChanges found = HAUL_TRY(find_segment_changes(
        route_.geometry, {part.segment, route_.lineage.timeline, range.stop}, source));
    // Another lineage may have other WAL behind the segment.
    const bool is_same_for_all = source.newest_timeline() == part.segment.timeline;
    const bool is_whole = range.stop == part.segment.end(route_.geometry.segment_size_bytes);
    if (part.is_archived && is_whole && is_same_for_all) {
      HAUL_TRY(keep_changes(route_.cluster, found));
    }
    const std::scoped_lock lock(mutex_);
    window_.bytes_read += source.bytes_read();
    merge(part, std::move(found));
    return ok();
  }

  void take(Part& part, SegmentChanges found) {
    const std::scoped_lock lock(mutex_);
    merge(part, std::move(found));
  }

  void merge(Part& part, SegmentChanges found) {
    part.begin = found.begin;
    part.end = found.end;
    window_.blocks.merge(found.changes.blocks);
    std::ranges::copy_if(found.changes.events, std::back_inserter(window_.events),
                         [&](const postgres::WalEvent& event) {
                           return event.lsn >= request_.from && event.lsn < request_.to;
                         });
  }

  // In order, and those of a segment that was read again once.
  void settle_events() {
    std::vector<postgres::WalEvent>& events = window_.events;
    std::ranges::sort(events, {}, &postgres::WalEvent::lsn);
    const auto again = std::ranges::unique(events, {}, &postgres::WalEvent::lsn);
    events.erase(again.begin(), again.end());
  }

  void note_damage(std::string line) {
    const std::scoped_lock lock(mutex_);
    window_.damage.push_back(std::move(line));
  }

  // The end of each segment is the beginning of the next. What is kept may have been found on
  // another lineage: then it is found anew on this one.
  Status check_joints() {
    HAUL_TRY(check_outer_ends());
    for (std::size_t at = 1; at < parts_.size(); ++at) {
      Part& before = parts_[at - 1];
      Part& part = parts_[at];
      if (before.end == part.begin) continue;
      if (!before.used_known_changes && !part.used_known_changes) {
        return Error(ErrorCode::corrupt,
                     format("WAL segment {} ends before {}, and {} begins at {}",
                            route_.name(before.segment).text, to_string(before.end),
                            route_.name(part.segment).text, to_string(part.begin)));
      }
      for (Part* known : {&before, &part}) {
        if (!std::exchange(known->used_known_changes, false)) continue;
        HAUL_TRY(read(*known));
      }
      return check_joints();
    }
    return ok();
  }

  Status check_outer_ends() const {
    if (record_start(request_.from) < parts_.front().begin) {
      return Error(ErrorCode::corrupt,
                   format("no WAL record begins at {}, the first one behind {} is at {}",
                          to_string(request_.from), to_string(request_.from),
                          to_string(parts_.front().begin)));
    }
    if (parts_.back().end != record_start(request_.to)) {
      return Error(ErrorCode::corrupt,
                   format("no WAL record begins at {}, but at {}", to_string(request_.to),
                          to_string(parts_.back().end)));
    }
    return ok();
  }

  // Behind the page's header, where there is one.
  Lsn record_start(Lsn lsn) const {
    const postgres::WalGeometry& geometry = route_.geometry;
    if (lsn.value % geometry.block_size_bytes != 0) return lsn;
    const bool is_long = lsn.value % geometry.segment_size_bytes == 0;
    return {lsn.value +
            (is_long ? postgres::kWalLongPageHeaderSizeBytes : postgres::kWalPageHeaderSizeBytes)};
  }

  const ChangeWindowRequest& request_;
  const WalRoute& route_;
  std::vector<Part> parts_;  // each is written by the one worker that took it
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;  // guards failure_ and window_
  std::optional<Error> failure_;
  ChangeWindow window_;
};

}  // namespace

Result<ChangeWindow> find_changes(const ChangeWindowRequest& request) {
  if (request.from > request.to) {
    return Error(ErrorCode::usage, format("changes from {} back to {}", to_string(request.from),
                                          to_string(request.to)));
  }
  if (request.from == request.to) return ChangeWindow();
  std::vector<Part> parts = HAUL_TRY(Planner(request).run());
  return WindowReader(request, std::move(parts)).run();
}

Status keep_archived_changes(ChangeWindowRequest request) {
  request.route.wal_directory = nullptr;
  request.to = Lsn{std::numeric_limits<std::uint64_t>::max()};
  std::vector<Part> parts = HAUL_TRY(Planner(request).archived_and_not_known());
  return WindowReader(request, std::move(parts)).read_all();
}

}  // namespace haul::wal
