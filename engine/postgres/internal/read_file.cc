#include "engine/postgres/internal/read_file.h"

#include "base/format.h"

namespace haul::postgres {

Result<std::vector<std::byte>> read_small_file(io::Directory& directory, std::string_view path,
                                               std::size_t size_max_bytes) {
  const auto file = HAUL_TRY(directory.open_file(path, io::Caching::buffered));
  // One byte more than allowed tells "larger" from "just fits".
  std::vector<std::byte> bytes(size_max_bytes + 1);
  const std::size_t size_bytes = HAUL_TRY(file->read_at(0, bytes));
  if (size_bytes > size_max_bytes) {
    return Error(ErrorCode::corrupt, format("{}: larger than {} bytes",
                                            io::full_name(directory, path), size_max_bytes));
  }
  bytes.resize(size_bytes);
  return bytes;
}

}  // namespace haul::postgres
