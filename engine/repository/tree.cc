#include "engine/repository/tree.h"

#include <algorithm>
#include <bit>

#include "base/format.h"
#include "compress/checksum.h"
#include "engine/repository/map.h"
#include "io/directory.h"

namespace haul::repository {

namespace {

constexpr std::size_t kLeafBytesMin = 16 * 1024;
// With entries of about 150 bytes a leaf of 16 KiB goes on for 10 KiB on average; few meet the
// upper limit, where a cut no longer depends on the content alone.
constexpr std::uint64_t kLeafEndMask = 0x3F;
constexpr std::size_t kEntryBytesMax = 16 * 1024;
constexpr std::size_t kPathBytesMax = 4096;
constexpr std::size_t kNodeChildrenMax = 4096;
constexpr std::uint64_t kFileBytesMax = 1ULL << 44;

Error corrupt(std::string_view what) { return Error(ErrorCode::corrupt, format("tree: {}", what)); }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes a run of digits off the front, without its leading zeros.
std::string_view take_number(std::string_view& text) {
  std::size_t end = 0;
  while (end < text.size() && is_digit(text[end])) ++end;
  std::string_view number = text.substr(0, end);
  text.remove_prefix(end);
  number.remove_prefix(std::min(number.find_first_not_of('0'), number.size()));
  return number;
}

// '/' sorts before everything, so that a directory's content follows it directly.
unsigned rank(char c) { return c == '/' ? 0U : static_cast<unsigned char>(c) + 1U; }

}  // namespace

std::strong_ordering compare_paths(std::string_view left, std::string_view right) {
  std::string_view a = left;
  std::string_view b = right;
  while (!a.empty() && !b.empty()) {
    if (is_digit(a.front()) && is_digit(b.front())) {
      const std::string_view x = take_number(a);
      const std::string_view y = take_number(b);
      if (x.size() != y.size()) return x.size() <=> y.size();
      if (const auto order = x <=> y; order != 0) return order;
    } else {
      if (const auto order = rank(a.front()) <=> rank(b.front()); order != 0) return order;
      a.remove_prefix(1);
      b.remove_prefix(1);
    }
  }
  if (a.size() != b.size()) return a.size() <=> b.size();
  return left <=> right;
}

bool entry_less(const TreeEntry& left, const TreeEntry& right) {
  if (left.root != right.root) return left.root < right.root;
  return compare_paths(left.path, right.path) < 0;
}

namespace {

// Content must be what the size calls for: nothing downstream checks again.
bool content_fits(const TreeEntry& entry, std::uint32_t chunk_pages) {
  if (entry.kind != EntryKind::file || entry.size_bytes == 0) {
    return entry.content == ContentKind::none && entry.ids.empty() && entry.size_bytes == 0;
  }
  const std::uint64_t regions =
      (page_count(entry.size_bytes, entry.page_size_bytes) + chunk_pages - 1) / chunk_pages;
  if (entry.content == ContentKind::inlined)
    return entry.ids.size() == regions && regions <= kInlineChunksMax;
  return entry.content == ContentKind::map && entry.ids.size() == 1;
}

}  // namespace

Status check_entry(const TreeEntry& entry, std::uint32_t chunk_pages) {
  if (entry.path.size() > kPathBytesMax || !io::is_plain_path(entry.path)) {
    return corrupt(format("path \"{}\" is not allowed", entry.path));
  }
  const bool page_size_valid = entry.page_size_bytes >= kPageSizeMin &&
                               entry.page_size_bytes <= kPageSizeMax &&
                               std::has_single_bit(entry.page_size_bytes);
  if (!page_size_valid || entry.size_bytes > kFileBytesMax || entry.mode > 07777) {
    return corrupt(format("entry \"{}\": mode or sizes are out of range", entry.path));
  }
  const bool target_valid = entry.link_target.size() <= kPathBytesMax &&
                            entry.link_target.find('\0') == std::string::npos &&
                            (entry.kind == EntryKind::link) != entry.link_target.empty();
  if (!target_valid || !content_fits(entry, chunk_pages)) {
    return corrupt(format("entry \"{}\" is not valid", entry.path));
  }
  return ok();
}

void encode_entry(ByteWriter& out, const TreeEntry& entry) {
  out.u8(static_cast<std::uint8_t>(entry.root));
  out.u8(static_cast<std::uint8_t>(entry.kind));
  out.u8(static_cast<std::uint8_t>(entry.content));
  out.u8(static_cast<std::uint8_t>(entry.ids.size()));
  out.u32(entry.mode);
  out.u32(entry.user);
  out.u32(entry.group);
  out.u32(entry.page_size_bytes);
  out.u64(entry.size_bytes);
  out.short_text(entry.path);
  out.short_text(entry.link_target);
  for (const ChunkId& id : entry.ids) out.bytes(id.bytes);
}

bool ends_leaf(const TreeEntry& entry, std::size_t leaf_bytes) {
  if (leaf_bytes + kEntryBytesMax > kTreeLeafBytesMax) return true;
  if (leaf_bytes < kLeafBytesMin) return false;
  const compress::Checksum hash = compress::checksum(bytes_of(entry.path));
  return (ByteReader(hash.bytes).u64() & kLeafEndMask) == 0;
}

namespace {

Result<TreeEntry> decode_entry(ByteReader& in, std::uint32_t chunk_pages) {
  TreeEntry entry;
  const std::uint8_t root = in.u8();
  const std::uint8_t kind = in.u8();
  const std::uint8_t content = in.u8();
  const std::size_t ids = in.u8();
  entry.mode = in.u32();
  entry.user = in.u32();
  entry.group = in.u32();
  entry.page_size_bytes = in.u32();
  entry.size_bytes = in.u64();
  entry.path = in.short_text();
  entry.link_target = in.short_text();
  for (std::size_t i = 0; i < ids && in.ok(); ++i) entry.ids.push_back(ChunkId{in.array<32>()});
  if (!in.ok() || root > 1 || kind > 2 || content > 2) return corrupt("an entry is not valid");
  entry.root = static_cast<TreeRoot>(root);
  entry.kind = static_cast<EntryKind>(kind);
  entry.content = static_cast<ContentKind>(content);
  HAUL_TRY(check_entry(entry, chunk_pages));
  return entry;
}

}  // namespace

Result<std::vector<TreeEntry>> decode_tree_leaf(ByteSpan bytes, std::uint32_t chunk_pages) {
  ByteReader in(bytes);
  std::vector<TreeEntry> entries;
  while (in.ok() && in.remaining() > 0) {
    TreeEntry entry = HAUL_TRY(decode_entry(in, chunk_pages));
    if (!entries.empty() && !entry_less(entries.back(), entry))
      return corrupt("entries are not in order");
    entries.push_back(std::move(entry));
  }
  if (entries.empty()) return corrupt("a leaf is empty");
  return entries;
}

std::vector<std::byte> encode_tree_node(std::uint8_t level, std::span<const TreeChild> children) {
  HAUL_ASSERT(level >= 1 && level <= kTreeLevelsMax && !children.empty() &&
              children.size() <= kNodeChildrenMax);
  ByteWriter out;
  out.u8(level);
  out.zeros(3);
  out.u32(static_cast<std::uint32_t>(children.size()));
  for (const TreeChild& child : children) {
    out.bytes(child.id.bytes);
    out.u64(child.entries);
  }
  return std::move(out).take();
}

Result<TreeNode> decode_tree_node(ByteSpan bytes) {
  ByteReader in(bytes);
  TreeNode node;
  node.level = in.u8();
  in.zeros(3);
  const std::size_t count = in.u32();
  // Levels bound the recursion of a reader.
  if (!in.ok() || node.level < 1 || node.level > kTreeLevelsMax || count == 0 ||
      count > kNodeChildrenMax || in.remaining() != count * 40) {
    return corrupt("a node is not valid");
  }
  std::vector<ChunkId> ids;
  for (std::size_t i = 0; i < count; ++i) {
    const ChunkId id{in.array<32>()};
    node.children.push_back({id, in.u64()});
    ids.push_back(id);
  }
  // Entries ascend, so that no part can occur twice; a node that repeats one would have readers
  // walk the same part without end.
  std::ranges::sort(ids);
  if (std::ranges::adjacent_find(ids) != ids.end()) return corrupt("a node repeats a child");
  return node;
}

}  // namespace haul::repository
