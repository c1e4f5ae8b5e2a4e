// Bounds-checked little-endian reading and writing of stored bytes.
//
// A ByteReader never fails loudly: once a read passes the end it stays failed and yields zeros, so
// a parser reads a whole record and asks ok() once. Nothing casts stored bytes to structs.
//
// Memory:   a reader borrows; a writer owns a growing vector.
// Threads:  values, one owner at a time.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"

namespace haul::repository {

class ByteWriter {
 public:
  void u8(std::uint8_t v) { put(v, 1); }
  void u16(std::uint16_t v) { put(v, 2); }
  void u32(std::uint32_t v) { put(v, 4); }
  void u64(std::uint64_t v) { put(v, 8); }
  void bytes(ByteSpan v) { buffer_.insert(buffer_.end(), v.begin(), v.end()); }
  // u16 length, then the bytes; asserts that the text is shorter than 64 KiB.
  void short_text(std::string_view text);
  void zeros(std::size_t count) { buffer_.resize(buffer_.size() + count); }
  void pad_to_multiple_of(std::size_t alignment);
  // Overwrites bytes written before.
  void patch(std::size_t offset, ByteSpan v);

  std::size_t size() const { return buffer_.size(); }
  ByteSpan view() const { return buffer_; }
  std::vector<std::byte> take() && { return std::move(buffer_); }
  void clear() { buffer_.clear(); }

 private:
  void put(std::uint64_t v, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) buffer_.push_back(static_cast<std::byte>(v >> (8 * i)));
  }

  std::vector<std::byte> buffer_;
};

class ByteReader {
 public:
  explicit ByteReader(ByteSpan source) : source_(source) {}

  std::uint8_t u8() { return static_cast<std::uint8_t>(get<1>()); }
  std::uint16_t u16() { return static_cast<std::uint16_t>(get<2>()); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(get<4>()); }
  std::uint64_t u64() { return get<8>(); }
  // Empty when there are fewer.
  ByteSpan bytes(std::size_t count) {
    if (failed_ || count > remaining()) {
      failed_ = true;
      return {};
    }
    const ByteSpan result = source_.subspan(position_, count);
    position_ += count;
    return result;
  }
  std::string short_text();
  template <std::size_t N>
  std::array<std::byte, N> array() {
    std::array<std::byte, N> result{};
    const ByteSpan from = bytes(N);
    if (!from.empty()) std::memcpy(result.data(), from.data(), N);
    return result;
  }
  // Consumes `count` bytes that the format demands to be zero; anything else fails the reader.
  void zeros(std::size_t count);

  std::size_t remaining() const { return source_.size() - position_; }
  std::size_t position() const { return position_; }
  bool ok() const { return !failed_; }
  // Everything was read and nothing was missing.
  bool finished() const { return ok() && remaining() == 0; }

 private:
  // Here, and of a size that is known: a pack's footer has a tag for each page.
  template <std::size_t kBytes>
  std::uint64_t get() {
    const ByteSpan range = bytes(kBytes);
    if (range.empty()) return 0;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < kBytes; ++i) {
      value |= std::uint64_t{std::to_integer<std::uint8_t>(range[i])} << (8 * i);
    }
    return value;
  }

  ByteSpan source_;
  std::size_t position_ = 0;
  bool failed_ = false;
};

}  // namespace haul::repository
