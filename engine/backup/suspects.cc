#include "engine/backup/suspects.h"

#include "base/format.h"

namespace haul::backup {

void Suspects::add(const std::string& path, std::uint32_t first_block,
                   const repository::PageSet& pages) {
  if (pages.any()) leaves_[{path, first_block}] |= pages;
}

Status Suspects::check(const postgres::ChangedBlocks& changes) const {
  for (const auto& [leaf, pages] : leaves_) {
    const auto& [path, first_block] = leaf;
    repository::PageSet missed = pages;
    const auto relation = postgres::parse_relation_file(path);
    if (const auto fork = relation ? postgres::fork_of(*relation) : std::nullopt) {
      missed &= ~changes.blocks_from(*fork, first_block);
    }
    if (missed.none()) continue;
    return Error(ErrorCode::inconsistent,
                 format("block {} of {} has changed and no WAL says so",
                        first_block + missed._Find_first(), path),
                 "the next backup reads everything; please report this, with the server's version");
  }
  return ok();
}

}  // namespace haul::backup
