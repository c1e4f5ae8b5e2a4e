// The writer behind PosixObjectStore: an object grows in a temporary file and gets its name at the
// end.
//
// Memory:   a buffer that grows with the object, to 1 MiB.
// Threads:  one owner at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "io/file.h"
#include "io/object_store.h"

namespace haul::io::internal {

class FileObjectWriter final : public ObjectWriter {
 public:
  // Makes the written temporary file the object: sync, name, close.
  using Completion = std::function<Status(File&)>;

  // `key_name` is for messages.
  FileObjectWriter(std::unique_ptr<File> file, std::string key_name, Completion completion);

  Status append(ByteSpan bytes) override;
  Status commit() override;

 private:
  Status append_to_file(ByteSpan bytes);
  Status flush();
  Status commit_file();
  Status check_usable() const;

  std::unique_ptr<File> file_;
  const std::string key_name_;
  const Completion completion_;
  std::vector<std::byte> buffer_;
  std::uint64_t written_bytes_ = 0;
  enum class State { open, committed, failed } state_ = State::open;
};

}  // namespace haul::io::internal
