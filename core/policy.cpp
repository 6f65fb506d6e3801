#include "policy.hpp"

#include <algorithm>
#include <array>

#include "condition.hpp"
#include "signature.hpp"

namespace jwt {
namespace {

using Finding = std::optional<Error>;

[[nodiscard]] bool contains(const std::vector<std::string>& texts, std::string_view text) noexcept {
    return std::find(texts.begin(), texts.end(), text) != texts.end();
}

// Times are compared as doubles: no sum of finite claims and leeways overflows to a wrong side, and NumericDates may
// have fractions (RFC 7519 §2).
[[nodiscard]] double seconds(Time time) noexcept {
    return static_cast<double>(time.time_since_epoch().count()) / 1000.0;
}

/// The members that check_claims looks at, found in one pass over the payload: every request pays for it.
struct Claims {
    using Claim = std::optional<json::Value>;
    Claim iat, nbf, exp, iss, aud, sub, jti, type, csrf, identity;

    Claims(json::Value payload, std::string_view identity_claim) {
        payload.each_member([&](std::string_view name, json::Value value) {
            if (Claim* const claim = named(name)) {
                *claim = value;
            }
            if (name == identity_claim) {
                identity = value;
            }
        });
    }

private:
    [[nodiscard]] Claim* named(std::string_view name) noexcept {
        if (name.size() == 4) {
            return name == "type" ? &type : name == "csrf" ? &csrf : nullptr;
        }
        if (name.size() != 3) {
            return nullptr;
        }
        switch (name.front()) {
            case 'i':
                return name == "iat" ? &iat : name == "iss" ? &iss : nullptr;
            case 'n':
                return name == "nbf" ? &nbf : nullptr;
            case 'e':
                return name == "exp" ? &exp : nullptr;
            case 'a':
                return name == "aud" ? &aud : nullptr;
            case 's':
                return name == "sub" ? &sub : nullptr;
            case 'j':
                return name == "jti" ? &jti : nullptr;
            default:
                return nullptr;
        }
    }
};

/// RFC 7519 §4.1.5 and §4.1.6: a time that must not lie ahead. Anything but a number is refused, never ignored.
[[nodiscard]] Finding check_past(const Claims::Claim& value, double latest, Error type, Error future) {
    if (!value) {
        return std::nullopt;
    }
    const std::optional<double> time = value->number();
    if (!time) {
        return type;
    }
    return *time > latest ? Finding(future) : std::nullopt;
}

[[nodiscard]] Finding check_string(const Claims::Claim& value, Error type) {
    return value && value->type() != json::Type::string ? Finding(type) : std::nullopt;
}

/// RFC 7519 §4.1.1.
[[nodiscard]] Finding check_issuer(const Claims::Claim& value, const std::vector<std::string>& issuers) {
    if (!value) {
        return issuers.empty() ? std::nullopt : Finding(Error::iss_missing);
    }
    const std::optional<std::string_view> issuer = value->string();
    if (!issuer) {
        return Error::iss_type;
    }
    return issuers.empty() || contains(issuers, *issuer) ? std::nullopt : Finding(Error::iss_mismatch);
}

/// Null, "" and [] name nobody.
[[nodiscard]] bool names_nobody(json::Value audience) noexcept {
    return audience.type() == json::Type::null || (audience.type() == json::Type::array && audience.size() == 0) ||
           audience.string() == std::string_view();
}

/// RFC 7519 §4.1.3.
[[nodiscard]] Finding check_audience(const Claims::Claim& value, const std::vector<std::string>& audiences) {
    if (!audiences.empty() && (!value || names_nobody(*value))) {
        return Error::aud_missing;
    }
    if (!value) {
        return std::nullopt;
    }
    bool matches = audiences.empty();
    if (const std::optional<std::string_view> audience = value->string()) {
        matches = matches || contains(audiences, *audience);
    } else if (value->type() == json::Type::array) {
        bool strings = true;
        value->each_element([&](json::Value element) {
            const std::optional<std::string_view> text = element.string();
            strings = strings && text;
            matches = matches || (text && contains(audiences, *text));
        });
        if (!strings) {
            return Error::aud_type;
        }
    } else {
        return Error::aud_type;
    }
    return matches ? std::nullopt : Finding(Error::aud_mismatch);
}

[[nodiscard]] bool matches_csrf(json::Value claim, std::string_view csrf) noexcept {
    const std::optional<std::string_view> text = claim.string();
    return text && equal_in_constant_time(*text, csrf);
}

/// Everything up to the claims that must be there.
[[nodiscard]] Finding check_registered(const Claims& claims, const Policy& policy, double latest) {
    if (const Finding error = check_past(claims.iat, latest, Error::iat_type, Error::iat_future)) {
        return error;
    }
    if (const Finding error = check_past(claims.nbf, latest, Error::nbf_type, Error::nbf_future)) {
        return error;
    }
    if (claims.exp && !claims.exp->number()) {
        return Error::exp_type;
    }
    if (const Finding error = check_issuer(claims.iss, policy.issuers)) {
        return error;
    }
    if (const Finding error = check_audience(claims.aud, policy.audiences)) {
        return error;
    }
    if (policy.verify_sub) {
        if (const Finding error = check_string(claims.sub, Error::sub_type)) {
            return error;
        }
    }
    if (const Finding error = check_string(claims.jti, Error::jti_type)) {
        return error;
    }
    return check_string(claims.type, Error::type_type);
}

}  // namespace

std::optional<Refusal> check_claims(json::Value payload, const Policy& policy, std::optional<std::string_view> csrf,
                                    Time now) {
    const double leeway = static_cast<double>(policy.leeway.count());
    const Claims claims(payload, policy.identity_claim);
    if (const Finding error = check_registered(claims, policy, seconds(now) + leeway)) {
        return refusal(*error);
    }
    if (!claims.identity) {
        return refusal(Error::claim_missing, policy.identity_claim);
    }
    if (csrf) {
        if (!claims.csrf) {
            return refusal(Error::claim_missing, "csrf");
        }
        if (!matches_csrf(*claims.csrf, *csrf)) {
            return refusal(Error::csrf_mismatch);
        }
    }
    if (policy.max_age && !claims.iat) {
        return refusal(Error::claim_missing, "iat");
    }
    // RFC 7519 §4.1.4: "on or after".
    if (claims.exp && *claims.exp->number() + leeway <= seconds(now)) {
        return refusal(Error::expired);
    }
    if (policy.max_age &&
        *claims.iat->number() + static_cast<double>(policy.max_age->count()) + leeway < seconds(now)) {
        return refusal(Error::too_old);
    }
    return std::nullopt;
}

std::optional<Refusal> check_profile(json::Value header, json::Value payload, Profile profile) {
    if (profile == Profile::none) {
        return std::nullopt;
    }
    // RFC 9068 §4: first of all the type, which tells an access token from an ID token of the same issuer.
    const std::optional<json::Value> typ = header.member("typ");
    const std::optional<std::string_view> type = typ ? typ->string() : std::nullopt;
    if (!type || !same_media_type(*type, "at+jwt")) {
        return refusal(Error::typ_mismatch);
    }
    constexpr std::array<std::string_view, 7> required = {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"};
    for (const std::string_view claim : required) {  // RFC 9068 §2.2
        if (!payload.member(claim)) {
            return refusal(Error::claim_missing, claim);
        }
    }
    // The types of the others are always looked at by check_claims.
    Finding error = check_string(payload.member("client_id"), Error::client_id_type);
    if (!error) {
        error = check_string(payload.member("sub"), Error::sub_type);
    }
    if (error) {
        return refusal(*error);
    }
    return std::nullopt;
}

std::optional<Refusal> check_demand(json::Value payload, const Demand& demand, Time now) {
    const bool refresh = token_type(payload) == "refresh";
    if (demand.use == TokenUse::access && refresh) {
        return refusal(Error::refresh_token_refused);
    }
    if (demand.use == TokenUse::refresh && !refresh) {
        return refusal(Error::refresh_token_required);
    }
    if (!demand.fresh) {
        return std::nullopt;
    }
    const json::Value fresh = payload.member("fresh").value_or(json::Value());
    const std::optional<double> until = fresh.number();
    if (fresh.boolean().value_or(false) || (until && *until >= seconds(now))) {
        return std::nullopt;
    }
    return refusal(Error::not_fresh);
}

std::string_view token_type(json::Value payload) noexcept {
    const std::optional<json::Value> type = payload.member("type");
    return type ? type->string().value_or(std::string_view()) : "access";
}

}  // namespace jwt
