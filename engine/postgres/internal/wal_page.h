// What every page of one cluster's WAL must carry in its header.
//
// Units:    sizes are bytes.
// Threads:  functions over values.
// Format:   PostgreSQL's xlog_internal.h (XLogPageHeaderData), 13 to 18.
#pragma once

#include <cstdint>
#include <string>

#include "base/types.h"
#include "engine/postgres/wal_segment.h"

namespace haul::postgres::internal {

// xlp_info. The last flag came with 15 and as a correction with earlier releases.
inline constexpr std::uint16_t kFirstIsContinuationFlag = 0x0001;
inline constexpr std::uint16_t kLongHeaderFlag = 0x0002;
inline constexpr std::uint16_t kFirstIsOverwriteFlag = 0x0008;
inline constexpr std::uint16_t kKnownPageFlags = 0x000F;

// What is wrong with the header of the page at `address`; empty where nothing is. A segment begun
// on an older timeline is copied when the new one starts, old pages first: pages may be of any
// timeline up to `newest`.
std::string wal_page_fault(const WalPageHeader& header, const WalGeometry& geometry, Lsn address,
                           TimelineId newest);

}  // namespace haul::postgres::internal
