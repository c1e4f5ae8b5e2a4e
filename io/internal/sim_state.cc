#include "io/internal/sim_state.h"

#include <algorithm>

#include "base/assert.h"

namespace haul::io::internal {
namespace {

constexpr std::uint64_t kSectorSizeBytes = 512;

// How one crash treats what was not synced. All kept and all lost are frequent in reality and
// deserve more than chance.
enum class Loss { everything, nothing, by_chance };

Loss draw_loss(SeededRandom& random) {
  switch (random.next() % 6) {
    case 0: return Loss::everything;
    case 1: return Loss::nothing;
    default: return Loss::by_chance;
  }
}

bool coin(SeededRandom& random) { return (random.next() & 1U) != 0; }

// Lets single sectors of a write reach the disk. Where the file grew, the new size may have reached
// it or not, and its bytes may be what the device had there before.
void tear(std::string& content, const SimContentChange& change, SeededRandom& random) {
  const std::uint64_t end = change.offset + change.bytes.size();
  if (end > content.size() && coin(random)) {
    content.resize(end, coin(random) ? '\0' : '\xA5');
  }
  for (std::uint64_t at = change.offset; at < end;) {
    const std::uint64_t next = std::min(end, (at / kSectorSizeBytes + 1) * kSectorSizeBytes);
    if (coin(random)) {
      if (content.size() < next) content.resize(next, '\0');
      content.replace(at, next - at, change.bytes, at - change.offset, next - at);
    }
    at = next;
  }
}

void apply_change(std::string& content, const SimContentChange& change) {
  if (change.is_resize) {
    content.resize(change.offset, '\0');
    return;
  }
  const std::uint64_t end = change.offset + change.bytes.size();
  if (content.size() < end) content.resize(end, '\0');
  content.replace(change.offset, change.bytes.size(), change.bytes);
}

std::string surviving_content(const SimInode& inode, Loss loss, SeededRandom& random) {
  if (loss == Loss::nothing) return inode.content;
  std::string content = inode.durable_content;
  if (loss == Loss::everything) return content;
  for (const SimContentChange& change : inode.content_changes) {
    switch (random.next() % 3) {
      case 0: break;
      case 1: apply_change(content, change); break;
      default:
        if (!change.is_resize) tear(content, change, random);
        break;
    }
  }
  return content;
}

using Entries = std::map<std::string, SimInodeId, std::less<>>;

void set_name(Entries& entries, const std::string& name, std::optional<SimInodeId> inode) {
  if (inode) {
    entries[name] = *inode;
  } else {
    entries.erase(name);
  }
}

// Changes of one name reach the disk in their order, so that it ends at any of them; different
// names are independent.
Entries surviving_entries(const SimInode& inode, Loss loss, SeededRandom& random) {
  if (loss == Loss::nothing) return inode.entries;
  Entries entries = inode.durable_entries;
  if (loss == Loss::everything) return entries;
  std::map<std::string, std::vector<std::optional<SimInodeId>>> changes_by_name;
  for (const SimEntryChange& change : inode.entry_changes) {
    changes_by_name[change.name].push_back(change.inode);
  }
  for (const auto& [name, changes] : changes_by_name) {
    const std::uint64_t reached = random.next() % (changes.size() + 1);
    if (reached > 0) set_name(entries, name, changes[reached - 1]);
  }
  return entries;
}

// The inode as a restarted machine finds it.
SimInode after_crash(const SimInode& before, Loss loss, SeededRandom& random) {
  SimInode after;
  after.kind = before.kind;
  const bool keep_metadata = loss == Loss::nothing || (loss == Loss::by_chance && coin(random));
  after.metadata = keep_metadata ? before.metadata : before.durable_metadata;
  after.durable_metadata = after.metadata;
  after.modified_ns = before.modified_ns;
  after.content = surviving_content(before, loss, random);
  after.durable_content = after.content;
  after.entries = surviving_entries(before, loss, random);
  after.durable_entries = after.entries;
  after.target = before.target;
  return after;
}

}  // namespace

void SimInode::write(std::uint64_t offset, std::string_view bytes) {
  SimContentChange change{offset, std::string(bytes), false};
  apply_change(content, change);
  content_changes.push_back(std::move(change));
}

void SimInode::resize(std::uint64_t size_bytes) {
  SimContentChange change{size_bytes, "", true};
  apply_change(content, change);
  content_changes.push_back(std::move(change));
}

void SimInode::set_entry(const std::string& name, std::optional<SimInodeId> inode) {
  set_name(entries, name, inode);
  entry_changes.push_back({name, inode});
}

void SimInode::make_durable() {
  durable_metadata = metadata;
  for (const SimContentChange& change : content_changes) apply_change(durable_content, change);
  for (const SimEntryChange& change : entry_changes) {
    set_name(durable_entries, change.name, change.inode);
  }
  forget_unsynced();
}

void SimInode::forget_unsynced() {
  content_changes.clear();
  entry_changes.clear();
}

}  // namespace haul::io::internal

namespace haul::io {

using internal::SimInode;
using internal::SimInodeId;

SimDisk::State::State() { root = make_inode(FileKind::directory, 0700); }

SimInodeId SimDisk::State::make_inode(FileKind kind, std::uint32_t mode) {
  SimInode inode;
  inode.kind = kind;
  inode.metadata.mode = mode;
  inode.durable_metadata = inode.metadata;
  inode.modified_ns = now_ns();
  inodes.emplace(next_inode, std::move(inode));
  return next_inode++;
}

Status SimDisk::State::check_running(std::uint64_t opened_in_generation) const {
  if (power_is_lost) return Error(ErrorCode::io, "the simulated machine has no power");
  if (opened_in_generation == generation) return ok();
  return Error(ErrorCode::io, "opened before the simulated machine was restarted");
}

std::optional<SimFault::Kind> SimDisk::State::next_operation() {
  ++operations;
  if (fault.at_operation == 0 || operations < fault.at_operation) return std::nullopt;
  if (operations > fault.at_operation && fault.repeat == SimFault::Repeat::once) {
    return std::nullopt;
  }
  return fault.kind;
}

void SimDisk::State::crash(std::uint64_t seed) {
  SeededRandom random(seed);
  const internal::Loss loss = internal::draw_loss(random);
  // Only what a surviving name leads to exists afterwards; the order of the walk is fixed, so a
  // seed repeats.
  std::unordered_map<SimInodeId, SimInode> survivors;
  std::vector<SimInodeId> reached = {root};
  while (!reached.empty()) {
    const SimInodeId id = reached.back();
    reached.pop_back();
    if (survivors.contains(id)) continue;
    SimInode after = internal::after_crash(inodes.at(id), loss, random);
    for (const auto& [name, child] : after.entries) reached.push_back(child);
    survivors.emplace(id, std::move(after));
  }
  inodes = std::move(survivors);
  fault = {};
  power_is_lost = false;
  file_system_sync_failed = false;
  ++generation;
}

std::optional<std::string> SimDisk::State::durable_content(std::string_view path) const {
  const SimInode* inode = &inodes.at(root);
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    // A name with a pending change may come out differently.
    const auto changes = [&](const internal::SimEntryChange& change) {
      return change.name == name;
    };
    const auto entry = inode->durable_entries.find(name);
    if (entry == inode->durable_entries.end()) return std::nullopt;
    if (std::ranges::any_of(inode->entry_changes, changes)) return std::nullopt;
    inode = &inodes.at(entry->second);
  }
  if (inode->kind != FileKind::regular || !inode->content_changes.empty()) return std::nullopt;
  return inode->durable_content;
}

}  // namespace haul::io
