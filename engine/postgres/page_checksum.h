// PostgreSQL's data page: the few header fields a backup needs, and the page's checksum.
//
// Units:    a page is one block of a relation, 1 to 32 KiB, a power of two; block numbers count
//           from the start of the fork, so the caller adds the blocks of earlier segments.
// Threads:  every function may be called from any thread.
// Errors:   none: what is wrong with a page is a verdict. Asserts that the span is a whole page.
// Format:   PostgreSQL's bufpage.h and checksum_impl.h (versions 9.3 to 18), little endian.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/types.h"

namespace haul::postgres {

inline constexpr std::size_t kPageSizeMinBytes = 1024;
inline constexpr std::size_t kPageSizeMaxBytes = 32768;

// True for the block sizes PostgreSQL can be built with.
bool is_page_size(std::size_t size_bytes);

// pd_lsn: the end of the last WAL record that touched the page.
Lsn page_lsn(ByteSpan page);
// pd_checksum; meaningful only in a cluster with data checksums.
std::uint16_t stored_checksum(ByteSpan page);
// pd_upper == 0, PostgreSQL's own test for a page never initialised (PageIsNew). Garbage can pass
// it, so it excuses nothing here.
bool is_new(ByteSpan page);

// The checksum that belongs into pd_checksum, which counts as zero. Never 0 itself.
std::uint16_t page_checksum(ByteSpan page, std::uint32_t block_number);

enum class PageVerdict {
  good,  // the checksum matches
  zero,  // every byte is zero: allocated, never written
  bad,   // the checksum differs, or pd_upper is 0 on a page that is not all zero
};

// For a page of a cluster with data checksums.
PageVerdict check_page(ByteSpan page, std::uint32_t block_number);

}  // namespace haul::postgres
