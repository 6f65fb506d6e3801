#include <string>

#include "base64url.hpp"
#include "check.hpp"
#include "verifier.hpp"

using namespace jwt;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = text_of(data, size);
    Verifier verifier;
    auto token = verifier.parse(text);
    if (!token) {
        check(!word(token.error().error).empty() && !token.error().message.empty());
        return 0;
    }
    check(size <= max_token_size);
    check(token->text() == text);
    const std::size_t first = text.find('.');
    const std::size_t second = text.find('.', first + 1);
    check(token->signing_input() == text.substr(0, second));
    check(base64url::encode(token->signature()) == text.substr(second + 1));

    // Each segment is the one spelling of its bytes, and those are the object that the token shows.
    const auto segment_is = [](std::string_view segment, json::Value value) {
        const auto bytes = base64url::decode(segment);
        check(bytes && base64url::encode(*bytes) == segment);
        json::Parser parser;
        json::Document document;
        const auto object = parser.parse_object(*bytes, document);
        check(object && object->text() == value.text());
    };
    segment_is(text.substr(0, first), token->header());
    segment_is(text.substr(first + 1, second - first - 1), token->payload());

    check(!token->header().member("crit") && !token->header().member("b64"));

    const UnverifiedToken moved = *std::move(token);
    check(moved.text() == text && moved.signing_input() == text.substr(0, second));
    return 0;
}
