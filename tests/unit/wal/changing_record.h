// Records that change a block, for streams of WAL made by tests.
#pragma once

#include <string>

#include "engine/postgres/wal_record.h"
#include "tests/support/wal_stream.h"

namespace haul::wal::testing {

constexpr postgres::RelationId relation(std::uint32_t relfilenode) {
  return {1663, 5, relfilenode};
}

// One block, and so much main data.
inline support::WalRecordSpec change(std::uint32_t relfilenode, std::uint32_t block,
                                     std::size_t padding = 40) {
  support::WalRecordSpec spec;
  spec.manager = 10;
  spec.main_data = std::string(padding, 'm');
  auto& reference = spec.blocks.emplace_back();
  reference.relation = relation(relfilenode);
  reference.block = block;
  return spec;
}

}  // namespace haul::wal::testing
