#include "condition.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace jwt {
namespace {

/// Stands for a regular expression: finds a text within the subject; "?" cannot be decided.
class Within final : public Pattern {
public:
    explicit Within(std::string_view text) : text_(text) {}
    [[nodiscard]] std::optional<bool> matches(std::string_view subject) const override {
        return text_ == "?" ? std::nullopt : std::optional(subject.find(text_) != std::string_view::npos);
    }

private:
    std::string_view text_;
};

class ConditionTest : public testing::Test {
protected:
    json::Value object(std::string_view text) {
        const auto value = parser_.parse_object(text, document_);
        EXPECT_TRUE(value) << text;
        return value.value_or(json::Value());
    }

    json::Parser parser_;
    json::Document document_;
};

std::vector<std::string_view> split(std::string_view text, char at) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(at), text.size());
        words.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return words;
}

struct PathRow {
    std::string_view path;
    std::string_view found;  // as JSON; empty: nothing
};

TEST_F(ConditionTest, FindsMembersByPath) {
    const json::Value root = object(R"({"a":{"b":{"c":1},"d.e":2,"0":"zero"},"a.b":3,"x\\y":4,"list":["p",{"q":5},[6]],
        "https://example.com/roles":["admin"],"https://example.com/meta":{"roles":7},"":8,"n":null})");
    for (const auto& [path, found] : {
             PathRow{"a.b.c", "1"},
             PathRow{R"(a.d\.e)", "2"},
             PathRow{R"(a\.b)", "3"},
             PathRow{R"(x\\y)", "4"},
             PathRow{"a.0", R"("zero")"},
             PathRow{"list.0", R"("p")"},
             PathRow{"list.1.q", "5"},
             PathRow{"list.2.0", "6"},
             PathRow{R"(https://example\.com/roles)", R"(["admin"])"},
             PathRow{R"(https://example\.com/meta.roles)", "7"},
             PathRow{"n", "null"},
             PathRow{"b", ""},
             PathRow{"A", ""},
             PathRow{"a.b.c.d", ""},
             PathRow{"a.d.e", ""},
             PathRow{"list.3", ""},
             PathRow{"list.00", ""},
             PathRow{"list.-1", ""},
             PathRow{"list.+1", ""},
             PathRow{"list.18446744073709551616", ""},
             PathRow{"list.p", ""},
             PathRow{"n.x", ""},
         }) {
        const auto parsed = Path::parse(path);
        ASSERT_TRUE(parsed) << path << ' ' << parsed.error();
        EXPECT_EQ(parsed->text(), path);
        const auto value = parsed->find(root);
        EXPECT_EQ(value ? value->text() : "", found) << path;
    }
}

TEST_F(ConditionTest, GoesOnWithFurtherPaths) {
    auto path = Path::parse("a").value();
    EXPECT_TRUE(path.is("a"));
    path.append(Path::parse(R"(b\.c)").value());
    EXPECT_FALSE(path.is("a"));
    EXPECT_EQ(path.text(), R"(a.b\.c)");
    EXPECT_EQ(path.find(object(R"({"a":{"b.c":1}})"))->text(), "1");
}

TEST(Path, SaysWhatIsWrong) {
    struct Row {
        std::string path;
        std::string_view error;
    };
    std::string deep = "a";
    for (std::size_t i = 0; i < json::max_depth; ++i) {
        deep += ".a";
    }
    for (const auto& [path, error] : {
             Row{"", "has an empty name"},
             Row{".", "has an empty name"},
             Row{".a", "has an empty name"},
             Row{"a.", "has an empty name"},
             Row{"a..b", "has an empty name"},
             Row{"a\\", "has a backslash before neither"},
             Row{"a\\b", "has a backslash before neither"},
             Row{"https://example.com/roles", "is a URL cut at its dots"},
             Row{R"(https://www\.example.com)", "is a URL cut at its dots"},
             Row{deep, "goes deeper than the 64 levels"},
         }) {
        const auto parsed = Path::parse(path);
        ASSERT_FALSE(parsed) << path;
        EXPECT_TRUE(parsed.error().starts_with(error)) << path << ": " << parsed.error();
    }
    EXPECT_TRUE(Path::parse(deep.substr(2)));
}

