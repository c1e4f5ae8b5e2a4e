#include "engine/backup/entry_sorter.h"

#include <optional>

#include "base/format.h"
#include "engine/backup/path_key.h"

namespace haul::backup {

using repository::TreeEntry;

// A record is the key, the encoded entry, and the length of the key.
Status EntrySorter::add(const TreeEntry& entry) {
  Status valid = repository::check_entry(entry, chunk_pages_);
  if (!valid) return Error(ErrorCode::usage, std::move(valid).take_error().message());
  repository::ByteWriter record;
  record.u8(static_cast<std::uint8_t>(entry.root));
  append_path_key(record, entry.path);
  const std::size_t key_bytes = record.size();
  repository::encode_entry(record, entry);
  record.u32(static_cast<std::uint32_t>(key_bytes));
  HAUL_TRY(records_.add(record.view()));
  ++entries_;
  return ok();
}

Status EntrySorter::drain(const repository::EntryVisitor& visit) {
  HAUL_TRY(records_.finish());
  std::optional<TreeEntry> last;
  while (const std::optional<ByteSpan> record = HAUL_TRY(records_.next())) {
    const ByteSpan body = record->first(record->size() - sizeof(std::uint32_t));
    const std::size_t key_bytes = repository::ByteReader(record->last(sizeof(std::uint32_t))).u32();
    TreeEntry entry = std::move(
        HAUL_TRY(repository::decode_tree_leaf(body.subspan(key_bytes), chunk_pages_)).front());
    if (last && last->root == entry.root && last->path == entry.path) {
      return Error(ErrorCode::corrupt, format("{} is in the list of files twice", entry.path));
    }
    HAUL_TRY(visit(entry));
    last = std::move(entry);
  }
  return ok();
}

}  // namespace haul::backup
