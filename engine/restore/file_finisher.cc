#include "engine/restore/file_finisher.h"

#include <algorithm>

#include "base/format.h"
#include "io/aligned_buffer.h"

namespace haul::restore {

FileFinisher::FileFinisher(const Context& context)
    : context_(context), work_(kWaitingMax, context.stop) {}

void FileFinisher::leaf_done(const std::shared_ptr<PlacedFile>& file, std::uint64_t bytes) {
  if (context_.progress != nullptr) context_.progress->bytes_done += bytes;
  if (file->leaves_left.fetch_sub(1) == 1) work_.push({nullptr, file});
}

Status FileFinisher::run() {
  while (const auto work = work_.pop()) {
    if (work->small_files != nullptr) {
      HAUL_TRY(finish_small_files(*work->small_files));
      work->small_files->clear();
      context_.free->push_now(work->small_files);
    } else {
      HAUL_TRY(finish_large(*work->large_file));
    }
  }
  return ok();
}

Status FileFinisher::finish_small_files(Batch& batch) {
  for (const PlacedLeaf& leaf : batch.leaves) {
    if (context_.stop.stop_requested()) return ok();  // whoever stopped says why
    context_.crcs[leaf.file->number] = leaf.crc().crc;
    kept_bytes_ += leaf.kept_bytes;
    if (!context_.losses->is_survey()) HAUL_TRY(write_small(leaf));
    if (context_.progress != nullptr) context_.progress->bytes_done += leaf.size_bytes;
  }
  return ok();
}

Result<std::unique_ptr<io::File>> FileFinisher::open_small(const PlacedFile& placed) {
  if (!placed.earlier_bytes) {
    return context_.target->create_file(placed.path, placed.mode, io::Caching::buffered);
  }
  auto file = HAUL_TRY(context_.target->open_earlier(
      placed.path, placed.mode, io::Caching::buffered, Target::Access::update));
  // Pages that were to be kept are gone.
  if (file == nullptr) {
    return Error(ErrorCode::io, format("{} was there and is not any more", placed.path));
  }
  return file;
}

Status FileFinisher::write_small(const PlacedLeaf& leaf) {
  const PlacedFile& placed = *leaf.file;
  const auto file = HAUL_TRY(open_small(placed));
  if (placed.earlier_bytes.value_or(0) > leaf.size_bytes) HAUL_TRY(file->resize(leaf.size_bytes));
  std::uint64_t end = 0;
  for (const ByteRange& range : leaf.written) {
    // Ranges are rounded to what direct writes need; these are none.
    end = std::min(range.offset + range.size_bytes, leaf.size_bytes);
    HAUL_TRY(file->write_at(range.offset, leaf.bytes.subspan(range.offset, end - range.offset)));
  }
  if (end < leaf.size_bytes) HAUL_TRY(file->resize(leaf.size_bytes));
  return context_.target->finish_file(*file, placed.path, Target::Sync::by_make_durable);
}

Status FileFinisher::finish_large(PlacedFile& file) {
  postgres::Crc32cPiece whole;
  for (const postgres::Crc32cPiece& leaf : file.leaves) whole = postgres::combine(whole, leaf);
  context_.crcs[file.number] = whole.crc;
  if (file.file == nullptr || context_.losses->is_survey()) return ok();
  // A direct write ends at a multiple of its alignment.
  if (file.size_bytes % io::kDirectAlignment != 0) HAUL_TRY(file.file->resize(file.size_bytes));
  Status finished =
      context_.target->finish_file(*file.file, file.path, Target::Sync::by_make_durable);
  file.file.reset();
  return finished;
}

}  // namespace haul::restore
