#include <string>
#include <string_view>

#include "../base64url.hpp"
#include "../jws.hpp"
#include "../signature.hpp"
#include "batch.hpp"
#include "command.hpp"

namespace jwt::command {
namespace {

/// The string members of a line.
struct Line {
    std::optional<std::string_view> token;
    std::optional<std::string_view> alg;
    std::optional<std::string_view> input;
    std::optional<std::string_view> signature;
};

[[nodiscard]] std::optional<Line> read_line(json::Value object) {
    const auto text = [object](std::string_view name) {
        const auto member = object.member(name);
        return member ? member->string() : std::nullopt;
    };
    const Line line{text("token"), text("alg"), text("input"), text("signature")};
    const bool has_signature = line.alg && line.input && line.signature;
    // Both forms in one line would leave open which of them the verdict is about.
    if (!object.member("jwk") || (line.token && (object.member("input") || object.member("signature"))) ||
        (!line.token && !has_signature)) {
        return std::nullopt;
    }
    return line;
}

[[nodiscard]] Verdict judge_signature(const Line& line, const KeySet& keys) {
    auto input = base64url::decode(*line.input);
    if (!input) {
        return invalid(input_word);
    }
    const auto algorithm = algorithm_named(*line.alg);
    if (!algorithm || !keys.verifies().has(*algorithm)) {
        return invalid(word(Error::algorithm_not_allowed));
    }
    const auto signature = jws::decoded_signature(*line.signature);
    if (!signature) {
        return invalid(word(signature.error().error));
    }
    for (const Key* key : keys.candidates(*algorithm, std::nullopt)) {
        if (signature_matches(*key, *algorithm, *input, *signature)) {
            return *std::move(input);
        }
    }
    return invalid(word(Error::signature));
}

[[nodiscard]] Verdict judge(json::Value object, json::Parser& parser) {
    const auto line = read_line(object);
    if (!line) {
        return invalid(input_word);
    }
    const auto keys = KeySet::from_json(*object.member("jwk"));
    if (!keys || keys->verifies().empty()) {
        return invalid(key_word);
    }
    if (!line->token) {
        return judge_signature(*line, *keys);
    }
    return jws::authentic_payload(*line->token, *keys, keys->verifies(), parser).map_error([](const Refusal& refused) {
        return word(refused.error);
    });
}

}  // namespace

Result<Exit> verify_batch(const Arguments& arguments) {
    return judge_lines(arguments, judge, "payload");
}

}  // namespace jwt::command
