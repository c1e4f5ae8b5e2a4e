#include "engine/backup/change_selection.h"

#include <algorithm>

namespace haul::backup {

namespace {

constexpr std::uint64_t kMillion = 1'000'000;
// Clocks of file systems lag behind by a tick, and times of some have whole seconds.
constexpr std::int64_t kClockSlackNs = 2'000'000'000;

// Where less than that is read of all pages, by so many neighbours at a time: they cost the device
// little more than one page alone.
constexpr std::uint64_t kSinglePagesMinPpm = kMillion / 20;
constexpr std::uint32_t kAuditRunPages = 8;

// Steele, Lea and Flood's mixer (SplitMix64).
std::uint64_t mixed(std::uint64_t value) {
  value += 0x9E37'79B9'7F4A'7C15;
  value = (value ^ (value >> 30U)) * 0xBF58'476D'1CE4'E5B9;
  value = (value ^ (value >> 27U)) * 0x94D0'49BB'1331'11EB;
  return value ^ (value >> 31U);
}

std::uint64_t ppm_of(std::uint64_t wanted, std::uint64_t pages) {
  return pages == 0 ? 0 : std::min(kMillion, (wanted * kMillion + pages - 1) / pages);
}

}  // namespace

ChangeSelection::ChangeSelection(postgres::ChangedBlocks changes,
                                 const postgres::BackupFacts& parent, std::int64_t began_ns,
                                 std::uint64_t seed)
    : changes_(std::move(changes)), began_ns_(began_ns), seed_(seed) {
  for (const postgres::BadPage& page : parent.bad_pages) {
    bad_blocks_[page.path].insert(page.block);
  }
}

std::optional<FileSelection> ChangeSelection::select(const std::string& path,
                                                     std::uint32_t first_block,
                                                     std::int64_t modified_ns) const {
  const auto relation = postgres::parse_relation_file(path);
  if (!relation || relation->fork != postgres::Fork::main) return std::nullopt;
  const auto fork = postgres::fork_of(*relation);
  if (!fork) return std::nullopt;
  FileSelection selection;
  selection.selection_ = this;
  selection.fork_ = *fork;
  selection.first_block_ = first_block;
  const bool touched = changes_.touches(selection.fork_);
  selection.touched_ = touched;
  selection.audit_ppm_ = touched ? rate_.in_changed_ppm : rate_.in_unchanged_ppm;
  // Something has written to it, and it was not what WAL tells of: all of it has to be as it was.
  if (!touched && modified_ns >= began_ns_ - kClockSlackNs) selection.audit_ppm_ = kMillion;
  if (const auto bad = bad_blocks_.find(path); bad != bad_blocks_.end()) {
    selection.bad_blocks_ = &bad->second;
  }
  return selection;
}

repository::PageSet FileSelection::named(std::uint64_t leaf, std::uint32_t pages) const {
  const std::uint32_t first = first_block_of(leaf);
  repository::PageSet named = selection_->changes_.blocks_from(fork_, first);
  if (bad_blocks_ != nullptr) {
    for (auto bad = bad_blocks_->lower_bound(first);
         bad != bad_blocks_->end() && *bad < first + pages; ++bad) {
      named.set(*bad - first);
    }
  }
  for (std::uint32_t page = pages; page < named.size(); ++page) named.reset(page);
  return named;
}

repository::PageSet FileSelection::audited(std::uint64_t leaf, std::uint32_t pages) const {
  repository::PageSet audited;
  if (audit_ppm_ == 0) return audited;
  const postgres::RelationId& id = fork_.relation;
  const std::uint64_t of_file = mixed(mixed(selection_->seed_ ^ id.relfilenode) ^
                                      (std::uint64_t{id.database} << 32U | id.tablespace));
  const std::uint32_t run = audit_ppm_ < kSinglePagesMinPpm ? kAuditRunPages : 1;
  for (std::uint32_t page = 0; page < pages; ++page) {
    const std::uint64_t drawn = mixed(of_file ^ ((first_block_of(leaf) + page) / run));
    if (drawn % kMillion < audit_ppm_) audited.set(page);
  }
  return audited;
}

std::uint32_t FileSelection::first_block_of(std::uint64_t leaf) const {
  return first_block_ + static_cast<std::uint32_t>(leaf * repository::kLeafPages);
}

ChangeSelection::AuditRate audit_rate(std::uint64_t pages, std::uint64_t pages_in_changed,
                                      std::uint64_t pages_in_unchanged) {
  const std::uint64_t of_all_ppm = ppm_of(pages, pages_in_changed + pages_in_unchanged);
  const std::uint64_t unchanged_ppm = std::min(of_all_ppm, ppm_of(pages / 2, pages_in_unchanged));
  const auto of_unchanged = static_cast<std::uint64_t>(
      static_cast<double>(pages_in_unchanged) * static_cast<double>(unchanged_ppm) / kMillion);
  return {ppm_of(pages - std::min(pages, of_unchanged), pages_in_changed), unchanged_ppm};
}

}  // namespace haul::backup
