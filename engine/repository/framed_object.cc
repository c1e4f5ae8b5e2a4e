#include "engine/repository/framed_object.h"

#include "base/format.h"
#include "compress/checksum.h"

namespace haul::repository {

namespace {

constexpr std::size_t kChecksumOffset = 48;

compress::Checksum frame_checksum(const std::string& key, ByteSpan header, ByteSpan body) {
  compress::Checksummer sum;
  sum.update(bytes_of(key)).update(header.first(kChecksumOffset)).update(body);
  return sum.finish();
}

}  // namespace

std::vector<std::byte> frame_object(ObjectKind kind, const RepositoryId& repository,
                                    const std::string& key, ByteSpan body) {
  ByteWriter out;
  write_object_header(out, kind, repository);
  out.u64(body.size());
  out.zeros(kChecksumOffset - out.size());
  out.bytes(frame_checksum(key, out.view(), body).bytes);
  HAUL_ASSERT(out.size() == kFrameHeaderBytes);
  out.bytes(body);
  return std::move(out).take();
}

Result<FramedObject> unframe_object(ObjectKind kind, const std::string& key, ByteSpan object) {
  ByteReader in(object);
  FramedObject result;
  result.repository = HAUL_TRY(read_object_header(in, kind, key));
  const std::uint64_t length = in.u64();
  in.zeros(kChecksumOffset - in.position());
  const compress::Checksum stored{in.array<16>()};
  if (!in.ok() || length != in.remaining()) {
    return Error(ErrorCode::corrupt,
                 format("{}: {} bytes do not hold the declared body", key, object.size()));
  }
  const ByteSpan body = in.bytes(in.remaining());
  if (frame_checksum(key, object, body) != stored) {
    return Error(ErrorCode::corrupt, format("{}: checksum does not match", key));
  }
  result.body.assign(body.begin(), body.end());
  return result;
}

Result<Json> read_framed_json(const Cluster& cluster, ObjectKind kind, const std::string& key,
                              std::uint64_t size_max_bytes) {
  const std::vector<std::byte> object = HAUL_TRY(cluster.store->get(key, size_max_bytes));
  const FramedObject frame = HAUL_TRY(unframe_object(kind, key, object));
  if (frame.repository != cluster.repository) {
    return Error(ErrorCode::corrupt, format("{}: belongs to another repository", key));
  }
  auto json = Json::parse(text_of(frame.body));
  if (!json) return std::move(json).take_error().with_context(key);
  return json;
}

}  // namespace haul::repository
