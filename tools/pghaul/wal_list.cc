#include "base/format.h"
#include "engine/wal/wal_archive.h"
#include "engine/wal/wal_inventory.h"
#include "tools/pghaul/commands.h"
#include "tools/pghaul/json_output.h"
#include "tools/pghaul/quantity.h"

namespace haul::cli {

namespace {

using wal::TimelineWal;
using wal::WalInventory;

std::string segments(std::uint64_t count) {
  return format("{} segment{}", count, count == 1 ? "" : "s");
}

void print_timeline(Context& context, const WalInventory& inventory, const TimelineWal& timeline) {
  print_line(context, format("timeline {}", timeline.timeline.value));
  if (timeline.history) {
    for (const wal::TimelinePeriod& period : timeline.history->periods) {
      if (period.timeline == timeline.timeline) continue;
      print_line(context,
                 format("  left timeline {} at {}", period.timeline.value, to_string(period.end)));
    }
  }
  for (const wal::WalRange& range : timeline.ranges) {
    print_line(context, format("  {} to {}  {}..{}  {}", wal::first_segment(timeline, range),
                               wal::last_segment(timeline, range), to_string(range.start),
                               to_string(range.end), segments(range.segments)));
  }
  for (const wal::WalGap& gap : inventory.gaps(timeline.timeline)) {
    print_line(context,
               format("  missing: {} to {}  {}", gap.first, gap.last, segments(gap.segments)));
  }
}

void print_inventory(Context& context, const std::string& cluster, const WalInventory& inventory) {
  if (inventory.timelines().empty() && inventory.tails().empty() && inventory.partials().empty()) {
    print_line(context, format("cluster {} has no archived WAL", cluster));
  }
  for (const TimelineWal& timeline : inventory.timelines()) {
    print_timeline(context, inventory, timeline);
  }
  for (const wal::Tail& tail : inventory.tails()) {
    print_line(context, format("tail of {}  {}", tail.segment.text, print_size(tail.size_bytes)));
  }
  for (const std::string& name : inventory.partials()) {
    print_line(context, format("partial segment {}", name));
  }
}

}  // namespace

Result<int> run_wal_list(Context& context) {
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  const auto system = HAUL_TRY(wal::bound_system(cluster));
  WalInventory inventory;
  if (system) inventory = HAUL_TRY(WalInventory::read(cluster, *system));
  for (const std::string& line : inventory.damage()) context.console->warning(line);
  if (context.output == Context::Output::json) {
    print_json(context, wal_list_json(*context.repository, cluster.name, inventory));
  } else {
    print_inventory(context, cluster.name, inventory);
  }
  return inventory.damage().empty() ? kDone : kDamaged;
}

}  // namespace haul::cli
