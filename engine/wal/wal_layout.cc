#include "engine/wal/wal_layout.h"

#include <charconv>

#include "base/format.h"

namespace haul::wal {
namespace {

// Timeline and the high half of the position: what the segments of 4 GiB share.
constexpr std::size_t kGroupNameLength = 16;

}  // namespace

std::string WalLayout::timeline(TimelineId timeline) const {
  return format("{}/{:08X}", root_, timeline.value);
}

std::string WalLayout::prefix(const WalName& name) const {
  switch (name.kind) {
    case WalFileKind::segment: break;
    case WalFileKind::partial: return partials();
    case WalFileKind::history: return histories();
    case WalFileKind::backup_history: return backup_histories();
  }
  return format("{}/{}", timeline(name.timeline), name.segment().substr(0, kGroupNameLength));
}

std::optional<std::uint64_t> parse_system_identifier(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || text.front() == '0' || error != std::errc{} || stop != end) {
    return std::nullopt;
  }
  return value;
}

std::optional<WalKey> parse_wal_key(const repository::ClusterLayout& cluster,
                                    std::string_view key) {
  const std::string root = cluster.wal() + "/";
  if (!key.starts_with(root)) return std::nullopt;
  const std::string_view rest = key.substr(root.size());
  const auto system = parse_system_identifier(rest.substr(0, rest.find('/')));
  const auto name = parse_wal_name(rest.substr(rest.rfind('/') + 1));
  if (!system || !name) return std::nullopt;
  // What lies between them has one form only.
  if (WalLayout(cluster, *system).key(*name) != key) return std::nullopt;
  return WalKey{*system, *name};
}

}  // namespace haul::wal
