#include "json.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace jwt::json {
namespace {

struct Accepted {
    std::string_view text;
    std::string_view compact;
};

constexpr Accepted accepted[] = {
    {"{}", "{}"},
    {" \t\r\n[ ] ", "[]"},
    {R"({ "a" : [ 1 , {"b":null} , true,false ] , "" : "x" })", R"({"a":[1,{"b":null},true,false],"":"x"})"},
    {R"({"b":1,"a":2})", R"({"b":1,"a":2})"},
    {R"("\u0041\/\"\\\b\f\n\r\t\u0000\u001f\u007f")", "\"A/\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\""},
    {R"("\u00e9\ud83d\ude00")", "\"\xc3\xa9\xf0\x9f\x98\x80\""},
    {"0", "0"},
    {"-1", "-1"},
    {"9007199254740993", "9007199254740993"},
    {"9223372036854775807", "9223372036854775807"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"18446744073709551615", "18446744073709551615"},
    {"1.5", "1.5"},
    {"1e2", "100"},
    {"-0.0", "-0.0"},
    {"0.1", "0.1"},
    {"1e308", "1e+308"},
    {"5e-324", "5e-324"},
    {"123456789012345680000.0", "1.2345678901234568e+20"},
    {"18446744073709551616.0", "1.8446744073709552e+19"},
};

TEST(Json, ReadsAndWrites) {
    Parser parser;
    Document document;
    for (const auto& [text, compact] : accepted) {
        const auto value = parser.parse(text, document);
        ASSERT_TRUE(value) << text;
        EXPECT_EQ(value->text(), compact);
        const auto again = parser.parse(std::string(compact), document);
        ASSERT_TRUE(again) << compact;
        EXPECT_EQ(again->text(), compact);
    }
}

struct Refused {
    std::string_view text;
    ParseError error;
};

constexpr Refused refused[] = {
    {"", ParseError::syntax},
    {" ", ParseError::syntax},
    {"{", ParseError::syntax},
    {"{}{}", ParseError::syntax},
    {"{} x", ParseError::syntax},
    {R"({"a":1,})", ParseError::syntax},
    {"[1,]", ParseError::syntax},
    {R"({"a":1 "b":2})", ParseError::syntax},
    {R"({a:1})", ParseError::syntax},
    {R"({'a':1})", ParseError::syntax},
    {R"({"a":tru})", ParseError::syntax},
    {R"({"a":NaN})", ParseError::syntax},
    {R"({"a":/**/1})", ParseError::syntax},
    {"\"a\nb\"", ParseError::syntax},
    {R"("\x41")", ParseError::syntax},
    {R"("\ud800")", ParseError::syntax},
    {R"("\udc00")", ParseError::syntax},
    {R"("\ud800\u0041")", ParseError::syntax},
    {R"("\ud800\ud800")", ParseError::syntax},
    {"\xef\xbb\xbf{}", ParseError::syntax},
    {"\"\xff\"", ParseError::utf8},
    {"\"\xc0\x80\"", ParseError::utf8},
    {"\"\xed\xa0\x80\"", ParseError::utf8},
    {"1e400", ParseError::number},
    {"18446744073709551616", ParseError::number},
    {"-9223372036854775809", ParseError::number},
    {"017", ParseError::number},
    {R"({"a":1,"a":1})", ParseError::duplicate_member},
    {R"({"exp":1,"\u0065xp":2})", ParseError::duplicate_member},
    {R"({"":1,"":2})", ParseError::duplicate_member},
    {R"({"a":{"b":[{"c":1,"d":2,"c":3}]}})", ParseError::duplicate_member},
};

TEST(Json, Refuses) {
    Parser parser;
    Document document;
    for (const auto& [text, error] : refused) {
        ASSERT_TRUE(parser.parse(R"({"a":1,"b":{"a":1}})", document));
        const auto value = parser.parse(text, document);
        ASSERT_FALSE(value) << text;
        EXPECT_EQ(value.error(), error) << text << ": " << json::text(value.error());
        EXPECT_EQ(document.root().type(), Type::null) << "a refused text left something behind";
    }
}

