#include "claims.hpp"

#include <cstring>

namespace jwt {
namespace {

/// Comparison with a name whose length the compiler knows: no call is left of it.
template <std::size_t Size>
[[nodiscard]] bool is(std::string_view name, const char (&wanted)[Size]) noexcept {
    return name.size() == Size - 1 && std::memcmp(name.data(), wanted, Size - 1) == 0;
}

[[nodiscard]] std::optional<Claim> claim_named(std::string_view name) noexcept {
    using Found = std::optional<Claim>;
    if (name.size() < 3 || name.size() > 5) {
        return std::nullopt;
    }
    switch (name.front()) {
        case 'i':
            return is(name, "iat") ? Claim::iat : is(name, "iss") ? Found(Claim::iss) : std::nullopt;
        case 's':
            return is(name, "sub") ? Found(Claim::sub) : std::nullopt;
        case 'a':
            return is(name, "aud") ? Found(Claim::aud) : std::nullopt;
        case 'e':
            return is(name, "exp") ? Found(Claim::exp) : std::nullopt;
        case 'n':
            return is(name, "nbf") ? Found(Claim::nbf) : std::nullopt;
        case 'j':
            return is(name, "jti") ? Found(Claim::jti) : std::nullopt;
        case 't':
            return is(name, "type") ? Found(Claim::type) : std::nullopt;
        case 'c':
            return is(name, "csrf") ? Found(Claim::csrf) : std::nullopt;
        case 'f':
            return is(name, "fresh") ? Found(Claim::fresh) : std::nullopt;
        default:
            return std::nullopt;
    }
}

}  // namespace

Claims::Claims(json::Value payload) noexcept : payload_(payload) {
    for (json::Items members(payload); members.of_object() && members.next();) {
        if (const auto claim = claim_named(members.name())) {
            places_[static_cast<std::size_t>(*claim)] = members.place();
        }
    }
}

std::optional<json::Value> Claims::named(std::string_view name) const noexcept {
    const auto claim = claim_named(name);
    return claim ? (*this)[*claim] : payload_.member(name);
}

std::string_view token_type(const Claims& claims) noexcept {
    const std::optional<json::Value> type = claims[Claim::type];
    return type ? type->string().value_or(std::string_view()) : "access";
}

}  // namespace jwt
