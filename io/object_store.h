// Named immutable objects: where a repository lives. Posix now, S3-compatible stores behind the
// same interface.
//
// Keys are plain relative paths ("clusters/main/index/..."). An object appears whole or not at all
// and is never overwritten; leases alone are replaced.
//
// Durability: when put_if_absent() or ObjectWriter::commit() returns, the bytes are synced and the
//             name is visible; the name survives a crash only after make_durable() of its prefix.
// Memory:   get() returns the whole object, bounded by the caller's limit.
// Threads:  every function from any thread; an ObjectWriter has one owner at a time.
// Errors:   not_found (authoritative: the store answered), already_exists, permission, no_space,
//           io; corrupt (what is no object lies in the tree); usage (a key that is not plain, or
//           in the reserved "tmp").
// Format:   docs/format.md, "Layout".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "io/file.h"

namespace haul::io {

struct ObjectInfo {
  std::string key;
  std::uint64_t size_bytes = 0;

  bool operator==(const ObjectInfo&) const = default;
};

// What lies directly beneath a prefix; sorted, each name once.
struct ObjectNames {
  std::vector<std::string> objects;
  std::vector<std::string> prefixes;

  bool operator==(const ObjectNames&) const = default;
};

// An object being written front to back. Destroying it uncommitted leaves nothing. Must not outlive
// its store.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  virtual Status append(ByteSpan bytes) = 0;
  // Syncs the bytes and gives the object its name; already_exists if it is taken. After any failure
  // the writer is spent: the caller writes the bytes again under another name or gives up.
  virtual Status commit() = 0;
};

// Random access to one object that stays open.
class ObjectReader {
 public:
  virtual ~ObjectReader() = default;
  virtual std::uint64_t size_bytes() const = 0;
  // Fills `into`; `corrupt` when the object ends before.
  virtual Status read_at(std::uint64_t offset, MutableByteSpan into) = 0;
};

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;

  virtual Status put_if_absent(const std::string& key, ByteSpan bytes) = 0;
  virtual Result<std::unique_ptr<ObjectWriter>> create(const std::string& key) = 0;
  // Atomically replaces the object, synced. For leases only.
  virtual Status replace(const std::string& key, ByteSpan bytes) = 0;

  // The whole object; `corrupt` when it is larger than `size_max_bytes`.
  virtual Result<std::vector<std::byte>> get(const std::string& key,
                                             std::uint64_t size_max_bytes) = 0;
  virtual Result<std::unique_ptr<ObjectReader>> open(const std::string& key) = 0;
  // The object as a file for a ring to read, and nothing else: opened direct where that is
  // possible, so that reads are aligned to kDirectAlignment and short at the end of the object. A
  // store that keeps no files gives one whose reads go through an ObjectReader.
  virtual Result<std::unique_ptr<File>> open_file(const std::string& key);
  virtual Result<ObjectInfo> head(const std::string& key) = 0;
  // Every object whose key begins with `prefix` + "/" at any depth (the empty prefix: all), sorted
  // by key. A prefix without objects lists as empty. Temporary files of writers are not objects.
  virtual Result<std::vector<ObjectInfo>> list(const std::string& prefix) = 0;
  // The next part of every such key, without the prefix, at the cost of these names alone. A prefix
  // may be named that has no object, or none any more; `prefix` itself may be absent.
  virtual Result<ObjectNames> list_names(const std::string& prefix) = 0;
  virtual Status remove(const std::string& key) = 0;

  // Every name directly under `prefix`, and the path to it, survives a crash from now on; also
  // names that other processes created. not_found when there is no such prefix. After a failed sync
  // of a directory it fails for that directory as long as the store lives: trying again would prove
  // nothing.
  virtual Status make_durable(const std::string& prefix) = 0;

  // For messages.
  virtual const std::string& name() const = 0;
};

}  // namespace haul::io
