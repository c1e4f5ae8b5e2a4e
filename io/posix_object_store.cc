#include "io/posix_object_store.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

#include "base/format.h"
#include "io/internal/object_writer.h"
#include "io/internal/write_behind.h"

namespace haul::io {
namespace {

using internal::ByteSink;
using internal::FileObjectWriter;
using internal::WriteBehind;

constexpr std::string_view kTemporaryDirectory = "tmp";
constexpr std::uint32_t kDirectoryMode = 0700;

std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string joined(const std::string& directory, const std::string& name) {
  return directory.empty() ? name : directory + "/" + name;
}

bool is_temporary(std::string_view key) {
  return key == kTemporaryDirectory ||
         (key.starts_with(kTemporaryDirectory) && key[kTemporaryDirectory.size()] == '/');
}

class FileObjectReader final : public ObjectReader {
 public:
  FileObjectReader(std::unique_ptr<File> file, std::string name, std::uint64_t size_bytes)
      : file_(std::move(file)), name_(std::move(name)), size_bytes_(size_bytes) {}

  std::uint64_t size_bytes() const override { return size_bytes_; }
  Status read_at(std::uint64_t offset, MutableByteSpan into) override {
    const std::size_t count = HAUL_TRY(file_->read_at(offset, into));
    if (count == into.size()) return ok();
    return Error(ErrorCode::corrupt, format("{} ends at offset {}, before offset {}", name_,
                                            offset + count, offset + into.size()));
  }

 private:
  const std::unique_ptr<File> file_;
  const std::string name_;
  const std::uint64_t size_bytes_;
};

class PosixObjectStore final : public ObjectStore {
 public:
  PosixObjectStore(std::unique_ptr<Directory> root, PosixObjectStoreOptions options)
      : root_(std::move(root)), options_(std::move(options)) {}

  Status put_if_absent(const std::string& key, ByteSpan bytes) override;
  Result<std::unique_ptr<ObjectWriter>> create(const std::string& key) override;
  Status replace(const std::string& key, ByteSpan bytes) override;
  Result<std::vector<std::byte>> get(const std::string& key, std::uint64_t size_max_bytes) override;
  Result<std::unique_ptr<ObjectReader>> open(const std::string& key) override;
  Result<std::unique_ptr<File>> open_file(const std::string& key) override;
  Result<ObjectInfo> head(const std::string& key) override;
  Result<std::vector<ObjectInfo>> list(const std::string& prefix) override;
  Result<ObjectNames> list_names(const std::string& prefix) override;
  Status remove(const std::string& key) override;
  Status make_durable(const std::string& prefix) override;
  const std::string& name() const override { return root_->name(); }

 private:
  enum class Taken { refuse, replace };

  std::string shown(const std::string& key) const { return full_name(*root_, key); }
  Status check_key(const std::string& key) const;
  Error foreign(const std::string& path) const;
  Error object_error(const std::string& key, Error error);

  Result<std::unique_ptr<File>> start(Caching caching);
  Result<WriteBehind*> write_behind();
  Status put(const std::string& key, ByteSpan bytes, Taken taken);
  Status complete(File& file, const std::string& key, Taken taken);
  Status publish(File& file, const std::string& key, Taken taken);
  Status publish_once(File& file, const std::string& key, Taken taken);
  Result<std::unique_ptr<File>> create_temporary(Caching caching);
  Status make_directories(std::string_view path);

  Result<std::unique_ptr<Directory>> open_to_list(const std::string& path);
  Status list_directory(const std::string& path, std::vector<std::string>& pending,
                        std::vector<ObjectInfo>& objects);
  Status sync(std::string_view directory);

  const std::unique_ptr<Directory> root_;
  const PosixObjectStoreOptions options_;

