#include "engine/wal/server_files.h"

#include <algorithm>
#include <tuple>

#include "base/format.h"
#include "engine/postgres/control_file.h"
#include "engine/wal/wal_content.h"

namespace haul::wal {
namespace {

constexpr std::string_view kStatusDirectory = "archive_status";
constexpr std::string_view kReadySuffix = ".ready";

// There is nothing to be had: no such place, or not for this user.
bool is_out_of_reach(const Error& error) {
  return error.code() == ErrorCode::not_found || error.code() == ErrorCode::permission;
}

bool comes_before(const WalName& left, const WalName& right) {
  const auto rank = [](const WalName& name) {
    return std::tuple(name.kind != WalFileKind::history, std::string_view(name.text));
  };
  return rank(left) < rank(right);
}

}  // namespace

SplitPath split_path(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  HAUL_ASSERT(slash != std::string::npos);
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

Result<std::optional<std::uint64_t>> system_beside(
    const repository::LocalDirectoryOpener& open_directory, const std::string& wal_directory,
    Clock& clock) {
  auto data_directory = open_directory(split_path(wal_directory).directory);
  if (!data_directory) {
    if (is_out_of_reach(data_directory.error())) return std::nullopt;
    return std::move(data_directory).take_error();
  }
  const auto control = postgres::read_control_file(**data_directory, clock);
  if (control) return std::optional(control->parsed.system_identifier);
  if (is_out_of_reach(control.error())) return std::nullopt;
  return control.error();
}

Result<std::vector<std::byte>> read_wal_file(io::Directory& directory, const WalName& name) {
  const auto file = HAUL_TRY(directory.open_file(name.text, io::Caching::buffered));
  const io::FileInfo info = HAUL_TRY(file->info());
  if (info.size_bytes > content_bytes_max(name)) {
    return Error(ErrorCode::corrupt, format("{}: {} bytes, more than the {} it may have",
                                            io::full_name(directory, name.text), info.size_bytes,
                                            content_bytes_max(name)));
  }
  std::vector<std::byte> bytes(info.size_bytes);
  const std::size_t count = HAUL_TRY(file->read_at(0, bytes));
  // One that is cut meanwhile is judged by what is left of it.
  bytes.resize(count);
  return bytes;
}

Result<std::vector<WalName>> ready_files(io::Directory& wal_directory, std::size_t count_max) {
  std::vector<WalName> names;
  HAUL_TRY(wal_directory.for_each_entry(kStatusDirectory,
                                        [&](const io::DirectoryEntry& entry) -> Status {
                                          std::string_view text = entry.name;
                                          if (!text.ends_with(kReadySuffix)) return ok();
                                          text.remove_suffix(kReadySuffix.size());
                                          if (auto name = parse_wal_name(text))
                                            names.push_back(*std::move(name));
                                          return ok();
                                        }));
  const std::size_t count = std::min(count_max, names.size());
  std::ranges::partial_sort(names, names.begin() + static_cast<std::ptrdiff_t>(count),
                            comes_before);
  names.resize(count);
  return names;
}

}  // namespace haul::wal
