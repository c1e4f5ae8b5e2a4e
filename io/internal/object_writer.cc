#include "io/internal/object_writer.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "base/format.h"

namespace haul::io::internal {
namespace {

// Every write but the last is a multiple of it at a multiple of it.
constexpr std::size_t kWriteSizeBytes = 1024 * 1024;

class PlainSink final : public ByteSink {
 public:
  explicit PlainSink(File& file) : file_(file) {}

  Status append(ByteSpan bytes) override {
    while (!bytes.empty()) {
      const std::size_t count = std::min(bytes.size(), kWriteSizeBytes - buffer_.size());
      buffer_.insert(buffer_.end(), bytes.begin(),
                     bytes.begin() + static_cast<std::ptrdiff_t>(count));
      bytes = bytes.subspan(count);
      if (buffer_.size() == kWriteSizeBytes) HAUL_TRY(finish());
    }
    return ok();
  }

  Status finish() override {
    if (buffer_.empty()) return ok();
    HAUL_TRY(file_.write_at(written_bytes_, buffer_));
    written_bytes_ += buffer_.size();
    buffer_.clear();
    return ok();
  }

 private:
  File& file_;
  std::vector<std::byte> buffer_;
  std::uint64_t written_bytes_ = 0;
};

}  // namespace

std::unique_ptr<ByteSink> make_plain_sink(File& file) { return std::make_unique<PlainSink>(file); }

FileObjectWriter::FileObjectWriter(std::unique_ptr<File> file, std::unique_ptr<ByteSink> sink,
                                   std::string key_name, Completion completion)
    : file_(std::move(file)),
      sink_(std::move(sink)),
      key_name_(std::move(key_name)),
      completion_(std::move(completion)) {}

Status FileObjectWriter::check_usable() const {
  HAUL_ASSERT(state_ != State::committed);
  if (state_ == State::open) return ok();
  return Error(ErrorCode::io, format("cannot go on writing {}: it failed before", key_name_));
}

Status FileObjectWriter::append(ByteSpan bytes) {
  HAUL_TRY(check_usable());
  Status appended = sink_->append(bytes);
  if (!appended) state_ = State::failed;
  return appended;
}

Status FileObjectWriter::commit() {
  HAUL_TRY(check_usable());
  Status committed = commit_file();
  state_ = committed ? State::committed : State::failed;
  sink_.reset();
  file_.reset();
  return committed;
}

Status FileObjectWriter::commit_file() {
  HAUL_TRY(sink_->finish());
  return completion_(*file_);
}

}  // namespace haul::io::internal
