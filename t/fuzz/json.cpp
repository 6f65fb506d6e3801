#include "json.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "check.hpp"

using namespace jwt;

namespace {

/// What a Value says of itself through its accessors agrees, and so for all within it; how deep it goes.
std::size_t inspected_depth(json::Value value) {
    std::size_t members = 0;
    std::size_t deepest = 0;
    value.each_member([&](std::string_view name, json::Value member) {
        ++members;
        // The first of equal names would be found here: no text with two is accepted.
        check(value.member(name)->text() == member.text());
        check(json::valid_utf8(name));
        deepest = std::max(deepest, inspected_depth(member));
    });
    value.each_element([&](json::Value element) {
        ++members;
        deepest = std::max(deepest, inspected_depth(element));
    });
    check(members == value.size());
    const bool container = value.type() == json::Type::object || value.type() == json::Type::array;
    check(value.string().has_value() == (value.type() == json::Type::string));
    check(value.boolean().has_value() == (value.type() == json::Type::boolean));
    check(value.number().has_value() == (value.type() == json::Type::number));
    check(!value.integer() || value.number() == static_cast<double>(*value.integer()));
    check(!value.string() || json::valid_utf8(*value.string()));
    return container ? deepest + 1 : 0;
}

void collect_numbers(json::Value value, std::vector<double>& numbers) {
    if (const auto number = value.number()) {
        numbers.push_back(*number);
    }
    value.each_member([&](std::string_view, json::Value member) { collect_numbers(member, numbers); });
    value.each_element([&](json::Value element) { collect_numbers(element, numbers); });
}

std::vector<double> numbers(json::Value value) {
    std::vector<double> collected;
    collect_numbers(value, collected);
    return collected;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    json::Parser parser;
    json::Document document;
    json::Document again;
    const auto value = parser.parse(text_of(data, size), document);
    if (!value) {
        check(document.root().type() == json::Type::null && document.root().text() == "null");
        return 0;
    }
    // Members are looked up one by one below: quadratic, so not for huge objects.
    if (size <= 4096) {
        check(inspected_depth(*value) <= json::max_depth);
    }
    const std::string text = value->text();
    const auto second = parser.parse(text, again);
    check(second.has_value());
    check(second->text() == text);
    check(numbers(*second) == numbers(*value));
    check(document.root().text() == text);
    return 0;
}
