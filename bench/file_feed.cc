#include "bench/file_feed.h"

#include <utility>

#include "base/assert.h"

namespace haul::bench {

std::uint64_t total_bytes(const std::vector<SizedFile>& files) {
  std::uint64_t total = 0;
  for (const SizedFile& file : files) total += file.size_bytes;
  return total;
}

FileFeed::FileFeed(std::vector<SizedFile> files, Open open)
    : files_(std::move(files)),
      open_(std::move(open)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

void FileFeed::run(const std::stop_token& stop) {
  for (const SizedFile& file : files_) {
    Result<std::unique_ptr<io::File>> opened = open_(file);
    std::unique_lock lock(mutex_);
    if (!changed_.wait(lock, stop, [this] { return opened_.size() < kAhead; })) return;
    const bool failed = !opened;
    if (failed) {
      opened_.emplace_back(std::move(opened).take_error());
    } else {
      opened_.emplace_back(FedFile{std::move(opened).take(), file.size_bytes});
    }
    lock.unlock();
    changed_.notify_all();
    if (failed) return;
  }
}

Result<FedFile> FileFeed::take() {
  HAUL_ASSERT(!finished());
  ++taken_;
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !opened_.empty(); });
  Result<FedFile> file = std::move(opened_.front());
  opened_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return file;
}

}  // namespace haul::bench