TEST(Json, RefusesNulAndWhatFollowsIt) {
    Parser parser;
    Document document;
    EXPECT_TRUE(parser.parse("{}", document));
    EXPECT_FALSE(parser.parse(std::string_view("{}\0", 3), document));
    EXPECT_FALSE(parser.parse(std::string_view("{\"a\0\":1}", 8), document));
}

// What stood in the buffer before must have no say.
TEST(Json, ForgetsEarlierTexts) {
    Parser parser;
    Document document;
    ASSERT_TRUE(parser.parse(R"({"aaaaaaaaaaaaaaaaaaaaaaaa":"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"})", document));
    EXPECT_FALSE(parser.parse(R"({"aaaaaaaaaaaaaaaaaaaaaaaa":"bbbbb)", document));
    EXPECT_FALSE(parser.parse(R"({"aaaaaaaaaaaaaaaaaaaaaaaa")", document));
    EXPECT_FALSE(parser.parse("[1234", document));
    EXPECT_EQ(parser.parse("12", document)->integer(), 12);
}

std::string nested(std::string_view open, std::string_view core, std::string_view close, std::size_t depth) {
    std::string text;
    for (std::size_t i = 0; i < depth; ++i) {
        text += open;
    }
    text += core;
    for (std::size_t i = 0; i < depth; ++i) {
        text += close;
    }
    return text;
}

TEST(Json, BoundsDepth) {
    Parser parser;
    Document document;
    for (const std::string_view core : {"1", "[]", "{}", "[1]", R"({"a":1})"}) {
        const std::size_t own = core == "1" ? 0 : 1;
        EXPECT_TRUE(parser.parse(nested("[", core, "]", max_depth - own), document)) << core;
        EXPECT_TRUE(parser.parse(nested(R"({"a":)", core, "}", max_depth - own), document)) << core;
        for (const std::size_t over : {1U, 2U, 8000U}) {
            const auto arrays = parser.parse(nested("[", core, "]", max_depth - own + over), document);
            ASSERT_FALSE(arrays) << core << over;
            EXPECT_EQ(arrays.error(), ParseError::too_deep);
            EXPECT_FALSE(parser.parse(nested(R"({"a":)", core, "}", max_depth - own + over), document));
        }
    }
    EXPECT_FALSE(parser.parse(std::string(8000, '['), document));
}

std::string object_of(std::size_t members, std::string_view last) {
    std::string text = "{";
    for (std::size_t i = 0; i < members; ++i) {
        text += "\"member" + std::to_string(i) + "\":0,";
    }
    return text + '"' + std::string(last) + "\":0}";
}

TEST(Json, FindsRepeatedNamesInObjectsOfEverySize) {
    Parser parser;
    Document document;
    for (const std::size_t members : {1U, 2U, 14U, 15U, 16U, 17U, 18U, 100U, 50000U}) {
        EXPECT_TRUE(parser.parse(object_of(members, "other"), document)) << members;
        EXPECT_TRUE(parser.parse(object_of(members, "member"), document)) << members;
        for (const std::size_t repeated : {std::size_t{0}, members / 2, members - 1}) {
            const auto value = parser.parse(object_of(members, "member" + std::to_string(repeated)), document);
            ASSERT_FALSE(value) << members << ' ' << repeated;
            EXPECT_EQ(value.error(), ParseError::duplicate_member);
        }
    }
}

TEST(Json, RefusesWhatIsTooLarge) {
    Parser parser;
    Document document;
    const std::string most = '"' + std::string(16 * 1024 * 1024 - 2, 'a') + '"';
    EXPECT_TRUE(parser.parse(most, document));
    const auto value = parser.parse(most + ' ', document);
    ASSERT_FALSE(value);
    EXPECT_EQ(value.error(), ParseError::too_large);
}

TEST(Json, ParsesObjectsOnlyWhereAsked) {
    Parser parser;
    Document document;
    EXPECT_TRUE(parser.parse_object("{}", document));
    for (const std::string_view text : {"[]", "1", "\"{}\"", "null", "true"}) {
        ASSERT_TRUE(parser.parse(text, document));
        const auto value = parser.parse_object(text, document);
        ASSERT_FALSE(value) << text;
        EXPECT_EQ(value.error(), ParseError::no_object);
        EXPECT_EQ(document.root().type(), Type::null);
    }
    EXPECT_EQ(parser.parse_object("[", document).error(), ParseError::syntax);
}

TEST(Value, TellsTypesApart) {
    Parser parser;
    Document document;
    const Value root = *parser.parse(R"({"n":null,"b":true,"i":-3,"u":18446744073709551615,"d":2.5,"s":"x\u0000y",
                                         "a":[1,2,3],"o":{"k":"v"}})",
                                     document);
    const auto at = [root](std::string_view name) { return root.member(name).value(); };
    EXPECT_EQ(root.size(), 8U);
    EXPECT_EQ(at("n").type(), Type::null);
    EXPECT_EQ(at("b").type(), Type::boolean);
    EXPECT_EQ(at("b").boolean(), true);
    EXPECT_EQ(at("b").number(), std::nullopt);
    EXPECT_EQ(at("i").type(), Type::number);
    EXPECT_EQ(at("i").integer(), -3);
    EXPECT_EQ(at("i").number(), -3.0);
    EXPECT_EQ(at("u").type(), Type::number);
    EXPECT_EQ(at("u").integer(), std::nullopt);
    EXPECT_EQ(at("u").number(), 18446744073709551615.0);
    EXPECT_EQ(at("d").integer(), std::nullopt);
    EXPECT_EQ(at("d").number(), 2.5);
    EXPECT_EQ(at("s").string(), std::string_view("x\0y", 3));
    EXPECT_EQ(at("s").number(), std::nullopt);
    EXPECT_EQ(at("s").member("x"), std::nullopt);
    EXPECT_EQ(at("a").type(), Type::array);
    EXPECT_EQ(at("a").size(), 3U);
    EXPECT_EQ(at("o").type(), Type::object);
    EXPECT_EQ(at("o").member("k")->string(), "v");
    EXPECT_FALSE(root.member("absent"));
    EXPECT_FALSE(root.member("o.k"));
    EXPECT_FALSE(root.member("/o"));
}

