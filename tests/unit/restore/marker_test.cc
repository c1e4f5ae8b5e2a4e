#include "engine/restore/marker.h"

#include <gtest/gtest.h>

#include "tests/support/file_content.h"

namespace haul::restore {
namespace {

using support::code_of;

TEST(Marker, ComesBackAsItWasWritten) {
  for (const Marker& marker :
       {Marker{7, {}}, Marker{18'446'744'073'709'551'615U, {"/a b", "/c\nd\\", "/"}}}) {
    const auto parsed = parse_marker(to_text(marker));
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(*parsed, marker);
  }
}

TEST(Marker, OneThatWasCutOffIsCorrupt) {
  const std::string text = to_text({7, {"/space"}});
  const std::size_t whole = to_text({7, {}}).size();
  for (std::size_t size = 0; size < text.size(); ++size) {
    if (size == whole) continue;
    EXPECT_EQ(code_of(parse_marker(text.substr(0, size))), ErrorCode::corrupt) << size;
  }
}

TEST(Marker, OtherTextIsCorrupt) {
  EXPECT_EQ(code_of(parse_marker("hello")), ErrorCode::corrupt);
  EXPECT_EQ(code_of(parse_marker(to_text({7, {}}) + "more\n")), ErrorCode::corrupt);
  std::string text = to_text({7, {}});
  text.replace(text.find('7'), 1, "x");
  EXPECT_EQ(code_of(parse_marker(text)), ErrorCode::corrupt);
}

}  // namespace
}  // namespace haul::restore
