// The writer behind PosixObjectStore: an object grows in a temporary file and gets its name at the
// end.
//
// Memory:   one buffer of 1 MiB.
// Threads:  one owner at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "io/aligned_buffer.h"
#include "io/file.h"
#include "io/object_store.h"

namespace haul::io::internal {

// Gives the temporary file its name, making directories on the way as needed.
using Publisher = std::function<Status(File&)>;

class FileObjectWriter final : public ObjectWriter {
 public:
  // `key_name` is for messages.
  FileObjectWriter(std::unique_ptr<File> file, std::string key_name, Publisher publisher);

  Status append(ByteSpan bytes) override;
  Status commit() override;

 private:
  Status append_to_file(ByteSpan bytes);
  Status flush();
  Status commit_file();
  Status check_usable() const;

  std::unique_ptr<File> file_;
  const std::string key_name_;
  const Publisher publisher_;
  AlignedBuffer buffer_;
  std::size_t buffered_bytes_ = 0;
  std::uint64_t written_bytes_ = 0;
  enum class State { open, committed, failed } state_ = State::open;
};

}  // namespace haul::io::internal
