#include "engine/restore/manifest.h"

#include <array>
#include <utility>

#include "base/format.h"
#include "base/json.h"

namespace haul::restore {

namespace {

constexpr std::size_t kBufferBytes = 65536;

// The length of the UTF-8 sequence that begins here; 0 when there is none. Overlong forms,
// surrogates and anything past U+10FFFF are none.
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = at(1);
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) {
    return 0;
  }
  return length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// "2026-11-23 02:02:22 GMT"
std::string manifest_time(UtcTime time) {
  std::string text = to_iso8601(time);
  text[text.find('T')] = ' ';
  text.back() = ' ';
  return text + "GMT";
}

std::array<std::byte, 4> little_endian(std::uint32_t value) {
  std::array<std::byte, 4> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(value >> (8 * i));
  }
  return bytes;
}

}  // namespace

ManifestWriter::ManifestWriter(io::File& file, const ManifestHeader& header)
    : file_(&file), modified_(manifest_time(header.modified)) {
  const bool names_system = header.server_major >= 17;
  buffer_ = format("{{ \"PostgreSQL-Backup-Manifest-Version\": {},\n", names_system ? 2 : 1);
  if (names_system) buffer_ += format("\"System-Identifier\": {},\n", header.system_identifier);
  buffer_ += "\"Files\": [";
}

Status ManifestWriter::add(const ManifestFile& file) {
  const std::string path = is_utf8(file.path)
                               ? format("\"Path\": {}", Json(file.path).dump())
                               : format("\"Encoded-Path\": \"{}\"", to_hex(bytes_of(file.path)));
  buffer_ += format(
      "{}\n{{ {}, \"Size\": {}, \"Last-Modified\": \"{}\", \"Checksum-Algorithm\": \"CRC32C\", "
      "\"Checksum\": \"{}\" }}",
      files_ == 0 ? "" : ",", path, file.size_bytes, modified_, to_hex(little_endian(file.crc32c)));
  ++files_;
  return buffer_.size() < kBufferBytes ? ok() : flush();
}

Status ManifestWriter::finish(const WalRange* wal) {
  buffer_ += "\n],\n\"WAL-Ranges\": [\n";
  if (wal != nullptr) {
    buffer_ += format("{{ \"Timeline\": {}, \"Start-LSN\": \"{}\", \"End-LSN\": \"{}\" }}\n",
                      wal->timeline.value, to_string(wal->start), to_string(wal->stop));
  }
  buffer_ += "],\n";
  HAUL_TRY(flush());
  // Covers every line before its own.
  const std::string digest = to_hex(std::move(checksum_).finish());
  const std::string last = format("\"Manifest-Checksum\": \"{}\"}}\n", digest);
  return file_->write_at(offset_, bytes_of(last));
}

Status ManifestWriter::flush() {
  HAUL_TRY(file_->write_at(offset_, bytes_of(buffer_)));
  checksum_.update(bytes_of(buffer_));
  offset_ += buffer_.size();
  buffer_.clear();
  return ok();
}

}  // namespace haul::restore
