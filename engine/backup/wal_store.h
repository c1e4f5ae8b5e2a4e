// Takes the WAL that the copier hands over and stores it as files of the backup's tree, under
// pg_wal.
//
// Memory:   see FileStore; a timeline history file whole.
// Threads:  called from the copier's thread; entries() after the copier has finished.
// Errors:   those of the chunk writer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/backup/file_store.h"
#include "engine/postgres/wal_copier.h"

namespace haul::backup {

class WalStore final : public postgres::WalSink {
 public:
  // `prototype` gives page size, mode and owner.
  WalStore(FileStore store, repository::TreeEntry prototype)
      : store_(std::move(store)), prototype_(std::move(prototype)) {}

  Status begin_segment(const std::string& name, std::uint64_t size_bytes) override;
  Status append(ByteSpan bytes) override;
  Status finish_segment() override;
  Status take_history(const std::string& name, ByteSpan bytes) override;

  std::vector<repository::TreeEntry>& entries() { return entries_; }
  std::uint64_t hole_bytes() const { return store_.hole_bytes(); }

 private:
  FileStore store_;
  const repository::TreeEntry prototype_;
  std::vector<repository::TreeEntry> entries_;
};

}  // namespace haul::backup
