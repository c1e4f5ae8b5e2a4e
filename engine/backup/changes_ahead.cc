#include "engine/backup/changes_ahead.h"

#include <exception>

namespace haul::backup {

namespace {

void keep(std::stop_token stop, ChangesSince since) noexcept {
  try {
    since.stop = std::move(stop);
    static_cast<void>(keep_archived_changes(since));
  } catch (const std::exception&) {
    // Out of memory, most likely: then nothing is kept ahead.
  }
}

}  // namespace

ChangesAhead::ChangesAhead(const ChangesSince& since)
    : thread_(keep, since), interrupted_(since.stop, [this] { thread_.request_stop(); }) {}

}  // namespace haul::backup
