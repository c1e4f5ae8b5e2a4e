#include "engine/backup/page_check.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "engine/postgres/page_checksum.h"

namespace haul::backup {

namespace {

constexpr std::array<std::chrono::milliseconds, 3> kLooks{
    std::chrono::milliseconds{0}, std::chrono::milliseconds{5}, std::chrono::milliseconds{50}};

bool is_bad(const PageCheckContext& context, const PageChecker::Region& region, std::size_t page) {
  const ByteSpan bytes =
      region.bytes.subspan(page * context.page_size_bytes, context.page_size_bytes);
  const auto block = region.first_block + static_cast<std::uint32_t>(page);
  return postgres::check_page(bytes, block) == postgres::PageVerdict::bad;
}

std::vector<PageChecker::Suspect> find_suspects(const PageCheckContext& context,
                                                const PageChecker::Region& region) {
  std::vector<PageChecker::Suspect> suspects;
  const std::size_t pages = region.bytes.size() / context.page_size_bytes;
  for (std::size_t i = 0; i < pages; ++i) {
    if (is_bad(context, region, i)) suspects.push_back({i, false});
  }
  return suspects;
}

}  // namespace

bool has_suspect(const PageCheckContext& context, const PageChecker::Region& region) {
  if (!context.checksums) return false;
  const std::size_t pages = region.bytes.size() / context.page_size_bytes;
  for (std::size_t i = 0; i < pages; ++i) {
    if (is_bad(context, region, i)) return true;
  }
  return false;
}

Status PageChecker::check(const Region& region, PageCheckResult& result) {
  if (!context_.checksums) return ok();
  std::vector<Suspect> suspects = find_suspects(context_, region);
  for (const std::chrono::milliseconds pause : kLooks) {
    if (suspects.empty()) return ok();
    if (pause.count() > 0) clock_->sleep_for(pause);
    HAUL_TRY(look_again(region, suspects, result));
  }
  for (const Suspect& suspect : suspects) {
    const ByteSpan page =
        region.bytes.subspan(suspect.page * context_.page_size_bytes, context_.page_size_bytes);
    if (suspect.changed || HAUL_TRY(excused_by_lsn(page))) {
      ++result.reread_pages;
      continue;
    }
    result.bad_pages.push_back(
        {*region.path, region.first_block + static_cast<std::uint32_t>(suspect.page)});
  }
  return ok();
}

// Reads every suspect anew, keeps what was read, and drops those that are good now.
Status PageChecker::look_again(const Region& region, std::vector<Suspect>& suspects,
                               PageCheckResult& result) {
  const std::size_t size = context_.page_size_bytes;
  // Direct reads are aligned to 4 KiB; smaller pages come with their neighbours.
  const std::size_t span = std::max(size, io::kDirectAlignment);
  if (again_.size_bytes() < span) again_ = io::AlignedBuffer(span);
  std::vector<Suspect> left;
  for (Suspect suspect : suspects) {
    const std::uint64_t offset = region.offset + suspect.page * size;
    const std::uint64_t aligned = offset / span * span;
    const std::size_t count = HAUL_TRY(region.file->read_at(aligned, again_.bytes().first(span)));
    // Cut off meanwhile: what lies past the end is zeros, as everywhere in the backup.
    std::ranges::fill(again_.bytes().first(span).subspan(count), std::byte{0});
    const ByteSpan fresh = again_.bytes().subspan(offset - aligned, size);
    const MutableByteSpan kept = region.bytes.subspan(suspect.page * size, size);
    if (!equal_bytes(fresh, kept)) {
      suspect.changed = true;
      copy_bytes(fresh, kept);
    }
    if (is_bad(context_, region, suspect.page)) {
      left.push_back(suspect);
    } else {
      ++result.reread_pages;
    }
  }
  suspects = std::move(left);
  return ok();
}

Result<bool> PageChecker::excused_by_lsn(ByteSpan page) const {
  if (!context_.start.valid()) return false;
  const Lsn lsn = postgres::page_lsn(page);
  if (lsn < context_.start) return false;
  return lsn <= HAUL_TRY(context_.current_insert_lsn());
}

}  // namespace haul::backup
