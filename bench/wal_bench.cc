// Speed of reading WAL record by record, checksums and all, and of finding what it changes. One
// core.
//
// PGHAUL_BENCH_WAL names a directory of real segments, of one size and timeline and without a gap;
// up to 1 GiB of them are read.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "engine/postgres/crc32c.h"
#include "engine/postgres/wal_changes.h"
#include "engine/postgres/wal_facts.h"
#include "engine/postgres/wal_reader.h"

namespace haul {
namespace {

using postgres::WalGeometry;
using WalBytes = std::vector<std::byte>;

constexpr WalGeometry kGeometry = {15, 7711653421140677923, 16U << 20, 8192};
constexpr TimelineId kTimeline{1};
// Four segments: more than the caches hold, as WAL that comes from a disk.
constexpr std::uint64_t kWalBytes = 64 << 20;

constexpr std::size_t kRecordHeaderBytes = 24;
constexpr std::size_t kCrcAt = 20;

template <typename... Fields>
void append(WalBytes& bytes, Fields... fields) {
  const auto put = [&bytes](const auto& field) {
    const auto raw = std::as_bytes(std::span(&field, 1));
    bytes.insert(bytes.end(), raw.begin(), raw.end());
  };
  (put(fields), ...);
}

// A record with at most one block, which has data or an image.
struct Record {
  std::uint8_t manager = 10;
  std::uint16_t data_bytes = 0;
  std::uint16_t image_bytes = 0;
  std::uint8_t main_bytes = 0;
};

// WAL from its second segment on, made record by record.
class Wal {
 public:
  Wal() { begin_page(0, 0); }

  bool is_full() const { return bytes_.size() + (1 << 16) > kWalBytes; }

  void put(const Record& record) {
    WalBytes encoded = encode(record);
    ByteSpan rest = encoded;
    if (bytes_.size() % kGeometry.block_size_bytes == 0) begin_page(0, 0);
    previous_ = kGeometry.segment_size_bytes + bytes_.size();
    put_piece(rest);
    while (!rest.empty()) {
      begin_page(1, static_cast<std::uint32_t>(rest.size()));
      put_piece(rest);
    }
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
  }

  WalBytes take() {
    bytes_.resize(kWalBytes);
    return std::move(bytes_);
  }

 private:
  void begin_page(std::uint16_t flags, std::uint32_t remaining_bytes) {
    const bool is_first = bytes_.size() % kGeometry.segment_size_bytes == 0;
    const auto info = static_cast<std::uint16_t>(flags | (is_first ? 2 : 0));
    const std::uint64_t address = kGeometry.segment_size_bytes + bytes_.size();
    append(bytes_, postgres::wal_page_magic(kGeometry.server_major), info, kTimeline.value, address,
           remaining_bytes, std::uint32_t{0});
    if (!is_first) return;
    append(bytes_, kGeometry.system_identifier, kGeometry.segment_size_bytes,
           kGeometry.block_size_bytes);
  }

  void put_piece(ByteSpan& rest) {
    const std::size_t block = kGeometry.block_size_bytes;
    const std::size_t piece = std::min(rest.size(), block - bytes_.size() % block);
    bytes_.insert(bytes_.end(), rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(piece));
    rest = rest.subspan(piece);
  }

  WalBytes encode(const Record& record) {
    WalBytes bytes;
    append(bytes, std::uint32_t{0}, std::uint32_t{731}, previous_, std::uint8_t{0}, record.manager,
           std::uint16_t{0}, std::uint32_t{0});
    if (record.data_bytes != 0 || record.image_bytes != 0) append_block(bytes, record);
    append(bytes, std::uint8_t{255}, record.main_bytes);
    bytes.resize(bytes.size() + record.image_bytes + record.data_bytes + record.main_bytes);
    const auto size_bytes = static_cast<std::uint32_t>(bytes.size());
    std::memcpy(bytes.data(), &size_bytes, sizeof size_bytes);
    const std::uint32_t crc = postgres::Crc32c()
                                  .update(ByteSpan(bytes).subspan(kRecordHeaderBytes))
                                  .update(ByteSpan(bytes).first(kCrcAt))
                                  .finish();
    std::memcpy(bytes.data() + kCrcAt, &crc, sizeof crc);
    return bytes;
  }

  void append_block(WalBytes& bytes, const Record& record) {
    const std::uint8_t flags = record.image_bytes != 0 ? 0x10 : 0x20;
    append(bytes, std::uint8_t{0}, flags, record.data_bytes);
    if (record.image_bytes != 0) {
      append(bytes, record.image_bytes, std::uint16_t{200}, std::uint8_t{3});
    }
    ++block_;
    append(bytes, std::uint32_t{1663}, std::uint32_t{5}, std::uint32_t{16384 + block_ % 7}, block_);
  }

