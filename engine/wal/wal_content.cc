#include "engine/wal/wal_content.h"

#include <algorithm>
#include <bit>

#include "base/format.h"
#include "compress/digest.h"
#include "engine/postgres/control_file.h"
#include "engine/postgres/wal_segment.h"
#include "engine/wal/timeline_history.h"

namespace haul::wal {
namespace {

using postgres::WalPageHeader;

constexpr std::uint32_t kWalBlockBytesMin = 1024;
constexpr std::uint32_t kWalBlockBytesMax = 65536;

Error wrong(const WalName& name, std::string_view what) {
  return {ErrorCode::corrupt, format("WAL file {}: {}", name.text, what)};
}

// 0 when no release that is known has it.
std::uint16_t major_of_magic(std::uint16_t magic) {
  for (int major = postgres::kServerMajorMin; major <= postgres::kServerMajorMax; ++major) {
    if (postgres::wal_page_magic(major) == magic) return static_cast<std::uint16_t>(major);
  }
  return 0;
}

class PageWalk {
 public:
  PageWalk(const WalName& name, ByteSpan content) : name_(name), content_(content) {}

  Result<WalFacts> run() {
    HAUL_TRY(check_first_page());
    const std::size_t block = first_.block_size_bytes;
    for (std::size_t offset = block; offset < content_.size(); offset += block) {
      HAUL_TRY(check_page(offset));
    }
    return WalFacts{first_.system_identifier, number_, first_.segment_size_bytes, major_};
  }

 private:
  Status check_first_page() {
    if (content_.size() < postgres::kWalLongPageHeaderSizeBytes) {
      return wrong(name_, format("{} bytes are no segment", content_.size()));
    }
    first_ = HAUL_TRY(postgres::parse_wal_page_header(content_));
    major_ = major_of_magic(first_.magic);
    if (major_ == 0) {
      return Error(
          ErrorCode::unsupported,
          format("WAL file {}: page magic {:04X} is of no release from {} to {}", name_.text,
                 first_.magic, postgres::kServerMajorMin, postgres::kServerMajorMax));
    }
    HAUL_TRY(check_sizes());
    const auto segment =
        postgres::parse_wal_segment_name(name_.segment(), first_.segment_size_bytes);
    if (!segment) {
      return wrong(name_, format("no segment of {} bytes has this name", content_.size()));
    }
    number_ = segment->number;
    start_ = segment->start(first_.segment_size_bytes);
    if (first_.page_address != start_) {
      return wrong(name_, format("begins at {} instead of {}", to_string(first_.page_address),
                                 to_string(start_)));
    }
    return check_timeline(first_);
  }

  Status check_sizes() const {
    if (!first_.is_long) return wrong(name_, "first page lacks the long header");
    if (first_.system_identifier == 0) return wrong(name_, "names no system identifier");
    const std::uint32_t size = first_.segment_size_bytes;
    if (!postgres::is_valid_wal_segment_size(size) || size != content_.size()) {
      return wrong(name_, format("has {} bytes, made for segments of {}", content_.size(), size));
    }
    const std::uint32_t block = first_.block_size_bytes;
    if (!std::has_single_bit(block) || block < kWalBlockBytesMin || block > kWalBlockBytesMax) {
      return wrong(name_, format("made for pages of {} bytes", block));
    }
    return ok();
  }

  // A segment begun on an older timeline is copied when the new one starts, old pages first.
  Status check_timeline(const WalPageHeader& header) const {
    if (header.timeline.value != 0 && header.timeline <= name_.timeline) return ok();
    return wrong(name_, format("page of timeline {}", header.timeline.value));
  }

  Status check_page(std::size_t offset) {
    const ByteSpan page = content_.subspan(offset, first_.block_size_bytes);
    if (compress::is_zero(page)) {
      ended_ = true;
      return ok();
    }
    const WalPageHeader header = HAUL_TRY(postgres::parse_wal_page_header(page));
    if (header.magic != first_.magic) {
      return wrong(name_, format("offset {}: page magic {:04X}", offset, header.magic));
    }
    if (header.page_address.value != start_.value + offset) {
      ended_ = true;
      return ok();
    }
    if (ended_) {
      return wrong(name_, format("offset {}: a page that follows one that is missing", offset));
    }
    return check_timeline(header);
  }

  const WalName& name_;
  const ByteSpan content_;
  WalPageHeader first_;
  std::uint16_t major_ = 0;
  std::uint64_t number_ = 0;
  Lsn start_;
  // Written no further than here.
  bool ended_ = false;
};

// Names the segment that it is about, as pg_backup_stop() writes it.
Status check_backup_history(const WalName& name, std::string_view text) {
  constexpr std::string_view kStart = "START WAL LOCATION: ";
  const std::string_view line = text.substr(0, text.find('\n'));
  const bool fits = line.starts_with(kStart) && line.contains(format("(file {})", name.segment()));
  if (!fits) return wrong(name, "not the history of a backup that began there");
  return ok();
}

}  // namespace

Result<WalFacts> examine_content(const WalName& name, ByteSpan content) {
  if (content.size() > content_bytes_max(name)) {
    return wrong(name, format("has {} bytes, more than the {} it may have", content.size(),
                              content_bytes_max(name)));
  }
  if (name.holds_pages()) return PageWalk(name, content).run();
  if (name.kind == WalFileKind::history) {
    HAUL_TRY(parse_timeline_history(name.timeline, text_of(content)));
  } else {
    HAUL_TRY(check_backup_history(name, text_of(content)));
  }
  return WalFacts{};
}

}  // namespace haul::wal
