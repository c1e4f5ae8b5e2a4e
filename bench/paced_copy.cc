#include "bench/paced_copy.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>
#include <utility>

#include "base/format.h"
#include "bench/ring_pass.h"
#include "bench/scratch.h"
#include "io/aligned_buffer.h"

namespace haul::bench {

namespace {

using io::RingOperation;

// A file with operations still to come or in flight.
struct ActiveFile {
  std::unique_ptr<io::File> file;
  std::uint64_t size_bytes = 0;
  std::uint64_t unfinished_bytes = 0;  // in whole blocks
};

// One side of the copy: its files cut into operations, in order.
class Side {
 public:
  Side(RingOperation::Kind kind, const FileSet& set, FileFeed::Open open)
      : kind_(kind), total_bytes_(total_bytes(set.files)), feed_(set.files, std::move(open)) {}

  RingOperation::Kind kind() const { return kind_; }
  // Also when only empty files are left, once they have been taken.
  Result<bool> finished() {
    while (!current_ || offset_ >= current_->size_bytes) {
      if (feed_.finished()) return true;
      FedFile fed = HAUL_TRY(feed_.take());
      current_ = std::make_shared<ActiveFile>(
          ActiveFile{std::move(fed.file), fed.size_bytes, io::whole_blocks(fed.size_bytes)});
      offset_ = 0;
      if (fed.size_bytes == 0) HAUL_TRY(current_->file->finish());
    }
    return false;
  }
  // How much of it has begun.
  double share() const {
    return total_bytes_ == 0
               ? 1
               : static_cast<double>(begun_bytes_) / static_cast<double>(total_bytes_);
  }

  // The next operation in this memory, not finished() yet; the file stays open through `active`.
  RingOperation next(MutableByteSpan memory, std::shared_ptr<ActiveFile>& active) {
    const std::uint64_t size =
        std::min<std::uint64_t>(memory.size(), current_->size_bytes - offset_);
    RingOperation operation;
    operation.kind = kind_;
    operation.file = current_->file.get();
    operation.offset = offset_;
    operation.bytes = memory.first(io::whole_blocks(size));
    offset_ += size;
    begun_bytes_ += size;
    active = current_;
    return operation;
  }

 private:
  const RingOperation::Kind kind_;
  const std::uint64_t total_bytes_;
  FileFeed feed_;
  std::shared_ptr<ActiveFile> current_;
  std::uint64_t offset_ = 0;  // in the current file
  std::uint64_t begun_bytes_ = 0;
};

// Makes every directory on the way to a file, once.
class Parents {
 public:
  explicit Parents(io::Directory& root) : root_(&root) {}

  Status make(const std::string& path) {
    for (std::size_t end = path.find('/'); end != std::string::npos;
         end = path.find('/', end + 1)) {
      std::string parent = path.substr(0, end);
      if (made_.contains(parent)) continue;
      const Status status = root_->make_directory(parent, 0700);
      if (!status && status.error().code() != ErrorCode::already_exists) return status;
      made_.insert(std::move(parent));
    }
    return ok();
  }

 private:
  io::Directory* root_;
  std::set<std::string> made_;
};

// The size is set and the space is taken first, so that writes to one file need not wait for each
// other, as writes that extend it would.
Result<std::unique_ptr<io::File>> create(io::Directory& root, Parents& parents,
                                         const SizedFile& planned) {
  HAUL_TRY(parents.make(planned.path));
  auto file = HAUL_TRY(root.create_file(planned.path, 0600, io::Caching::direct));
  if (planned.size_bytes == 0) return file;
  HAUL_TRY(file->resize(io::whole_blocks(planned.size_bytes)));
  HAUL_TRY(file->preallocate(io::whole_blocks(planned.size_bytes)));
  return file;
}

// One range per slot for each side.
class Memory {
 public:
  explicit Memory(const RingSetting& setting)
      : operation_bytes_(setting.operation_bytes),
        depth_(setting.depth),
        reads_(depth_ * operation_bytes_),
        writes_(depth_ * operation_bytes_) {
    fill_incompressible(writes_.bytes(), 1);
  }

  MutableByteSpan of(RingOperation::Kind kind, std::size_t slot) {
    io::AlignedBuffer& side = kind == RingOperation::Kind::read ? reads_ : writes_;
    return side.bytes().subspan(slot * operation_bytes_, operation_bytes_);
  }
  std::vector<MutableByteSpan> ranges() {
    std::vector<MutableByteSpan> all;
    for (const auto kind : {RingOperation::Kind::read, RingOperation::Kind::write}) {
      for (std::size_t slot = 0; slot < depth_; ++slot) all.push_back(of(kind, slot));
    }
    return all;
  }