  WalBytes bytes_;
  std::uint64_t previous_ = 0;
  std::uint32_t block_ = 0;
};

// A transaction of pgbench as its records are: three updates, an insert, a commit; every so many
// transactions a page image.
WalBytes transactions(std::uint32_t per_image) {
  Wal wal;
  for (std::uint32_t i = 1; !wal.is_full(); ++i) {
    wal.put({.data_bytes = 106, .main_bytes = 14});
    wal.put({.data_bytes = 30, .main_bytes = 14});
    wal.put({.data_bytes = 30, .main_bytes = 14});
    wal.put({.data_bytes = 52, .main_bytes = 3});
    wal.put({.manager = 1, .main_bytes = 8});
    if (i % per_image == 0) wal.put({.manager = 11, .image_bytes = 6000, .main_bytes = 2});
  }
  return wal.take();
}

// After a checkpoint nearly everything is images of pages.
WalBytes images() {
  Wal wal;
  while (!wal.is_full()) wal.put({.image_bytes = 8100, .main_bytes = 3});
  return wal.take();
}

void read_all(benchmark::State& state, const WalBytes& bytes) {
  const Lsn start{kGeometry.segment_size_bytes};
  std::int64_t records = 0;
  std::size_t read_bytes = 0;
  for (auto _ : state) {
    postgres::WalPagesInMemory source(start, bytes, kGeometry);
    auto reader = postgres::WalReader::open(kGeometry, kTimeline, {start}, source);
    if (!reader) return state.SkipWithError(reader.error().message().c_str());
    while (true) {
      const auto record = reader->next();
      if (!record) return state.SkipWithError(record.error().message().c_str());
      if (*record == nullptr) break;
      ++records;
      benchmark::DoNotOptimize(postgres::wal_fact(**record, kGeometry.server_major));
    }
    read_bytes += reader->end().lsn.value - start.value;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(read_bytes));
  state.SetItemsProcessed(records);
}

void wal_of_transactions(benchmark::State& state) {
  static const WalBytes bytes = transactions(20);
  read_all(state, bytes);
}
BENCHMARK(wal_of_transactions);

void wal_of_small_records(benchmark::State& state) {
  static const WalBytes bytes = transactions(1'000'000);
  read_all(state, bytes);
}
BENCHMARK(wal_of_small_records);

void wal_of_images(benchmark::State& state) {
  static const WalBytes bytes = images();
  read_all(state, bytes);
}
BENCHMARK(wal_of_images);

// The changes of a whole segment at a time, as they are found and kept.
struct Segments {
  WalGeometry geometry;
  TimelineId timeline;
  Lsn start;
  WalBytes bytes;
};

void find_changes(benchmark::State& state, const Segments& wal) {
  const Lsn end{wal.start.value + wal.bytes.size()};
  std::int64_t records = 0;
  std::size_t read_bytes = 0;
  for (auto _ : state) {
    for (Lsn at = wal.start; at < end; at.value += wal.geometry.segment_size_bytes) {
      postgres::WalPagesInMemory source(wal.start, wal.bytes, wal.geometry);
      const Lsn stop{at.value + wal.geometry.segment_size_bytes};
      auto reader = postgres::WalReader::open(wal.geometry, wal.timeline, {at, stop, {}}, source);
      if (!reader) return state.SkipWithError(reader.error().message().c_str());
      postgres::WalChanges changes;
      while (true) {
        const auto record = reader->next();
        if (!record) return state.SkipWithError(record.error().message().c_str());
        if (*record == nullptr) break;
        ++records;
        const Status added = postgres::add_changes(**record, wal.geometry.server_major, changes);
        if (!added) return state.SkipWithError(added.error().message().c_str());
      }
      benchmark::DoNotOptimize(changes.blocks.empty());
      read_bytes += reader->end().lsn.value - at.value;
    }
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(read_bytes));
  state.SetItemsProcessed(records);
}

Segments made(WalBytes bytes) {
  return {kGeometry, kTimeline, Lsn{kGeometry.segment_size_bytes}, std::move(bytes)};
}

void changes_of_transactions(benchmark::State& state) {
  static const Segments wal = made(transactions(20));
  find_changes(state, wal);
}
BENCHMARK(changes_of_transactions);

void changes_of_small_records(benchmark::State& state) {
  static const Segments wal = made(transactions(1'000'000));
  find_changes(state, wal);
}
BENCHMARK(changes_of_small_records);

void changes_of_images(benchmark::State& state) {
  static const Segments wal = made(images());
  find_changes(state, wal);
}
BENCHMARK(changes_of_images);

// Nothing where there are none. The last one is left out: it may not be written to its end.
Segments read_segments(const std::string& directory) {
  constexpr std::size_t kBytesMax = std::size_t{1} << 30;
  constexpr std::uint32_t kSmallest = 1U << 20;
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (postgres::parse_wal_segment_name(name, kSmallest)) names.push_back(name);
  }
  std::ranges::sort(names);
  Segments wal;
  for (std::size_t i = 0; i + 1 < names.size() && wal.bytes.size() < kBytesMax; ++i) {
    std::ifstream file(directory + "/" + names[i], std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const ByteSpan bytes = bytes_of(text);
    wal.bytes.insert(wal.bytes.end(), bytes.begin(), bytes.end());
  }
  const auto header = postgres::parse_wal_page_header(wal.bytes);
  if (!header) return wal;
  wal.timeline = header->timeline;
  wal.start = header->page_address;
  for (int major = 13; major <= 18; ++major) {
    if (postgres::wal_page_magic(major) != header->magic) continue;
    wal.geometry = {major, header->system_identifier, header->segment_size_bytes,
                    header->block_size_bytes};
  }
  return wal;
}

void changes_of_real_wal(benchmark::State& state) {
  const char* directory = std::getenv("PGHAUL_BENCH_WAL");
  if (directory == nullptr) {
    for (auto _ : state) {
    }
    return state.SetLabel("PGHAUL_BENCH_WAL is not set");
  }
  static const Segments wal = read_segments(directory);
  find_changes(state, wal);
}
BENCHMARK(changes_of_real_wal);

}  // namespace
}  // namespace haul
