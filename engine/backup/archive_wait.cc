#include "engine/backup/archive_wait.h"

#include <algorithm>

#include "base/assert.h"
#include "base/format.h"
#include "engine/postgres/archiver.h"

namespace haul::backup {

namespace {

using postgres::WalSegment;

constexpr std::chrono::milliseconds kPollInterval{100};

// False while it is not there.
Result<bool> is_archived(const wal::WalArchive& archive, const std::string& name) {
  const auto parsed = wal::parse_wal_name(name);
  HAUL_ASSERT(parsed.has_value());
  auto content = archive.get(*parsed);
  if (content) return true;
  if (content.error().code() == ErrorCode::not_found) return false;
  return std::move(content).take_error().with_context(format("the archived {}", name));
}

// False when the time is over.
Result<bool> wait_for(const ArchiveWait& wait, const std::string& name) {
  const auto begin = wait.clock->now_monotonic();
  for (;;) {
    if (wait.stop.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
    if (HAUL_TRY(is_archived(*wait.archive, name))) return true;
    if (wait.health) HAUL_TRY(wait.health());
    const auto left = begin + wait.timeout - wait.clock->now_monotonic();
    if (left <= std::chrono::nanoseconds::zero()) return false;
    wait.clock->sleep_for(std::min<std::chrono::nanoseconds>(kPollInterval, left));
  }
}

Error never_came(const ArchiveWait& wait, const std::string& name) {
  return Error(ErrorCode::server_state,
               format("{} did not arrive in the repository within {} s", name,
                      std::chrono::duration_cast<std::chrono::seconds>(wait.timeout).count()),
               "see the server's log for its archive_command; --archive-timeout allows more time, "
               "--wal include does without the archive");
}

}  // namespace

Status wait_for_segments(const ArchiveWait& wait, const WalSegment& first, const WalSegment& last) {
  HAUL_ASSERT(first.timeline == last.timeline && first.number <= last.number);
  const std::uint32_t size = wait.segment_size_bytes;
  // A timeline without a past has no history.
  if (first.timeline.value > 1) {
    const std::string history = postgres::timeline_history_name(first.timeline);
    if (!HAUL_TRY(wait_for(wait, history))) return never_came(wait, history);
  }
  for (WalSegment segment = first; segment.number <= last.number; ++segment.number) {
    const std::string name = to_name(segment, size);
    if (!HAUL_TRY(wait_for(wait, name))) return never_came(wait, name);
  }
  return ok();
}

Result<Arrival> try_archive(const ArchiveWait& wait, postgres::PgConnection& connection) {
  const postgres::ArchiverState state = HAUL_TRY(postgres::archiver_state(connection));
  if (state.mode == postgres::ArchiverState::Mode::off) return Arrival{"", "archive_mode is off"};
  if (state.command.empty()) return Arrival{"", "archive_command is empty"};
  if (wal::parse_wal_name(state.last_archived) &&
      !HAUL_TRY(is_archived(*wait.archive, state.last_archived))) {
    return Arrival{"", format("{}, which the server archived last, is not in the repository",
                              state.last_archived)};
  }
  auto segment = postgres::switch_segment(connection, wait.segment_size_bytes);
  if (!segment && segment.error().code() == ErrorCode::permission) {
    return Arrival{"", segment.error().message()};
  }
  const std::string name = to_name(HAUL_TRY(std::move(segment)), wait.segment_size_bytes);
  if (HAUL_TRY(wait_for(wait, name))) return Arrival{name, ""};
  return Arrival{"", never_came(wait, name).message()};
}

}  // namespace haul::backup
