#include "base/json.h"

#include <gtest/gtest.h>

namespace haul {
namespace {

TEST(Json, PrintsMembersInTheOrderTheyWereSet) {
  Json json = Json::object();
  json.set("z", 1).set("a", true).set("m", "text").set("n", Json());
  EXPECT_EQ(json.dump(), R"({"z":1,"a":true,"m":"text","n":null})");
}

TEST(Json, SettingAgainReplacesInPlace) {
  Json json = Json::object();
  json.set("a", 1).set("b", 2).set("a", 3);
  EXPECT_EQ(json.dump(), R"({"a":3,"b":2})");
}

TEST(Json, ParsesWhatItPrints) {
  Json inner = Json::array();
  inner.push(std::uint64_t{UINT64_MAX});
  inner.push(std::int64_t{INT64_MIN});
  inner.push(1.5);
  inner.push("\"quoted\"\n\\");
  Json json = Json::object();
  json.set("list", inner).set("empty", Json::object());
  EXPECT_EQ(Json::parse(json.dump()).value(), json);
  EXPECT_EQ(Json::parse(json.dump(Json::Layout::indented)).value(), json);
}

TEST(Json, TypedAccessNamesWhatIsMissing) {
  const Json json = Json::parse(R"({"s":"x","u":7,"i":-7,"b":true,"a":[1],"o":{}})").value();
  EXPECT_EQ(json.string_at("s").value(), "x");
  EXPECT_EQ(json.uint_at("u").value(), 7U);
  EXPECT_EQ(json.int_at("u").value(), 7);
  EXPECT_EQ(json.int_at("i").value(), -7);
  EXPECT_TRUE(json.bool_at("b").value());
  EXPECT_EQ(json.array_at("a").value()->size(), 1U);
  EXPECT_TRUE(json.object_at("o").value()->is_object());
  EXPECT_FALSE(json.uint_at("i"));
  EXPECT_FALSE(json.uint_at("s"));
  EXPECT_FALSE(json.string_at("u"));
  EXPECT_FALSE(json.bool_at("u"));
  EXPECT_FALSE(json.array_at("o"));
  EXPECT_FALSE(json.object_at("a"));
  EXPECT_FALSE(json.int_at("s"));
  const auto missing = json.string_at("nowhere");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), ErrorCode::corrupt);
  EXPECT_NE(missing.error().message().find("nowhere"), std::string::npos);
}

TEST(Json, NumbersBeyondSigned64StayUnsigned) {
  const Json json = Json::parse(R"({"u":18446744073709551615})").value();
  EXPECT_EQ(json.uint_at("u").value(), UINT64_MAX);
  EXPECT_FALSE(json.int_at("u"));
}

TEST(Json, TextThatIsNotJsonIsCorrupt) {
  for (const char* text : {"", "{", "{]", "nul", "{\"a\":}", "[1,]", "{} x", "\"\x80\""}) {
    const auto parsed = Json::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), ErrorCode::corrupt);
  }
}

TEST(Json, NestingIsBounded) {
  const std::string fits = std::string(kJsonDepthMax, '[') + std::string(kJsonDepthMax, ']');
  const std::string deep = "[" + fits + "]";
  EXPECT_TRUE(Json::parse(fits));
  EXPECT_FALSE(Json::parse(deep));
  EXPECT_FALSE(Json::parse(std::string(1'000'000, '[')));
}

TEST(Json, BracketsInStringsDoNotNest) {
  EXPECT_TRUE(Json::parse("\"" + std::string(1000, '[') + "\""));
  EXPECT_TRUE(Json::parse(R"(["\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["])"));
}

TEST(Json, InvalidUtf8IsReplacedWhenPrinted) {
  EXPECT_EQ(Json("a\xff").dump(), "\"a\xef\xbf\xbd\"");
}

TEST(Json, FindOnSomethingElseIsNothing) {
  EXPECT_EQ(Json(1).find("a"), nullptr);
  EXPECT_EQ(Json::object().find("a"), nullptr);
}

}  // namespace
}  // namespace haul
