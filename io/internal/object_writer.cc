#include "io/internal/object_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/format.h"

namespace haul::io::internal {
namespace {

constexpr std::size_t kBufferSizeBytes = 1024 * 1024;

}  // namespace

FileObjectWriter::FileObjectWriter(std::unique_ptr<File> file, std::string key_name,
                                   Publisher publisher)
    : file_(std::move(file)),
      key_name_(std::move(key_name)),
      publisher_(std::move(publisher)),
      buffer_(kBufferSizeBytes) {}

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
    const std::size_t count = std::min(bytes.size(), buffer_.size_bytes() - buffered_bytes_);
    std::memcpy(buffer_.bytes().data() + buffered_bytes_, bytes.data(), count);
    buffered_bytes_ += count;
    bytes = bytes.subspan(count);
    if (buffered_bytes_ == buffer_.size_bytes()) HAUL_TRY(flush());
  }
  return ok();
}

Status FileObjectWriter::flush() {
  if (buffered_bytes_ == 0) return ok();
  HAUL_TRY(file_->write_at(written_bytes_, buffer_.bytes().first(buffered_bytes_)));
  written_bytes_ += buffered_bytes_;
  buffered_bytes_ = 0;
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
  // A name promises the whole content, also after a crash: the bytes are synced before it is given.
  // A failure here is final for this file; syncing it again would prove nothing.
  HAUL_TRY(file_->sync());
  HAUL_TRY(publisher_(*file_));
  // A nameless file can be named only while it is open, so closing comes last.
  return file_->finish();
}

}  // namespace haul::io::internal
