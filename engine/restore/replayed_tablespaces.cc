#include "engine/restore/replayed_tablespaces.h"

#include <algorithm>

#include "base/format.h"

namespace haul::restore {

namespace {

Error refusal(const ReplayedTablespace& tablespace, std::string_view why, std::string_view remedy) {
  return {ErrorCode::usage,
          format("replay makes tablespace {} at {}, {}", tablespace.oid, tablespace.path, why),
          format("{}, or end before that: --target-lsn {} --target-exclusive; no -T reaches into "
                 "WAL",
                 remedy, to_string(tablespace.lsn))};
}

// Whether the restore itself makes the place, for this very tablespace.
bool is_made_by_restore(const ReplayedTablespace& tablespace, const TargetLayout& layout) {
  return std::ranges::any_of(layout.tablespaces, [&](const TablespacePlace& place) {
    return place.oid == tablespace.oid && place.to == tablespace.path;
  });
}

bool is_anothers(const ReplayedTablespace& tablespace, const TargetLayout& layout) {
  return std::ranges::any_of(layout.tablespaces, [&](const TablespacePlace& place) {
    return place.oid != tablespace.oid && place.to == tablespace.path;
  });
}

Status check(const ReplayedTablespace& tablespace, const TargetLayout& layout,
             const DirectoryOpener& open) {
  if (is_made_by_restore(tablespace, layout)) return ok();
  if (std::ranges::find(layout.abandoned, tablespace.path) != layout.abandoned.end()) return ok();
  if (is_anothers(tablespace, layout)) {
    return refusal(tablespace, "where another one is restored", "restore that one elsewhere");
  }
  const auto directory = open(tablespace.path);
  if (!directory) {
    if (directory.error().code() != ErrorCode::not_found) return directory.error();
    return refusal(tablespace, "which does not exist here",
                   "make that directory, empty and the server's own");
  }
  if (!HAUL_TRY((*directory)->list("")).empty()) {
    return refusal(tablespace, "which is not empty here: it would be emptied",
                   "restore on a machine, or in a container, where that place is free");
  }
  return ok();
}

}  // namespace

Status check_replayed_tablespaces(const std::vector<ReplayedTablespace>& tablespaces,
                                  const TargetLayout& layout, const DirectoryOpener& open) {
  for (const ReplayedTablespace& tablespace : tablespaces) {
    HAUL_TRY(check(tablespace, layout, open));
  }
  return ok();
}

}  // namespace haul::restore