TEST(Condition, SaysWhatIsWrong) {
    struct Row {
        std::string_view words;
        std::string_view error;
    };
    for (const auto& [words, error] : {
             Row{"", "path \"\" has an empty name"},
             Row{"a..b", "path \"a..b\" has an empty name"},
             Row{"a ==", "unknown operator \"==\": write one of absent = != in !in contains"},
             Row{"a admin", "unknown operator \"admin\""},
             Row{"a =", "operator \"=\" takes one value: write \"in\""},
             Row{"a = b c", "operator \"=\" takes one value: write \"in\""},
             Row{"a in", "operator \"in\" takes 1 to 64 values"},
             Row{"a !contains b c", "operator \"!contains\" takes one value: write a directive for each"},
             Row{"a < 1 2", "operator \"<\" takes one value"},
             Row{"a absent b", "operator \"absent\" takes no value"},
         }) {
        const auto condition = parse_condition(split(words, ' '));
        ASSERT_FALSE(condition) << words;
        EXPECT_TRUE(condition.error().starts_with(error)) << words << ": " << condition.error();
    }
    EXPECT_TRUE(problem_of_value(Operator::equal, ""));
    EXPECT_TRUE(problem_of_value(Operator::less, ""));
    for (const std::string_view number : {"abc", "1x", " 1", "+1", "0x10", ".5", "-", "inf", "nan", "1e999", "-inf"}) {
        EXPECT_TRUE(problem_of_value(Operator::at_least, number)) << number;
        EXPECT_FALSE(problem_of_value(Operator::equal, number)) << number;
    }
    for (const std::string_view number : {"0", "-1", "1.5", "1e3", "18446744073709551615", "-9223372036854775808"}) {
        EXPECT_FALSE(problem_of_value(Operator::at_least, number)) << number;
    }
}

struct HoldsRow {
    std::string_view value;  // of the member m, as JSON; empty: no such member
    std::string_view words;  // behind its name, apart by "|"
    bool holds;
};

