// An ObjectStore that hands everything on to another; fakes override what they change or watch.
//
// Threads:  as the store beneath.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/object_store.h"

namespace haul::support {

class ForwardingStore : public io::ObjectStore {
 public:
  explicit ForwardingStore(std::unique_ptr<io::ObjectStore> inner)
      : owned_(std::move(inner)), inner_(owned_.get()) {}
  // Borrows; `inner` outlives this.
  explicit ForwardingStore(io::ObjectStore& inner) : inner_(&inner) {}

  Status put_if_absent(const std::string& key, ByteSpan bytes) override {
    return inner_->put_if_absent(key, bytes);
  }
  Result<std::unique_ptr<io::ObjectWriter>> create(const std::string& key) override {
    return inner_->create(key);
  }
  Status replace(const std::string& key, ByteSpan bytes) override {
    return inner_->replace(key, bytes);
  }
  Result<std::vector<std::byte>> get(const std::string& key,
                                     std::uint64_t size_max_bytes) override {
    return inner_->get(key, size_max_bytes);
  }
  Result<std::unique_ptr<io::ObjectReader>> open(const std::string& key) override {
    return inner_->open(key);
  }
  Result<io::ObjectInfo> head(const std::string& key) override { return inner_->head(key); }
  Result<std::vector<io::ObjectInfo>> list(const std::string& prefix) override {
    return inner_->list(prefix);
  }
  Result<io::ObjectNames> list_names(const std::string& prefix) override {
    return inner_->list_names(prefix);
  }
  Status remove(const std::string& key) override { return inner_->remove(key); }
  Status make_durable(const std::string& prefix) override { return inner_->make_durable(prefix); }
  const std::string& name() const override { return inner_->name(); }

 protected:
  io::ObjectStore& inner() { return *inner_; }

 private:
  const std::unique_ptr<io::ObjectStore> owned_;
  io::ObjectStore* const inner_;
};

}  // namespace haul::support