 private:
  const std::size_t operation_bytes_;
  const std::size_t depth_;
  io::AlignedBuffer reads_;
  io::AlignedBuffer writes_;
};

// Both sides and the slots of the ring.
class Copy {
 public:
  Copy(const FileSet& reads, const FileSet& writes, const RingSetting& setting, Memory& memory)
      : memory_(&memory),
        parents_(*writes.root),
        slots_(setting.depth),
        bytes_per_second_(setting.bytes_per_second),
        reads_(RingOperation::Kind::read, reads,
               [root = reads.root](const SizedFile& file) {
                 return root->open_file(file.path, io::Caching::direct);
               }),
        writes_(RingOperation::Kind::write, writes,
                [root = writes.root, this](const SizedFile& file) {
                  return create(*root, parents_, file);
                }) {}

  // The side that lags goes first.
  Result<std::optional<RingOperation>> next(std::size_t slot) {
    const bool reads_finished = HAUL_TRY(reads_.finished());
    const bool writes_finished = HAUL_TRY(writes_.finished());
    if (reads_finished && writes_finished) return std::optional<RingOperation>();
    const bool read = writes_finished || (!reads_finished && reads_.share() <= writes_.share());
    Side& side = read ? reads_ : writes_;
    slots_[slot].kind = side.kind();
    RingOperation operation = side.next(memory_->of(side.kind(), slot), slots_[slot].file);
    wait_for_turn(operation.bytes.size());
    return std::optional(operation);
  }

  Status done(std::size_t slot, std::size_t bytes) {
    const std::shared_ptr<ActiveFile> active = std::exchange(slots_[slot].file, nullptr);
    if (slots_[slot].kind == RingOperation::Kind::read) {
      bytes_read_ += bytes;
      return ok();
    }
    active->unfinished_bytes -= bytes;
    if (active->unfinished_bytes > 0) return ok();
    bytes_written_ += active->size_bytes;
    if (io::whole_blocks(active->size_bytes) != active->size_bytes) {
      HAUL_TRY(active->file->resize(active->size_bytes));
    }
    return active->file->finish();
  }

  std::uint64_t bytes_read() const { return bytes_read_; }
  std::uint64_t bytes_written() const { return bytes_written_; }

 private:
  struct Slot {
    RingOperation::Kind kind = RingOperation::Kind::read;
    std::shared_ptr<ActiveFile> file;
  };

  // What was begun before it has had its time.
  void wait_for_turn(std::size_t size_bytes) {
    if (bytes_per_second_ == 0) return;
    const std::chrono::duration<double> due(static_cast<double>(begun_bytes_) /
                                            static_cast<double>(bytes_per_second_));
    std::this_thread::sleep_until(
        start_ + std::chrono::duration_cast<std::chrono::steady_clock::duration>(due));
    begun_bytes_ += size_bytes;
  }

  Memory* memory_;
  Parents parents_;  // of the feed's thread, once that runs
  std::vector<Slot> slots_;
  const std::uint64_t bytes_per_second_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::uint64_t begun_bytes_ = 0;
  std::uint64_t bytes_read_ = 0;
  std::uint64_t bytes_written_ = 0;
  Side reads_;
  Side writes_;
};

Result<std::unique_ptr<io::Ring>> open(const RingSetting& setting, Memory& memory) {
  io::RingOptions options;
  options.backend = setting.backend;
  options.capacity = setting.depth;
  options.threads = setting.depth;  // as many as can be busy
  options.buffers = memory.ranges();
  return io::open_ring(options);
}

// One call for thousands of files; fsync of each would cost a small file more than its bytes.
Status sync_file_system(io::Directory& root) {
  const auto file = HAUL_TRY(root.create_temporary("", io::Caching::buffered));
  const std::optional<int> descriptor = file->descriptor();
  HAUL_ASSERT(descriptor.has_value());
  if (::syncfs(*descriptor) == 0) return ok();
  return error_from_errno(errno, format("cannot sync the file system of {}", root.name()));
}

}  // namespace

Result<PacedCopyOutcome> paced_copy(const FileSet& reads, const FileSet& writes,
                                    const RingSetting& setting) {
  Memory memory(setting);
  const auto before = std::chrono::steady_clock::now();
  Copy copy(reads, writes, setting, memory);
  const auto ring = HAUL_TRY(open(setting, memory));
  HAUL_TRY(drive(
      *ring, [&copy](std::size_t slot) { return copy.next(slot); },
      [&copy](std::size_t slot, std::size_t bytes) { return copy.done(slot, bytes); }));
  HAUL_TRY(sync_file_system(*writes.root));
  PacedCopyOutcome outcome;
  outcome.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  outcome.bytes_read = copy.bytes_read();
  outcome.bytes_written = copy.bytes_written();
  outcome.backend = ring->backend();
  return outcome;
}

}  // namespace haul::bench
