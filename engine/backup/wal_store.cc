#include "engine/backup/wal_store.h"

namespace haul::backup {

namespace {

constexpr std::string_view kWalDirectory = "pg_wal/";

repository::TreeEntry named(const repository::TreeEntry& prototype, const std::string& name) {
  repository::TreeEntry entry = prototype;
  entry.path = std::string(kWalDirectory) + name;
  return entry;
}

}  // namespace

Status WalStore::begin_segment(const std::string& name, std::uint64_t size_bytes) {
  repository::TreeEntry entry = named(prototype_, name);
  entry.size_bytes = size_bytes;
  store_.begin(std::move(entry));
  return ok();
}

Status WalStore::append(ByteSpan bytes) { return store_.append(bytes); }

Status WalStore::finish_segment() {
  entries_.push_back(HAUL_TRY(store_.finish()));
  return ok();
}

Status WalStore::take_history(const std::string& name, ByteSpan bytes) {
  entries_.push_back(HAUL_TRY(store_.store(named(prototype_, name), bytes)));
  return ok();
}

}  // namespace haul::backup
