// Reads one pack: its list of chunks, single chunks, or every byte.
//
// Where the footer is damaged the list is rebuilt by walking the chunk frames and computing each id
// from the decoded bytes.
//
// Units:    sizes are bytes.
// Memory:   the footer; one chunk at a time.
// Threads:  list and read from any thread once opened; each caller brings its Decompressor.
// Errors:   corrupt (naming the pack), not_found, io.
// Format:   docs/format.md, "Packs".
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "compress/codec.h"
#include "engine/repository/cluster.h"
#include "engine/repository/pack_format.h"
#include "io/object_store.h"

namespace haul::repository {

class PackReader {
 public:
  // How the list of chunks was had.
  enum class Source { footer, frames };

  // Opens the pack and reads its footer; falls back to walking the frames, in which case
  // footer_damage() says why.
  static Result<PackReader> open(const Cluster& cluster, const PackRef& ref);

  const PackRef& ref() const { return ref_; }
  std::uint64_t size_bytes() const { return object_->size_bytes(); }
  const std::vector<PackedChunk>& chunks() const { return footer_.chunks; }
  Source source() const { return source_; }
  // Empty when the footer is sound.
  const std::string& footer_damage() const { return footer_damage_; }

  // Reads, decodes and verifies the id of one chunk; `raw` has exactly its raw size.
  Status read_chunk(std::size_t ordinal, compress::Decompressor& decompressor,
                    MutableByteSpan raw) const;
  // The same for a chunk whose stored bytes are in memory; looks at nothing else.
  Status decode_chunk(std::size_t ordinal, ByteSpan stored, compress::Decompressor& decompressor,
                      MutableByteSpan raw) const;
  // The same for one of which no more than `parts` is wanted: nothing else of it is verified, by
  // the pages' tags, which are 64 bits of a keyed digest.
  struct Part {
    std::uint64_t offset = 0;  // where a page begins
    std::uint64_t size_bytes = 0;
  };
  Status decode_parts(std::size_t ordinal, ByteSpan stored, compress::Decompressor& decompressor,
                      MutableByteSpan raw, std::span<const Part> parts) const;
  // The pack for a ring to read; see ObjectStore::open_file().
  Result<std::unique_ptr<io::File>> open_file() const { return store_->open_file(key_); }

  // Every byte: header, data checksum, footer, each frame, each chunk decoded and its id and tags
  // recomputed. The first finding per part, in words; empty when the pack is sound.
  Result<std::vector<std::string>> find_damage() const;

 private:
  PackReader(const Cluster& cluster, PackRef ref, std::string key,
             std::unique_ptr<io::ObjectReader> object)
      : store_(cluster.store),
        object_(std::move(object)),
        ref_(std::move(ref)),
        key_(std::move(key)),
        identity_(cluster.identity),
        repository_(cluster.repository) {}
  Status read_footer();
  Status walk_frames();
  Status decode(std::size_t ordinal, ByteSpan stored, compress::Decompressor& decompressor,
                MutableByteSpan raw) const;
  Status check_data_checksum() const;
  Status check_frame_and_chunk(std::size_t ordinal, compress::Decompressor& decompressor) const;

  io::ObjectStore* store_;
  std::unique_ptr<io::ObjectReader> object_;
  PackRef ref_;
  std::string key_;
  const Identity* identity_;
  RepositoryId repository_;
  PackFooter footer_;
  Source source_ = Source::footer;
  std::string footer_damage_;
};

}  // namespace haul::repository
