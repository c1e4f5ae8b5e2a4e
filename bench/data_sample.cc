#include "bench/data_sample.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/format.h"
#include "base/random.h"

namespace haul::bench {

namespace {

constexpr std::size_t kPageHeaderBytes = 24;
constexpr std::size_t kLinePointerBytes = 4;
constexpr std::size_t kTupleHeaderBytes = 24;
constexpr std::size_t kVocabulary = 4000;

enum class Kind : std::uint8_t { numbers, texts, documents, incompressible };
constexpr std::array<Kind, 5> kMixture{Kind::numbers, Kind::texts, Kind::numbers, Kind::documents,
                                       Kind::incompressible};

void append_raw(std::string& row, std::uint64_t value, std::size_t size_bytes) {
  std::array<char, sizeof value> bytes{};
  std::memcpy(bytes.data(), &value, sizeof value);
  row.append(bytes.data(), size_bytes);
}

// A word of the vocabulary: the same number, the same word.
std::string word(std::uint64_t number) {
  SeededRandom letters(number % kVocabulary);
  std::string text;
  for (std::uint64_t left = 3 + number % 9; left > 0; --left) {
    text += static_cast<char>('a' + letters.next() % 26);
  }
  return text;
}

std::string words(SeededRandom& random, int count) {
  std::string text;
  for (; count > 0; --count) text += word(random.next()) + " ";
  return text;
}

std::string row_of(Kind kind, std::uint64_t number, SeededRandom& random) {
  std::string row;
  switch (kind) {
    case Kind::numbers:
      append_raw(row, number, 4);
      append_raw(row, 1 + number / 100'000, 4);
      append_raw(row, random.next() % 5000, 4);
      row.append(84, ' ');
      return row;
    case Kind::texts: append_raw(row, number, 4); return row + words(random, 100);
    case Kind::documents:
      return format(
          R"({{"id": {}, "name": "{:016x}", "price": {}.{:02}, "city": "city {}", "notes": "{}"}})",
          number, random.next(), random.next() % 1000, random.next() % 100, random.next() % 500,
          words(random, 40));
    case Kind::incompressible:
      for (int i = 0; i < 120; ++i) append_raw(row, random.next(), 8);
      return row;
  }
  HAUL_ASSERT(false);
}

// xmin, xmax, command, ctid, flags: a row that one transaction in a row of inserts wrote.
std::string tuple_header(std::uint64_t number, std::uint16_t line) {
  std::string header;
  append_raw(header, 740, 4);
  append_raw(header, 0, 8);
  append_raw(header, number >> 6, 4);
  append_raw(header, line, 2);
  append_raw(header, 0x0902'0004, 4);
  append_raw(header, 24, 2);
  return header;
}

// Rows from the end of the page towards its line pointers, as PostgreSQL lays them out.
void fill_page(MutableByteSpan page, Kind kind, std::uint64_t& number, SeededRandom& random) {
  std::size_t lower = kPageHeaderBytes;
  std::size_t upper = page.size();
  for (std::uint16_t line = 1;; ++line) {
    const std::string tuple = tuple_header(number, line) + row_of(kind, number, random);
    const std::size_t size = (tuple.size() + 7) / 8 * 8;
    if (lower + kLinePointerBytes + size > upper) break;
    upper -= size;
    std::memcpy(page.data() + upper, tuple.data(), tuple.size());
    const auto pointer = static_cast<std::uint32_t>(upper | 1U << 15U | tuple.size() << 17U);
    std::memcpy(page.data() + lower, &pointer, sizeof pointer);
    lower += kLinePointerBytes;
    ++number;
  }
  const std::array<std::uint16_t, 4> header{0, static_cast<std::uint16_t>(lower),
                                            static_cast<std::uint16_t>(upper), kPageBytes};
  const std::uint64_t lsn_and_checksum = random.next();
  std::memcpy(page.data(), &lsn_and_checksum, sizeof lsn_and_checksum);
  std::memcpy(page.data() + 10, header.data(), sizeof header);
}

}  // namespace

std::vector<std::byte> cluster_like(std::size_t size_bytes) {
  HAUL_ASSERT(size_bytes % kPageBytes == 0);
  std::vector<std::byte> bytes(size_bytes);
  SeededRandom random(1);
  std::uint64_t number = 1;
  for (std::size_t at = 0; at < size_bytes; at += kPageBytes) {
    const Kind kind = kMixture[at / kChunkBytes % kMixture.size()];
    fill_page(MutableByteSpan(bytes).subspan(at, kPageBytes), kind, number, random);
  }
  return bytes;
}

}  // namespace haul::bench
