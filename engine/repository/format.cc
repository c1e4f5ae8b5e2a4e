#include "engine/repository/format.h"

#include "base/format.h"

namespace haul::repository {

const char* to_string(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::config: return "config";
    case ObjectKind::lease: return "lease";
    case ObjectKind::snapshot: return "snapshot";
    case ObjectKind::pack: return "pack";
    case ObjectKind::index_run: return "index run";
    case ObjectKind::wal_segment: return "WAL segment";
    case ObjectKind::wal_file: return "WAL file";
    case ObjectKind::wal_piece: return "WAL piece";
    case ObjectKind::wal_changes: return "summary of changes";
    case ObjectKind::record: return "record";
  }
  return "object";
}

std::string to_string(const RepositoryId& id) { return to_hex(id.bytes); }

void write_object_header(ByteWriter& out, ObjectKind kind, const RepositoryId& repository) {
  out.bytes(bytes_of(kObjectMagic));
  out.u16(static_cast<std::uint16_t>(kind));
  out.u16(kFormatVersion);
  out.u16(kSuitePlain);
  out.u16(0);  // flags
  out.bytes(repository.bytes);
}

Result<RepositoryId> read_object_header(ByteReader& in, ObjectKind kind, const std::string& key) {
  const ByteSpan magic = in.bytes(kObjectMagic.size());
  const std::uint16_t stored_kind = in.u16();
  const std::uint16_t version = in.u16();
  const std::uint16_t suite = in.u16();
  const std::uint16_t flags = in.u16();
  RepositoryId repository{in.array<16>()};
  if (!in.ok() || text_of(magic) != kObjectMagic) {
    return Error(ErrorCode::corrupt, format("{}: not a pghaul object", key));
  }
  if (stored_kind != static_cast<std::uint16_t>(kind)) {
    return Error(ErrorCode::corrupt, format("{}: not a {}", key, to_string(kind)));
  }
  if (version != kFormatVersion || suite != kSuitePlain || flags != 0) {
    return Error(ErrorCode::unsupported,
                 format("{}: format version {}, suite {}, flags {} is not known to this program",
                        key, version, suite, flags),
                 "use the pghaul version that wrote it, or a newer one");
  }
  return repository;
}

}  // namespace haul::repository
