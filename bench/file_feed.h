// Opens a list of files in order, some ahead of whoever uses them, so that a device is not idle
// while a directory is searched.
//
// Units:    sizes are bytes.
// Memory:   at most kAhead open files that nobody has taken.
// Threads:  one owner; a thread of its own opens the files.
// Errors:   those of opening; the first one ends the feed.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "io/file.h"

namespace haul::bench {

struct SizedFile {
  std::string path;
  std::uint64_t size_bytes = 0;
};

std::uint64_t total_bytes(const std::vector<SizedFile>& files);

struct FedFile {
  std::unique_ptr<io::File> file;
  std::uint64_t size_bytes = 0;
};

class FileFeed {
 public:
  static constexpr std::size_t kAhead = 64;

  // Called on the feed's thread.
  using Open = std::function<Result<std::unique_ptr<io::File>>(const SizedFile& file)>;

  FileFeed(std::vector<SizedFile> files, Open open);

  // The next file; blocks until it is open. Asserts that there is one.
  Result<FedFile> take();
  bool finished() const { return taken_ == files_.size(); }

 private:
  void run(const std::stop_token& stop);

  const std::vector<SizedFile> files_;
  const Open open_;
  std::size_t taken_ = 0;  // the owner's

  std::mutex mutex_;                    // guards opened_
  std::deque<Result<FedFile>> opened_;  // never more than kAhead
  std::condition_variable_any changed_;

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace haul::bench