constexpr HoldsRow rows[] = {
    // presence
    {R"("x")", "", true},
    {R"("")", "", true},
    {"false", "", true},
    {"0", "", true},
    {"[]", "", true},
    {"null", "", false},
    {"", "", false},
    {"", "absent", true},
    {"null", "absent", true},
    {R"("")", "absent", false},
    {"0", "absent", false},
    // equality, whose opposite is no "not known"
    {R"("admin")", "=|admin", true},
    {R"("admin")", "!=|admin", false},
    {R"("admin")", "=|Admin", false},
    {R"("admin")", "!=|Admin", true},
    {R"("admin\n")", "=|admin", false},
    {R"("admin\u0000")", "=|admin", false},
    {R"("")", "=|admin", false},
    {R"("")", "!=|admin", true},
    {R"(["admin"])", "=|admin", false},
    {R"(["admin"])", "!=|admin", false},
    {R"(["admin"])", "!=|other", false},
    {R"({"admin":true})", "!=|admin", false},
    {"null", "!=|admin", false},
    {"", "!=|admin", false},
    {"", "!in|admin", false},
    {"true", "=|true", true},
    {"true", "=|1", false},
    {"true", "!=|false", true},
    {"false", "=|true", false},
    {"false", "=|false", true},
    {R"("true")", "=|true", true},
    {"3", "=|3", true},
    {"3", "=|3.0", true},
    {"3.0", "=|3", true},
    {"3", "=|4", false},
    {"3", "=|three", false},
    {"3", "!=|4", true},
    {"-0", "=|0", true},
    {R"("3")", "=|3", true},
    {R"("3")", "=|3.0", false},
    {"9007199254740993", "=|9007199254740992", false},
    {"9007199254740993", "=|9007199254740993", true},
    {"18446744073709551615", "=|18446744073709551614", false},
    {"18446744073709551615", "=|18446744073709551615", true},
    // one of
    {R"("b")", "in|a|b|c", true},
    {R"("d")", "in|a|b|c", false},
    {R"("b")", "!in|a|b|c", false},
    {R"("d")", "!in|a|b|c", true},
    {"2", "in|1|2", true},
    {R"(["a"])", "in|a|b", false},
    {R"(["d"])", "!in|a|b", false},
    // arrays and scopes
    {R"(["user","admin"])", "contains|admin", true},
    {R"(["user","admin"])", "contains|user|admin", true},
    {R"(["user","admin"])", "contains|user|root", false},
    {R"(["user","admin"])", "contains_any|root|admin", true},
    {R"(["user","admin"])", "contains_any|root|other", false},
    {R"(["user","admin"])", "!contains|admin", false},
    {R"(["user","admin"])", "!contains|root", true},
    {R"(["notadmin","administrator"," admin","read admin"])", "contains|admin", false},
    {R"(["Domain Admins"])", "contains|Domain Admins", true},
    {R"([1,2])", "contains|2", true},
    {R"([true])", "contains|true", true},
    {R"([["admin"]])", "contains|admin", false},
    {R"([["admin"]])", "!contains|admin", false},
    {R"([null])", "!contains|admin", false},
    {R"([{"x":1},"admin"])", "contains|admin", true},
    {"[]", "contains|admin", false},
    {"[]", "!contains|admin", true},
    {R"("admin")", "contains|admin", true},
    {R"("read admin")", "contains|admin", true},
    {R"("read admin")", "contains|admin|read", true},
    {R"("admin  read")", "contains|read", true},
    {R"("notadmin")", "contains|admin", false},
    {R"("administrator")", "contains|admin", false},
    {R"("admin:read")", "contains|admin", false},
    {R"("admin\n")", "contains|admin", false},
    {R"("read\tadmin")", "contains|admin", false},
    {R"("read,admin")", "contains|admin", false},
    {R"("ADMIN")", "contains|admin", false},
    {R"("read admin")", "contains|read admin", false},
    {R"("read")", "!contains|admin", true},
    {R"("read admin")", "!contains|admin", false},
    {R"({"admin":true})", "contains|admin", false},
    {R"({"admin":true})", "!contains|root", false},
    {"1", "contains|1", false},
    {"null", "!contains|admin", false},
    {"", "!contains|admin", false},
    // patterns
    {R"("admin-7")", "~|admin", true},
    {R"("user")", "~|admin", false},
    {R"("user")", "!~|admin", true},
    {R"("admin")", "!~|admin", false},
    {R"("admin\n")", "~|admin", false},
    {R"("user\n")", "!~|admin", false},
    {"7", "~|7", false},
    {R"(["admin"])", "~|admin", false},
    {R"(["user"])", "!~|admin", false},
    {"", "!~|admin", false},
    {R"("x")", "~|?", false},
    {R"("x")", "!~|?", false},
    // numbers
    {"3", "<|4", true},
    {"4", "<|4", false},
    {"4", "<=|4", true},
    {"4.5", "<=|4", false},
    {"5", ">|4", true},
    {"4", ">|4", false},
    {"4", ">=|4", true},
    {"-1", ">=|0", false},
    {"1e300", ">|18446744073709551615", true},
    {"9007199254740993", ">|9007199254740992", true},
    {"18446744073709551615", "<=|18446744073709551614", false},
    {R"("5")", ">|4", false},
    {"true", ">=|0", false},
    {"null", ">=|0", false},
    {"[9]", ">=|0", false},
    {"", "<|4", false},
    {"", ">=|0", false},
    {"5", ">|abc", false},
    {"5", "<|abc", false},
};

