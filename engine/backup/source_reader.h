// The first stage of the copy: opens the planned files and keeps many reads of them in flight.
//
// One thread owns the ring. It fills free batches with leaves in plan order, has those of files
// with a parent looked up, submits the reads of each batch, and hands it on when the last of them
// is there; so a large segment is spread over all workers and small files travel together.
//
// Units:    sizes are bytes.
// Memory:   the batches it is given.
// Threads:  run() blocks its caller and owns the ring; give_back() and wake() from any thread.
// Errors:   io and permission of the source, naming the file.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/backup/backup.h"
#include "engine/backup/copy_batch.h"
#include "engine/flow/channel.h"
#include "engine/flow/rate_limit.h"
#include "io/ring_waker.h"

namespace haul::backup {

class SourceReader {
 public:
  struct Context {
    const SourceTree* source = nullptr;
    std::uint32_t page_size_bytes = 0;
    std::uint32_t chunk_pages = 0;
    flow::Channel<PlannedFile>* planned = nullptr;
    std::vector<std::unique_ptr<CopyBatch>>* batches = nullptr;
    io::RingFactory rings;
    std::uint64_t bytes_per_second = 0;  // 0: no limit
    Clock* clock = nullptr;
    std::stop_token stop;
    BackupProgress* progress = nullptr;
    // Takes a batch in which files have a parent, and gives it to looked_up() later; never blocks.
    std::function<void(CopyBatch*)> look_up;
    // Takes a batch that was read; never blocks.
    std::function<void(CopyBatch*)> batch_read;
    // Takes a file of which nothing has to be read; never blocks.
    std::function<void(std::shared_ptr<CopiedFile>)> unread_file;
  };

  struct Result {
    std::uint64_t source_bytes = 0;  // of the files that were opened
    std::uint64_t read_bytes = 0;
    std::uint64_t files_vanished = 0;
    std::vector<std::string> vanished_with_directory;
    std::string io_backend;
    // What was handed on: batches and empty files.
    std::uint64_t handed_on = 0;
  };

  explicit SourceReader(Context context);

  haul::Result<Result> run();
  // A batch whose leaves have their parents.
  void looked_up(CopyBatch* batch);
  // A batch whose leaves are all stored, or given up.
  void give_back(CopyBatch* batch);
  // There may be more to do: another planned file, a stop.
  void wake();

 private:
  haul::Result<std::unique_ptr<io::Ring>> open_ring();
  Status fill();
  haul::Result<bool> next_file();
  Status open(PlannedFile planned);
  Status vanished(const PlannedFile& planned, Error error);
  void charge_for_writing();
  void charge_for_reading(std::uint64_t size_bytes);
  bool take_free_batch();
  void plan_leaf();
  void seal_batch();
  void plan_reads(CopyBatch* batch);
  void take_looked_up();
  void submit_reads();
  void hand_on(CopyBatch* batch);
  std::size_t number_of(const CopyBatch* batch) const;
  Status complete(io::RingCompletion& completion);

  const Context context_;
  flow::RateLimit rate_;
  Result result_;
  io::Ring* ring_ = nullptr;

  // What is being read; the thread's own.
  std::shared_ptr<CopiedFile> file_;
  std::uint64_t next_leaf_ = 0;
  std::uint64_t leaves_to_read_ = 0;  // of file_, from there on
  CopyBatch* batch_ = nullptr;        // being filled
  std::deque<CopyBatch*> to_read_;    // with reads that were not submitted
  std::size_t looking_up_ = 0;        // batches whose parents are being looked up
  std::uint64_t charged_bytes_ = 0;   // of what was stored

  std::mutex mutex_;  // guards free_ and looked_up_
  std::vector<CopyBatch*> free_;
  std::vector<CopyBatch*> looked_up_;
  io::RingWaker waker_;
};

}  // namespace haul::backup
