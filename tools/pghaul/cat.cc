#include "engine/restore/restore.h"
#include "tools/pghaul/backup_tree.h"
#include "tools/pghaul/commands.h"

namespace haul::cli {

Result<int> run_cat(Context& context) {
  const repository::Cluster cluster = HAUL_TRY(open_cluster(context));
  const std::vector<std::string>& arguments = context.settings->arguments();
  const std::string id = HAUL_TRY(restore::resolve_backup(cluster, arguments[0]));
  const std::unique_ptr<BackupTree> tree = HAUL_TRY(BackupTree::open(cluster, id));
  HAUL_TRY(tree->read(arguments[1], [&context](ByteSpan bytes) -> Status {
    if (context.stop.stop_requested()) return Error(ErrorCode::interrupted, "interrupted");
    const std::string_view text = text_of(bytes);
    context.out->write(text.data(), static_cast<std::streamsize>(text.size()));
    if (*context.out) return ok();
    return Error(ErrorCode::io, "cannot write to standard output");
  }));
  for (const std::string& finding : tree->findings().lines()) context.console->warning(finding);
  return kDone;
}

}  // namespace haul::cli
