// The writer behind PosixObjectStore: an object grows in a temporary file and gets its name at the
// end.
//
// Threads:  one owner at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "io/file.h"
#include "io/internal/byte_sink.h"
#include "io/object_store.h"

namespace haul::io::internal {

// Writes in the calls of its owner, through a buffer that grows with the object, to 1 MiB.
std::unique_ptr<ByteSink> make_plain_sink(File& file);

class FileObjectWriter final : public ObjectWriter {
 public:
  // Makes the written temporary file the object: sync, name, close.
  using Completion = std::function<Status(File&)>;

  // `sink` writes to `file`; `key_name` is for messages.
  FileObjectWriter(std::unique_ptr<File> file, std::unique_ptr<ByteSink> sink, std::string key_name,
                   Completion completion);

  Status append(ByteSpan bytes) override;
  Status commit() override;

 private:
  Status commit_file();
  Status check_usable() const;

  std::unique_ptr<File> file_;
  std::unique_ptr<ByteSink> sink_;  // uses the file, and ends first
  const std::string key_name_;
  const Completion completion_;
  enum class State { open, committed, failed } state_ = State::open;
};

}  // namespace haul::io::internal