  std::mutex mutex_;                           // guards what follows
  std::unique_ptr<WriteBehind> write_behind_;  // from its first use
  // Directories whose own name in their parent was synced by this process.
  std::set<std::string, std::less<>> anchored_;
  // Directories whose sync failed: a later success would prove nothing about the names of before.
  std::set<std::string, std::less<>> sync_failed_;
};

Status PosixObjectStore::check_key(const std::string& key) const {
  if (is_plain_path(key) && !is_temporary(key)) return ok();
  return Error(ErrorCode::usage, format("'{}' cannot be a key in {}", key, name()));
}

Error PosixObjectStore::foreign(const std::string& path) const {
  return Error(ErrorCode::corrupt, format("{} is neither a file nor a directory", shown(path)),
               "a repository contains no links and no special files; remove what was put there");
}

// What a failure of the file system means for an object: a directory of that name is no object, and
// a link or a special file, there or on the way, does not belong into the tree.
Error PosixObjectStore::object_error(const std::string& key, Error error) {
  if (error.code() != ErrorCode::usage) return error;
  const Result<FileInfo> info = root_->info(key);
  if (!info) return info.error().code() == ErrorCode::usage ? foreign(key) : info.error();
  if (info->kind != FileKind::directory) return foreign(key);
  return Error(ErrorCode::not_found, format("{} is a directory, not an object", shown(key)));
}

Result<std::unique_ptr<File>> PosixObjectStore::create_temporary(Caching caching) {
  Result<std::unique_ptr<File>> file = root_->create_temporary(kTemporaryDirectory, caching);
  if (file || file.error().code() != ErrorCode::not_found) return file;
  HAUL_TRY(make_directories(kTemporaryDirectory));
  return root_->create_temporary(kTemporaryDirectory, caching);
}

Status PosixObjectStore::make_directories(std::string_view path) {
  for (std::size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    const std::string_view directory = path.substr(0, end);
    Status made = root_->make_directory(directory, kDirectoryMode);
    if (!made && made.error().code() == ErrorCode::already_exists) continue;
    if (!made) return made;
    if (options_.owner) {
      HAUL_TRY(root_->set_owner(directory, options_.owner->user, options_.owner->group));
    }
  }
  return ok();
}

Status PosixObjectStore::publish_once(File& file, const std::string& key, Taken taken) {
  return taken == Taken::replace ? root_->publish_over(file, key) : root_->publish(file, key);
}

// Directories are made only where one is found missing: nearly always they exist.
Status PosixObjectStore::publish(File& file, const std::string& key, Taken taken) {
  Status published = publish_once(file, key, taken);
  if (published || published.error().code() != ErrorCode::not_found) return published;
  HAUL_TRY(make_directories(parent_of(key)));
  return publish_once(file, key, taken);
}

Result<std::unique_ptr<File>> PosixObjectStore::start(Caching caching) {
  std::unique_ptr<File> file = HAUL_TRY(create_temporary(caching));
  if (options_.owner) HAUL_TRY(file->set_owner(options_.owner->user, options_.owner->group));
  return file;
}

Status PosixObjectStore::complete(File& file, const std::string& key, Taken taken) {
  // A name promises the whole content, also after a crash: the bytes are synced before it is given.
  // A failure here is final for this file; syncing it again would prove nothing.
  HAUL_TRY(file.sync());
  HAUL_TRY(publish(file, key, taken));
  // A nameless file can be named only while it is open, so closing comes last.
  return file.finish();
}

Result<WriteBehind*> PosixObjectStore::write_behind() {
  const std::lock_guard lock(mutex_);
  if (!write_behind_) write_behind_ = HAUL_TRY(WriteBehind::open(options_.rings));
  return write_behind_.get();
}

Result<std::unique_ptr<ObjectWriter>> PosixObjectStore::create(const std::string& key) {
  HAUL_TRY(check_key(key));
  WriteBehind* const behind = options_.rings ? HAUL_TRY(write_behind()) : nullptr;
  std::unique_ptr<File> file =
      HAUL_TRY(start(behind == nullptr ? Caching::buffered : Caching::direct));
  std::unique_ptr<ByteSink> sink =
      behind == nullptr ? internal::make_plain_sink(*file) : behind->write_to(*file);
  return std::make_unique<FileObjectWriter>(
      std::move(file), std::move(sink), shown(key),
      [this, key](File& written) { return complete(written, key, Taken::refuse); });
}

Status PosixObjectStore::put(const std::string& key, ByteSpan bytes, Taken taken) {
  HAUL_TRY(check_key(key));
  const std::unique_ptr<File> file = HAUL_TRY(start(Caching::buffered));
  HAUL_TRY(file->write_at(0, bytes));
  return complete(*file, key, taken);
}

Status PosixObjectStore::put_if_absent(const std::string& key, ByteSpan bytes) {
  return put(key, bytes, Taken::refuse);
}

Status PosixObjectStore::replace(const std::string& key, ByteSpan bytes) {
  return put(key, bytes, Taken::replace);
}

Result<std::unique_ptr<ObjectReader>> PosixObjectStore::open(const std::string& key) {
  HAUL_TRY(check_key(key));
  Result<std::unique_ptr<File>> file = root_->open_file(key, Caching::buffered);
  if (!file) return object_error(key, std::move(file).take_error());
  const FileInfo info = HAUL_TRY((*file)->info());
  return std::make_unique<FileObjectReader>(std::move(*file), shown(key), info.size_bytes);
}

Result<std::unique_ptr<File>> PosixObjectStore::open_file(const std::string& key) {
  HAUL_TRY(check_key(key));
  Result<std::unique_ptr<File>> file = root_->open_file(key, Caching::direct);
  if (!file) return object_error(key, std::move(file).take_error());
  return file;
}

Result<std::vector<std::byte>> PosixObjectStore::get(const std::string& key,
                                                     std::uint64_t size_max_bytes) {
  const std::unique_ptr<ObjectReader> reader = HAUL_TRY(open(key));
  if (reader->size_bytes() > size_max_bytes) {
    return Error(ErrorCode::corrupt, format("{} has {} bytes, more than the {} it may have",
                                            shown(key), reader->size_bytes(), size_max_bytes));
  }
  std::vector<std::byte> bytes(reader->size_bytes());
  HAUL_TRY(reader->read_at(0, bytes));
  return bytes;
}

Result<ObjectInfo> PosixObjectStore::head(const std::string& key) {
  HAUL_TRY(check_key(key));
  const Result<FileInfo> info = root_->info(key);
  if (!info) return object_error(key, info.error());
  if (info->kind != FileKind::regular) {
    return object_error(key, Error(ErrorCode::usage, "not a regular file"));
  }
  return ObjectInfo{key, info->size_bytes};
}

Result<std::vector<ObjectInfo>> PosixObjectStore::list(const std::string& prefix) {
  if (!prefix.empty()) HAUL_TRY(check_key(prefix));
  std::vector<ObjectInfo> objects;
  std::vector<std::string> pending = {prefix};
  while (!pending.empty()) {
    const std::string path = std::move(pending.back());
    pending.pop_back();
    HAUL_TRY(list_directory(path, pending, objects));
  }
  std::ranges::sort(objects, {}, &ObjectInfo::key);
  return objects;
}

Result<ObjectNames> PosixObjectStore::list_names(const std::string& prefix) {
  if (!prefix.empty()) HAUL_TRY(check_key(prefix));
  ObjectNames names;
  const std::unique_ptr<Directory> directory = HAUL_TRY(open_to_list(prefix));
  if (!directory) return names;
  for (DirectoryEntry& entry : HAUL_TRY(directory->list(""))) {
    const std::string key = joined(prefix, entry.name);
    if (is_temporary(key)) continue;
    if (entry.kind != FileKind::directory && entry.kind != FileKind::regular) return foreign(key);
    (entry.kind == FileKind::regular ? names.objects : names.prefixes)
        .push_back(std::move(entry.name));
  }
  return names;
}

// Nothing when there is no such directory.
Result<std::unique_ptr<Directory>> PosixObjectStore::open_to_list(const std::string& path) {
  Result<std::unique_ptr<Directory>> directory = root_->open_directory(path);
  if (directory) return directory;
  if (directory.error().code() == ErrorCode::not_found) return nullptr;
  if (directory.error().code() == ErrorCode::usage) return foreign(path);
  return directory;
}

// What vanishes while it is being listed counts as absent.
Status PosixObjectStore::list_directory(const std::string& path, std::vector<std::string>& pending,
                                        std::vector<ObjectInfo>& objects) {
  const std::unique_ptr<Directory> directory = HAUL_TRY(open_to_list(path));
  if (!directory) return ok();
  for (DirectoryEntry& entry : HAUL_TRY(directory->list(""))) {
    std::string key = joined(path, entry.name);
    if (is_temporary(key)) continue;
    if (entry.kind == FileKind::directory) {
      pending.push_back(std::move(key));
      continue;
    }
    if (entry.kind != FileKind::regular) return foreign(key);
    const Result<FileInfo> info = directory->info(entry.name);
    if (!info && info.error().code() == ErrorCode::not_found) continue;
    if (!info) return info.error();
    objects.push_back({std::move(key), info->size_bytes});
  }
  return ok();
}

Status PosixObjectStore::remove(const std::string& key) {
  HAUL_TRY(check_key(key));
  Status removed = root_->remove_file(key);
  if (!removed) return object_error(key, std::move(removed).take_error());
  return ok();
}

Status PosixObjectStore::sync(std::string_view directory) {
  {
    const std::lock_guard lock(mutex_);
    if (sync_failed_.contains(directory)) {
      return Error(ErrorCode::io, format("an earlier sync of {} failed, and what it left undone "
                                         "is not known",
                                         full_name(*root_, directory)));
    }
  }
  Status synced = root_->sync_directory(directory);
  if (!synced &&
      (synced.error().code() == ErrorCode::io || synced.error().code() == ErrorCode::no_space)) {
    const std::lock_guard lock(mutex_);
    sync_failed_.emplace(directory);
  }
  return synced;
}

Status PosixObjectStore::make_durable(const std::string& prefix) {
  if (!prefix.empty()) HAUL_TRY(check_key(prefix));
  HAUL_TRY(sync(prefix));
  // The names in a directory are worth nothing when the directory's own name is lost.
  for (std::string_view directory = prefix; !directory.empty(); directory = parent_of(directory)) {
    {
      const std::lock_guard lock(mutex_);
      if (anchored_.contains(directory)) continue;
    }
    HAUL_TRY(sync(parent_of(directory)));
    const std::lock_guard lock(mutex_);
    anchored_.emplace(directory);
  }
  return ok();
}

}  // namespace

std::unique_ptr<ObjectStore> make_posix_object_store(std::unique_ptr<Directory> root,
                                                     PosixObjectStoreOptions options) {
  return std::make_unique<PosixObjectStore>(std::move(root), std::move(options));
}

}  // namespace haul::io
