#include "engine/repository/pack_table.h"

#include <set>
#include <vector>

namespace haul::repository {

std::vector<PackRef> packs_of(const PackTable& table) {
  std::vector<PackRef> packs;
  packs.reserve(table.size());
  for (const auto& [pack, use] : table) packs.push_back(pack);
  return packs;
}

void write_pack_table(ByteWriter& out, const PackTable& table) {
  std::set<std::string> names;
  for (const auto& [ref, use] : table) names.insert(ref.lease);
  const std::vector<std::string> leases(names.begin(), names.end());
  out.u32(static_cast<std::uint32_t>(leases.size()));
  for (const std::string& lease : leases) out.short_text(lease);
  out.u32(static_cast<std::uint32_t>(table.size()));
  std::uint32_t lease = 0;
  for (const auto& [ref, use] : table) {
    while (leases[lease] != ref.lease) ++lease;  // both are sorted by lease
    out.bytes(ref.name.bytes);
    out.u32(lease);
    out.u64(use.size_bytes);
    out.u64(use.chunk_references);
    out.u64(use.live_pages);
  }
}

Result<PackTable> read_pack_table(ByteReader& in) {
  const Error invalid(ErrorCode::corrupt, "the pack table is not valid");
  std::vector<std::string> leases;
  const std::uint32_t lease_count = in.u32();
  for (std::uint32_t i = 0; i < lease_count; ++i) {
    leases.push_back(in.short_text());
    if (!is_backup_name(leases.back())) return invalid;
  }
  const std::uint32_t count = in.u32();
  PackTable table;
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    PackRef ref;
    ref.name.bytes = in.array<32>();
    const std::uint32_t lease = in.u32();
    PackUse use;
    use.size_bytes = in.u64();
    use.chunk_references = in.u64();
    use.live_pages = in.u64();
    if (!in.ok() || lease >= leases.size()) return invalid;
    ref.lease = leases[lease];
    if (!table.emplace(std::move(ref), use).second) return invalid;
  }
  if (!in.ok()) return invalid;
  return table;
}

}  // namespace haul::repository
