#include "io/object_store.h"

#include <algorithm>
#include <utility>

namespace haul::io {
namespace {

// An object that is no file of this machine, for code that reads files.
class ObjectFile final : public File {
 public:
  explicit ObjectFile(std::unique_ptr<ObjectReader> object) : object_(std::move(object)) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteSpan into) override {
    if (offset >= object_->size_bytes()) return std::size_t{0};
    const std::size_t count = std::min<std::uint64_t>(into.size(), object_->size_bytes() - offset);
    HAUL_TRY(object_->read_at(offset, into.first(count)));
    return count;
  }
  Result<FileInfo> info() override {
    FileInfo info;
    info.kind = FileKind::regular;
    info.size_bytes = object_->size_bytes();
    return info;
  }
  Status finish() override { return ok(); }
  std::optional<int> descriptor() const override { return std::nullopt; }

  Status write_at(std::uint64_t, ByteSpan) override { return immutable(); }
  Status resize(std::uint64_t) override { return immutable(); }
  Status preallocate(std::uint64_t) override { return immutable(); }
  Status end_direct() override { return ok(); }
  Status set_mode(std::uint32_t) override { return immutable(); }
  Status set_owner(std::uint32_t, std::uint32_t) override { return immutable(); }
  Status sync() override { return immutable(); }

 private:
  static Error immutable() {
    return {ErrorCode::usage, "an object that is read cannot be changed"};
  }

  const std::unique_ptr<ObjectReader> object_;
};

}  // namespace

Result<std::unique_ptr<File>> ObjectStore::open_file(const std::string& key) {
  return std::make_unique<ObjectFile>(HAUL_TRY(open(key)));
}

}  // namespace haul::io