TEST_F(ConditionTest, HoldsOrDoesNot) {
    for (const HoldsRow& row : rows) {
        auto words = split(row.words, '|');
        words.insert(words.begin(), "m");
        const auto condition = parse_condition(words);
        ASSERT_TRUE(condition) << row.words << ": " << condition.error();
        const std::string text = row.value.empty() ? "{}" : R"({"m":)" + std::string(row.value) + '}';
        const std::span values =
            std::span<const std::string_view>(words).subspan(std::min<std::size_t>(2, words.size()));
        const Within pattern(values.empty() ? "" : values.front());
        EXPECT_EQ(holds(*condition, object(text), values, takes_pattern(condition->op) ? &pattern : nullptr), row.holds)
            << text << ' ' << row.words;
        if (takes_pattern(condition->op)) {
            EXPECT_FALSE(holds(*condition, object(text), values)) << "without its pattern: " << row.words;
        }
    }
}

TEST_F(ConditionTest, IsNeverMetByAnEmptyValue) {
    for (const std::string_view value : {R"("")", R"("x")", "0", "true", R"([""])", R"(["x"])", R"("x ")", "[]"}) {
        const std::string text = R"({"m":)" + std::string(value) + '}';
        for (const std::string_view op :
             {"=", "!=", "in", "!in", "contains", "contains_any", "!contains", "<", "<=", ">", ">="}) {
            const std::string_view words[] = {"m", op, ""};
            const auto condition = parse_condition(words).value();
            EXPECT_FALSE(holds(condition, object(text), std::span(words).subspan(2))) << text << ' ' << op;
        }
    }
    // Beside a value that decides, it changes nothing.
    const std::string_view among[] = {"m", "in", "", "x"};
    EXPECT_TRUE(holds(parse_condition(among).value(), object(R"({"m":"x"})"), std::span(among).subspan(2)));
    const std::string_view not_among[] = {"m", "!in", "", "x"};
    EXPECT_FALSE(holds(parse_condition(not_among).value(), object(R"({"m":"y"})"), std::span(not_among).subspan(2)));
    const std::string_view all[] = {"m", "contains", "x", ""};
    EXPECT_FALSE(holds(parse_condition(all).value(), object(R"({"m":["x",""]})"), std::span(all).subspan(2)));
}

TEST_F(ConditionTest, BoundsWhatPatternsSee) {
    const std::string_view words[] = {"m", "~", "a"};
    const auto condition = parse_condition(words).value();
    const Within pattern("a");
    const auto of_size = [&](std::size_t size) { return R"({"m":")" + std::string(size, 'a') + "\"}"; };
    EXPECT_TRUE(holds(condition, object(of_size(max_subject_size)), {}, &pattern));
    EXPECT_FALSE(holds(condition, object(of_size(max_subject_size + 1)), {}, &pattern));
}

TEST_F(ConditionTest, ComparesMediaTypes) {
    const std::string_view words[] = {"m", "in", "at+jwt", "application/dpop+jwt"};
    auto condition = parse_condition(words).value();
    const auto values = std::span(words).subspan(2);
    EXPECT_FALSE(holds(condition, object(R"({"m":"AT+JWT"})"), values));
    condition.media_type = true;
    for (const std::string_view good : {"at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt", "dpop+jwt"}) {
        EXPECT_TRUE(holds(condition, object(R"({"m":")" + std::string(good) + "\"}"), values)) << good;
    }
    for (const std::string_view bad : {"JWT", "at+jwt ", "text/at+jwt", "application/", "", "logout+jwt"}) {
        EXPECT_FALSE(holds(condition, object(R"({"m":")" + std::string(bad) + "\"}"), values)) << bad;
    }
    condition.op = Operator::not_in;
    EXPECT_FALSE(holds(condition, object(R"({"m":"AT+JWT"})"), values));
    EXPECT_TRUE(holds(condition, object(R"({"m":"JWT"})"), values));
}

}  // namespace
}  // namespace jwt