TEST(Value, VisitsInOrder) {
    Parser parser;
    Document document;
    const Value root = *parser.parse(R"({"b":[3,1,2],"a":"x"})", document);
    std::string seen;
    root.each_member([&seen](std::string_view name, Value value) { seen += std::string(name) + value.text() + ';'; });
    root.each_element([&seen](Value) { seen += "never"; });
    root.member("b")->each_element([&seen](Value value) { seen += value.text() + ','; });
    root.member("b")->each_member([&seen](std::string_view, Value) { seen += "never"; });
    EXPECT_EQ(seen, R"(b[3,1,2];a"x";3,1,2,)");
}

TEST(Items, AreThereInArraysAndObjectsAlone) {
    Parser parser;
    Document document;
    const auto all = [&](const char* text) {
        std::string seen;
        for (jwt::json::Items items(*parser.parse(text, document)); items.next();) {
            seen += std::string(items.of_object() ? items.name() : "-") + items.value().text() + ' ';
        }
        return seen;
    };
    EXPECT_EQ(all(R"({"a":{"b":[1]},"c":[[],{}],"d":"e","f":1.5,"g":null})"),
              R"(a{"b":[1]} c[[],{}] d"e" f1.5 gnull )");
    EXPECT_EQ(all(R"([{"b":[1]},[],-1,"",true])"), R"(-{"b":[1]} -[] --1 -"" -true )");
    for (const char* none : {"{}", "[]", "1", R"("ab")", "true", "null"}) {
        EXPECT_EQ(all(none), "") << none;
    }
    jwt::json::Items none{Value()};
    EXPECT_FALSE(none.next());
    EXPECT_FALSE(none.next());
}

TEST(Document, IsNullUntilParsedInto) {
    const Document document;
    EXPECT_EQ(document.root().type(), Type::null);
    EXPECT_EQ(document.root().text(), "null");
    EXPECT_FALSE(document.root().member("a"));
    EXPECT_FALSE(document.root().string());
    EXPECT_EQ(document.root().size(), 0U);
}

