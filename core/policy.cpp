#include "policy.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

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

using Found = std::optional<json::Value>;

/// Which no JSON number is stands for what is none.
[[nodiscard]] double number(const json::Value& value) noexcept {
    return value.number_or(std::numeric_limits<double>::quiet_NaN());
}

/// RFC 7519 §4.1.5 and §4.1.6: a time that must not lie ahead. Anything but a number is refused, never ignored.
[[nodiscard]] Finding check_past(const Found& value, double latest, Error type, Error future) {
    if (!value) {
        return std::nullopt;
    }
    const double time = number(*value);
    if (std::isnan(time)) {
        return type;
    }
    return time > latest ? Finding(future) : std::nullopt;
}

[[nodiscard]] Finding check_string(const Found& value, Error type) {
    return value && value->type() != json::Type::string ? Finding(type) : std::nullopt;
}

/// RFC 7519 §4.1.1.
[[nodiscard]] Finding check_issuer(const Found& value, const std::vector<std::string>& issuers) {
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
[[nodiscard]] Finding check_audience(const Found& value, const std::vector<std::string>& audiences) {
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
    if (const Finding error = check_past(claims[Claim::iat], latest, Error::iat_type, Error::iat_future)) {
        return error;
    }
    if (const Finding error = check_past(claims[Claim::nbf], latest, Error::nbf_type, Error::nbf_future)) {
        return error;
    }
    if (const Found exp = claims[Claim::exp]; exp && std::isnan(number(*exp))) {
        return Error::exp_type;
    }
    if (const Finding error = check_issuer(claims[Claim::iss], policy.issuers)) {
        return error;
    }
    if (const Finding error = check_audience(claims[Claim::aud], policy.audiences)) {
        return error;
    }
    if (policy.verify_sub) {
        if (const Finding error = check_string(claims[Claim::sub], Error::sub_type)) {
            return error;
        }
    }
    if (const Finding error = check_string(claims[Claim::jti], Error::jti_type)) {
        return error;
    }
    return check_string(claims[Claim::type], Error::type_type);
}

}  // namespace

std::optional<Refusal> check_claims(const Claims& claims, const Policy& policy, std::optional<std::string_view> csrf,
                                    Time now) {
    const double leeway = static_cast<double>(policy.leeway.count());
    if (const Finding error = check_registered(claims, policy, seconds(now) + leeway)) {
        return refusal(*error);
    }
    if (!claims.named(policy.identity_claim)) {
        return refusal(Error::claim_missing, policy.identity_claim);
    }
    if (csrf) {
        const Found claim = claims[Claim::csrf];
        if (!claim) {
            return refusal(Error::claim_missing, "csrf");
        }
        if (!matches_csrf(*claim, *csrf)) {
            return refusal(Error::csrf_mismatch);
        }
    }
    if (policy.max_age && !claims[Claim::iat]) {
        return refusal(Error::claim_missing, "iat");
    }
    // RFC 7519 §4.1.4: "on or after".
    if (const Found exp = claims[Claim::exp]; exp && number(*exp) + leeway <= seconds(now)) {
        return refusal(Error::expired);
    }
    if (policy.max_age &&
        number(*claims[Claim::iat]) + static_cast<double>(policy.max_age->count()) + leeway < seconds(now)) {
        return refusal(Error::too_old);
    }
    return std::nullopt;
}

std::optional<Refusal> check_profile(json::Value header, const Claims& claims, Profile profile) {
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
        if (!claims.named(claim)) {
            return refusal(Error::claim_missing, claim);
        }
    }
    // The types of the others are always looked at by check_claims.
    Finding error = check_string(claims.named("client_id"), Error::client_id_type);
    if (!error) {
        error = check_string(claims[Claim::sub], Error::sub_type);
    }
    if (error) {
        return refusal(*error);
    }
    return std::nullopt;
}

std::optional<Refusal> check_demand(const Claims& claims, const Demand& demand, Time now) {
    const bool refresh = token_type(claims) == "refresh";
    if (demand.use == TokenUse::access && refresh) {
        return refusal(Error::refresh_token_refused);
    }
    if (demand.use == TokenUse::refresh && !refresh) {
        return refusal(Error::refresh_token_required);
    }
    if (!demand.fresh) {
        return std::nullopt;
    }
    const json::Value fresh = claims[Claim::fresh].value_or(json::Value());
    const std::optional<double> until = fresh.number();
    if (fresh.boolean().value_or(false) || (until && *until >= seconds(now))) {
        return std::nullopt;
    }
    return refusal(Error::not_fresh);
}

}  // namespace jwt
