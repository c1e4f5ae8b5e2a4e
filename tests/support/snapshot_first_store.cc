#include "tests/support/snapshot_first_store.h"

#include <map>
#include <utility>
#include <vector>

#include "tests/support/forwarding_store.h"

namespace haul::support {

namespace {

using Bytes = std::vector<std::byte>;

bool is_pack(const std::string& key) { return key.find("/packs/") != std::string::npos; }

class SnapshotFirstStore final : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  Result<std::unique_ptr<io::ObjectWriter>> create(const std::string& key) override;
  Result<io::ObjectInfo> head(const std::string& key) override {
    const auto held = held_.find(key);
    if (held != held_.end()) return io::ObjectInfo{key, held->second.size()};
    return inner().head(key);
  }
  Status make_durable(const std::string& prefix) override {
    if (prefix.find("/packs") != std::string::npos) return ok();
    HAUL_TRY(inner().make_durable(prefix));
    return prefix.ends_with("/snapshots") ? release() : ok();
  }

  void hold(const std::string& key, Bytes bytes) { held_[key] = std::move(bytes); }

 private:
  Status release() {
    for (const auto& [key, bytes] : std::exchange(held_, {})) {
      HAUL_TRY(inner().put_if_absent(key, bytes));
      HAUL_TRY(inner().make_durable(key.substr(0, key.rfind('/'))));
    }
    return ok();
  }

  std::map<std::string, Bytes> held_;
};

class HeldWriter final : public io::ObjectWriter {
 public:
  HeldWriter(SnapshotFirstStore& store, std::string key) : store_(store), key_(std::move(key)) {}

  Status append(ByteSpan bytes) override {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return ok();
  }
  Status commit() override {
    store_.hold(key_, std::move(bytes_));
    return ok();
  }

 private:
  SnapshotFirstStore& store_;
  const std::string key_;
  Bytes bytes_;
};

Result<std::unique_ptr<io::ObjectWriter>> SnapshotFirstStore::create(const std::string& key) {
  if (!is_pack(key)) return inner().create(key);
  return std::make_unique<HeldWriter>(*this, key);
}

}  // namespace

std::unique_ptr<io::ObjectStore> make_snapshot_first_store(std::unique_ptr<io::ObjectStore> inner) {
  return std::make_unique<SnapshotFirstStore>(std::move(inner));
}

}  // namespace haul::support
