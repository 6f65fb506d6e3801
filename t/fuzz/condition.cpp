#include "condition.hpp"

#include <string>
#include <vector>

#include "check.hpp"

using namespace jwt;

namespace {

/// The path of a name as somebody would write it.
std::string written(std::string_view name) {
    std::string text;
    for (const char c : name) {
        text += c == '.' || c == '\\' ? std::string{'\\', c} : std::string{c};
    }
    return text;
}

/// Finds again what is found by going down member by member.
void check_members(json::Value object, json::Value root, const std::string& above) {
    object.each_member([&](std::string_view name, json::Value value) {
        if (name.empty()) {
            return;
        }
        const std::string text = above + (above.empty() ? "" : ".") + written(name);
        const auto path = Path::parse(text);
        if (!path) {
            return;  // a URL of a host with dots has none of its own
        }
        const auto found = path->find(root);
        check(found && found->text() == value.text());
        check_members(value, root, text);
    });
}

/// An operator and its opposite are never both answered with yes, and neither is for what is not there.
void check_opposites(json::Value root, std::string_view path, const std::vector<std::string_view>& values) {
    constexpr std::string_view opposites[][2] = {{"=", "!="}, {"in", "!in"}, {"contains", "!contains"}};
    for (const auto& [plain, negated] : opposites) {
        const bool one = plain != "in";
        std::vector<std::string_view> words = {path, plain};
        words.insert(words.end(), values.begin(), one ? values.begin() + 1 : values.end());
        const auto positive = parse_condition(words);
        words[1] = negated;
        const auto negative = parse_condition(words);
        if (!positive || !negative) {
            continue;
        }
        const std::span given = std::span<const std::string_view>(words).subspan(2);
        const bool yes = holds(*positive, root, given);
        const bool no = holds(*negative, root, given);
        const auto value = positive->path.find(root);
        check(!(yes && no));
        check((value && value->type() != json::Type::null) || (!yes && !no));
        check(!given.front().empty() || !one || (!yes && !no));
    }
    for (const std::string_view op : {"<", "<=", ">", ">="}) {
        const std::string_view words[] = {path, op, values.front()};
        if (const auto condition = parse_condition(words)) {
            const bool makes_sense = !problem_of_value(condition->op, values.front());
            check(makes_sense || !holds(*condition, root, std::span(words).subspan(2)));
        }
    }
}

}  // namespace

/// A path, two values, and a JSON object, apart by line ends.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    std::vector<std::string_view> lines;
    while (lines.size() < 3) {
        const std::size_t end = rest.find('\n');
        if (end == std::string_view::npos) {
            return 0;
        }
        lines.push_back(rest.substr(0, end));
        rest.remove_prefix(end + 1);
    }
    json::Parser parser;
    json::Document document;
    const auto root = parser.parse_object(rest, document);
    if (!root) {
        return 0;
    }
    check_members(*root, *root, "");
    check_opposites(*root, lines[0], {lines[1], lines[2]});
    return 0;
}
