#include "io/internal/object_writer.h"

#include <algorithm>
#include <utility>

#include "base/format.h"

namespace haul::io::internal {
namespace {

// Every write but the last is a multiple of it at a multiple of it.
constexpr std::size_t kWriteSizeBytes = 1024 * 1024;

}  // namespace

FileObjectWriter::FileObjectWriter(std::unique_ptr<File> file, std::string key_name,
                                   Completion completion)
    : file_(std::move(file)), key_name_(std::move(key_name)), completion_(std::move(completion)) {}

Status FileObjectWriter::check_usable() const {
  HAUL_ASSERT(state_ != State::committed);
  if (state_ == State::open) return ok();
  return Error(ErrorCode::io, format("cannot go on writing {}: it failed before", key_name_));
}

Status FileObjectWriter::append(ByteSpan bytes) {
  HAUL_TRY(check_usable());
  Status appended = append_to_file(bytes);
  if (!appended) state_ = State::failed;
  return appended;
}

Status FileObjectWriter::append_to_file(ByteSpan bytes) {
  while (!bytes.empty()) {
    const std::size_t count = std::min(bytes.size(), kWriteSizeBytes - buffer_.size());
    buffer_.insert(buffer_.end(), bytes.begin(),
                   bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes = bytes.subspan(count);
    if (buffer_.size() == kWriteSizeBytes) HAUL_TRY(flush());
  }
  return ok();
}

Status FileObjectWriter::flush() {
  if (buffer_.empty()) return ok();
  HAUL_TRY(file_->write_at(written_bytes_, buffer_));
  written_bytes_ += buffer_.size();
  buffer_.clear();
  return ok();
}

Status FileObjectWriter::commit() {
  HAUL_TRY(check_usable());
  Status committed = commit_file();
  state_ = committed ? State::committed : State::failed;
  file_.reset();
  return committed;
}

Status FileObjectWriter::commit_file() {
  HAUL_TRY(flush());
  return completion_(*file_);
}

}  // namespace haul::io::internal