TEST(Document, KeepsItsValuesWhenMoved) {
    Parser parser;
    Document first;
    const Value name = parser.parse(R"({"name":"alice"})", first)->member("name").value();
    Document second = std::move(first);
    EXPECT_EQ(name.string(), "alice");
    EXPECT_EQ(second.root().text(), R"({"name":"alice"})");

    Document third;
    ASSERT_TRUE(parser.parse("[1]", third));
    third = std::move(second);
    EXPECT_EQ(name.string(), "alice");
    EXPECT_EQ(third.root().member("name")->string(), "alice");
}

TEST(Document, StandsApartFromOthersOfItsParser) {
    Parser parser;
    Document first;
    Document second;
    ASSERT_TRUE(parser.parse(R"("first")", first));
    ASSERT_TRUE(parser.parse("[" + std::string(100000, ' ') + "2]", second));
    Parser moved = std::move(parser);
    ASSERT_TRUE(moved.parse("3", second));
    EXPECT_EQ(first.root().string(), "first");
    EXPECT_EQ(second.root().integer(), 3);
}

TEST(Document, PacksCopiesOfExactlyTheirSize) {
    Parser parser;
    Document document;
    EXPECT_EQ(document.packed_size(), 0U);
    EXPECT_EQ(document.pack_into(nullptr).type(), Type::null);
    for (const auto& [text, compact] : accepted) {
        ASSERT_TRUE(parser.parse(text, document));
        // Of the heap, and exact, so that a sanitizer sees each byte read or written beyond it.
        const std::unique_ptr<std::byte[]> memory(new std::byte[document.packed_size()]);
        const Value packed = document.pack_into(memory.get());
        ASSERT_TRUE(parser.parse(R"({"other":["text"]})", document));
        EXPECT_EQ(packed.text(), compact);
        EXPECT_EQ(document.packed_size() % alignof(void*), 0U);
    }
    EXPECT_FALSE(parser.parse("[", document));
    EXPECT_EQ(document.packed_size(), 0U);
}

TEST(AppendNumber, WritesWhatReadsBackTheSame) {
    constexpr double two53 = 9007199254740992;
    struct Row {
        double number;
        std::string_view text;
    };
    Parser parser;
    Document document;
    for (const auto& [number, text] : {
             Row{0, "0"},
             Row{-0.0, "-0.0"},
             Row{1, "1"},
             Row{-17, "-17"},
             Row{1e15, "1000000000000000"},
             Row{two53, "9007199254740992"},
             Row{-two53, "-9007199254740992"},
             Row{two53 + 2, "9.007199254740994e+15"},
             Row{1e21, "1e+21"},
             Row{0.5, "0.5"},
             Row{1e-7, "1e-07"},
             Row{0.1 + 0.2, "0.30000000000000004"},
             Row{std::numeric_limits<double>::max(), "1.7976931348623157e+308"},
             Row{std::numeric_limits<double>::denorm_min(), "5e-324"},
         }) {
        std::string out;
        append_number(out, number);
        EXPECT_EQ(out, text);
        const auto value = parser.parse(out, document);
        ASSERT_TRUE(value) << out;
        EXPECT_EQ(value->number(), number);
    }
}

TEST(AppendString, EscapesEveryByteThatNeedsIt) {
    Parser parser;
    Document document;
    std::string all;
    for (char byte = 0; byte < 0x7f; ++byte) {
        all.push_back(byte);
    }
    all += "\x7f\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80";
    std::string text;
    append_string(text, all);
    for (const char byte : text) {
        EXPECT_GE(static_cast<unsigned char>(byte), 0x20);
    }
    const auto value = parser.parse(text, document);
    ASSERT_TRUE(value);
    EXPECT_EQ(value->string(), all);
}

TEST(ValidUtf8, KnowsWellFormedText) {
    EXPECT_TRUE(valid_utf8(""));
    EXPECT_TRUE(valid_utf8("a\xc3\xa9\xf0\x9f\x98\x80"));
    EXPECT_FALSE(valid_utf8("\xc3"));
    EXPECT_FALSE(valid_utf8("\x80"));
    EXPECT_FALSE(valid_utf8("\xed\xa0\x80"));
    EXPECT_FALSE(valid_utf8("\xf4\x90\x80\x80"));
}

}  // namespace
}  // namespace jwt::json
