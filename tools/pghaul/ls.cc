#include "base/format.h"
#include "engine/restore/restore.h"
#include "tools/pghaul/backup_tree.h"
#include "tools/pghaul/commands.h"
#include "tools/pghaul/json_output.h"

namespace haul::cli {

namespace {

using repository::EntryKind;
using repository::TreeEntry;

// "drwx------", as ls has it.
std::string permissions_of(const TreeEntry& entry) {
  std::string text = entry.kind == EntryKind::directory ? "d"
                     : entry.kind == EntryKind::link    ? "l"
                                                        : "-";
  for (int shift = 6; shift >= 0; shift -= 3) {
    const std::uint32_t bits = entry.mode >> shift;
    text += (bits & 4U) != 0 ? 'r' : '-';
    text += (bits & 2U) != 0 ? 'w' : '-';
    text += (bits & 1U) != 0 ? 'x' : '-';
  }
  return text;
}

std::string line_of(const TreeEntry& entry) {
  std::string line = format("{} {:>5} {:>5} {:>12} {}", permissions_of(entry), entry.user,
                            entry.group, entry.size_bytes, shown_path(entry));
  if (entry.kind == EntryKind::link) line += " -> " + entry.link_target;
  return line;
}

// Entries are printed as they come: a backup may have millions.
Status print_entries_json(Context& context, BackupTree& tree, const std::string& path) {
  Json object = versioned_json();
  object.set("backup", tree.backup());
  std::string head = object.dump();
  head.back() = ',';
  *context.out << head << "\"entries\":[";
  const char* separator = "\n";
  HAUL_TRY(tree.list(path, [&](const TreeEntry& entry) -> Status {
    *context.out << separator << entry_json(entry, shown_path(entry)).dump();
    separator = ",\n";
    return ok();
  }));
  *context.out << "]}\n";
  return ok();
}

}  // namespace

Result<int> run_ls(Context& context) {
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  const std::vector<std::string>& arguments = context.settings->arguments();
  const std::string id = HAUL_TRY(restore::resolve_backup(cluster, arguments.front()));
  const std::unique_ptr<BackupTree> tree = HAUL_TRY(BackupTree::open(cluster, id));
  const std::string path = arguments.size() > 1 ? arguments[1] : "";
  if (context.output == Context::Output::json) {
    HAUL_TRY(print_entries_json(context, *tree, path));
  } else {
    HAUL_TRY(tree->list(path, [&context](const TreeEntry& entry) -> Status {
      print_line(context, line_of(entry));
      return ok();
    }));
  }
  for (const std::string& finding : tree->findings().lines()) context.console->warning(finding);
  return kDone;
}

}  // namespace haul::cli
