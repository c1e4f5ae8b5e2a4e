#include "engine/repository/index_merge.h"

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

#include "engine/repository/findings.h"

namespace haul::repository {

namespace {

constexpr std::size_t kRunsPerClass = 8;

// log8, rounded down.
int class_of(std::uint64_t entries) { return static_cast<int>(std::bit_width(entries)) / 3; }

class Merger {
 public:
  Merger(const std::set<RunRef>& listed, IndexRunContent& content)
      : listed_(listed), content_(content) {
    std::ranges::sort(content_.entries, {},
                      [](const RunEntry& e) { return std::tie(e.id, e.pack, e.ordinal); });
    forget_repetitions();
    for (std::uint32_t i = 0; i < content_.packs.size(); ++i) {
      numbers_[content_.packs[i].ref] = i;
    }
  }

  // Ascending by size.
  Status run(const std::vector<const IndexRun*>& runs) {
    auto next = runs.begin();
    for (;;) {
      const int limit = class_of(content_.entries.size());
      const auto end = std::find_if(next, runs.end(), [limit](const IndexRun* run) {
        return class_of(run->entries()) > limit;
      });
      if (static_cast<std::size_t>(end - next) + 1 < kRunsPerClass) return ok();
      for (; next != end; ++next) {
        if (content_.entries.size() + (*next)->entries() > kMergedEntriesMax) return ok();
        HAUL_TRY(take(**next));
      }
    }
  }

 private:
  Status take(const IndexRun& run) {
    std::vector<RunEntry> entries;
    entries.reserve(run.entries());
    for (std::size_t block = 0; block < run.blocks(); ++block) {
      auto read = run.read_block(block);
      if (!read) return is_damage(read.error()) ? ok() : Status(std::move(read).take_error());
      entries.insert(entries.end(), read->begin(), read->end());
    }
    if (!is_compatible(run, entries)) return ok();
    const std::vector<std::uint32_t> numbers = take_packs(run);
    for (RunEntry& entry : entries) entry.pack = numbers[entry.pack];
    const auto middle = static_cast<std::ptrdiff_t>(content_.entries.size());
    content_.entries.insert(content_.entries.end(), entries.begin(), entries.end());
    std::ranges::inplace_merge(content_.entries, content_.entries.begin() + middle, {},
                               &RunEntry::id);
    forget_repetitions();
    supersede(run.ref());
    for (const RunRef& ref : run.superseded()) {
      if (listed_.contains(ref)) supersede(ref);
    }
    return ok();
  }

  void forget_repetitions() {
    const auto [first, end] = std::ranges::unique(content_.entries, {}, &RunEntry::id);
    content_.entries.erase(first, end);
  }

  void supersede(const RunRef& ref) {
    if (superseded_.insert(ref).second) content_.superseded.push_back(ref);
  }

  bool is_compatible(const IndexRun& run, const std::vector<RunEntry>& entries) const {
    for (const IndexedPack& pack : run.packs()) {
      const auto known = numbers_.find(pack.ref);
      if (known != numbers_.end() && content_.packs[known->second] != pack) return false;
    }
    auto ours = content_.entries.begin();
    for (const RunEntry& theirs : entries) {
      while (ours != content_.entries.end() && ours->id < theirs.id) ++ours;
      if (ours == content_.entries.end()) return true;
      if (ours->id != theirs.id) continue;
      const bool same = content_.packs[ours->pack].ref == run.packs()[theirs.pack].ref &&
                        ours->ordinal == theirs.ordinal;
      if (!same) return false;
    }
    return true;
  }

  // The numbers that its packs have in the content.
  std::vector<std::uint32_t> take_packs(const IndexRun& run) {
    std::vector<std::uint32_t> numbers;
    for (const IndexedPack& pack : run.packs()) {
      const auto next = static_cast<std::uint32_t>(content_.packs.size());
      const auto [number, is_new] = numbers_.emplace(pack.ref, next);
      if (is_new) content_.packs.push_back(pack);
      numbers.push_back(number->second);
    }
    return numbers;
  }

  const std::set<RunRef>& listed_;
  IndexRunContent& content_;
  std::map<PackRef, std::uint32_t> numbers_;
  std::set<RunRef> superseded_;
};

}  // namespace

Status merge_runs(const std::vector<std::unique_ptr<IndexRun>>& runs,
                  const std::set<RunRef>& listed, IndexRunContent& content) {
  std::vector<const IndexRun*> by_size;
  for (const auto& run : runs) {
    if (run) by_size.push_back(run.get());
  }
  std::ranges::stable_sort(by_size, {}, &IndexRun::entries);
  return Merger(listed, content).run(by_size);
}

}  // namespace haul::repository
