#include "tests/support/file_content.h"

#include <span>

#include "base/random.h"

namespace haul::support {

std::string pattern(std::size_t size_bytes, std::uint64_t seed) {
  std::string text(size_bytes, '\0');
  HAUL_ASSERT(SeededRandom(seed).fill(std::as_writable_bytes(std::span(text))).has_value());
  return text;
}

Status write_file(io::Directory& directory, std::string_view path, std::string_view content) {
  const std::unique_ptr<io::File> file =
      HAUL_TRY(directory.create_file(path, 0600, io::Caching::buffered));
  HAUL_TRY(file->write_at(0, bytes_of(content)));
  return file->finish();
}

Result<std::string> read_file(io::Directory& directory, std::string_view path) {
  const std::unique_ptr<io::File> file = HAUL_TRY(directory.open_file(path, io::Caching::buffered));
  std::string content(HAUL_TRY(file->info()).size_bytes, '\0');
  const std::size_t count = HAUL_TRY(file->read_at(0, std::as_writable_bytes(std::span(content))));
  HAUL_ASSERT(count == content.size());
  return content;
}

Result<std::unique_ptr<io::File>> write_temporary(io::Directory& directory,
                                                  std::string_view content) {
  const Status made = directory.make_directory("tmp", 0700);
  if (!made && made.error().code() != ErrorCode::already_exists) return made.error();
  std::unique_ptr<io::File> file =
      HAUL_TRY(directory.create_temporary("tmp", io::Caching::buffered));
  HAUL_TRY(file->write_at(0, bytes_of(content)));
  return file;
}

Result<std::vector<std::string>> names_in(io::Directory& directory, std::string_view path) {
  std::vector<std::string> names;
  for (io::DirectoryEntry& entry : HAUL_TRY(directory.list(path))) {
    names.push_back(std::move(entry.name));
  }
  return names;
}

}  // namespace haul::support
