#include "tests/support/memory_object_store.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "base/format.h"
#include "io/directory.h"

namespace haul::support {
namespace {

using Bytes = std::vector<std::byte>;

Bytes copy_of(ByteSpan bytes) { return {bytes.begin(), bytes.end()}; }

class MemoryObjectReader final : public io::ObjectReader {
 public:
  explicit MemoryObjectReader(Bytes bytes) : bytes_(std::move(bytes)) {}

  std::uint64_t size_bytes() const override { return bytes_.size(); }
  Status read_at(std::uint64_t offset, MutableByteSpan into) override {
    if (offset > bytes_.size() || into.size() > bytes_.size() - offset) {
      return Error(ErrorCode::corrupt, "the object ends before what was to be read");
    }
    std::ranges::copy(ByteSpan(bytes_).subspan(offset, into.size()), into.begin());
    return ok();
  }

 private:
  const Bytes bytes_;
};

class MemoryObjectStore final : public io::ObjectStore {
 public:
  Status put_if_absent(const std::string& key, ByteSpan bytes) override {
    HAUL_TRY(check_key(key));
    const std::lock_guard lock(mutex_);
    if (objects_.contains(key)) return Error(ErrorCode::already_exists, key + " exists");
    insert(key, copy_of(bytes));
    return ok();
  }

  Result<std::unique_ptr<io::ObjectWriter>> create(const std::string& key) override;

  Status replace(const std::string& key, ByteSpan bytes) override {
    HAUL_TRY(check_key(key));
    const std::lock_guard lock(mutex_);
    insert(key, copy_of(bytes));
    return ok();
  }

  Result<Bytes> get(const std::string& key, std::uint64_t size_max_bytes) override {
    HAUL_TRY(check_key(key));
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(key);
    if (found == objects_.end()) return absent(key);
    if (found->second.size() > size_max_bytes) {
      return Error(ErrorCode::corrupt, key + " is larger than it may be");
    }
    return found->second;
  }

  Result<std::unique_ptr<io::ObjectReader>> open(const std::string& key) override {
    HAUL_TRY(check_key(key));
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(key);
    if (found == objects_.end()) return absent(key);
    return std::make_unique<MemoryObjectReader>(found->second);
  }

  Result<io::ObjectInfo> head(const std::string& key) override {
    HAUL_TRY(check_key(key));
    const std::lock_guard lock(mutex_);
    const auto found = objects_.find(key);
    if (found == objects_.end()) return absent(key);
    return io::ObjectInfo{key, found->second.size()};
  }

  Result<std::vector<io::ObjectInfo>> list(const std::string& prefix) override {
    if (!prefix.empty()) HAUL_TRY(check_key(prefix));
    const std::string start = prefix.empty() ? "" : prefix + "/";
    const std::lock_guard lock(mutex_);
    std::vector<io::ObjectInfo> listed;
    for (const auto& [key, bytes] : objects_) {
      if (key.starts_with(start)) listed.push_back({key, bytes.size()});
    }
    return listed;
  }

  Result<io::ObjectNames> list_names(const std::string& prefix) override {
    std::set<std::string> objects;
    std::set<std::string> prefixes;
    for (const io::ObjectInfo& object : HAUL_TRY(list(prefix))) {
      const std::string rest = object.key.substr(prefix.empty() ? 0 : prefix.size() + 1);
      const std::size_t slash = rest.find('/');
      (slash == std::string::npos ? objects : prefixes).insert(rest.substr(0, slash));
    }
    return io::ObjectNames{{objects.begin(), objects.end()}, {prefixes.begin(), prefixes.end()}};
  }

  Status remove(const std::string& key) override {
    HAUL_TRY(check_key(key));
    const std::lock_guard lock(mutex_);
    if (objects_.erase(key) == 0) return absent(key);
    return ok();
  }

  Status make_durable(const std::string& prefix) override {
    if (prefix.empty()) return ok();
    HAUL_TRY(check_key(prefix));
    const std::lock_guard lock(mutex_);
    if (!prefixes_.contains(prefix)) return absent(prefix);
    return ok();
  }

  const std::string& name() const override { return name_; }

 private:
  static Error absent(const std::string& key) {
    return Error(ErrorCode::not_found, key + " does not exist");
  }

  static Status check_key(const std::string& key) {
    if (io::is_plain_path(key) && key != "tmp" && !key.starts_with("tmp/")) return ok();
    return Error(ErrorCode::usage, format("'{}' cannot be a key", key));
  }

  // The caller holds the mutex.
  void insert(const std::string& key, Bytes bytes) {
    objects_[key] = std::move(bytes);
    for (std::size_t end = key.find('/'); end != std::string::npos; end = key.find('/', end + 1)) {
      prefixes_.insert(key.substr(0, end));
    }
  }

  const std::string name_ = "memory";
  std::mutex mutex_;  // guards both
  std::map<std::string, Bytes> objects_;
  std::set<std::string> prefixes_;  // under which there ever was an object
};

class MemoryObjectWriter final : public io::ObjectWriter {
 public:
  MemoryObjectWriter(MemoryObjectStore& store, std::string key)
      : store_(store), key_(std::move(key)) {}

  Status append(ByteSpan bytes) override {
    if (is_spent_) return Error(ErrorCode::io, "the writer has failed before");
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return ok();
  }
  Status commit() override {
    if (is_spent_) return Error(ErrorCode::io, "the writer has failed before");
    is_spent_ = true;
    return store_.put_if_absent(key_, bytes_);
  }

 private:
  MemoryObjectStore& store_;
  const std::string key_;
  Bytes bytes_;
  bool is_spent_ = false;
};

Result<std::unique_ptr<io::ObjectWriter>> MemoryObjectStore::create(const std::string& key) {
  HAUL_TRY(check_key(key));
  return std::make_unique<MemoryObjectWriter>(*this, key);
}

}  // namespace

std::unique_ptr<io::ObjectStore> make_memory_object_store() {
  return std::make_unique<MemoryObjectStore>();
}

}  // namespace haul::support
