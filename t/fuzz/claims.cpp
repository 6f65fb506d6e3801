#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "check.hpp"
#include "policy.hpp"

using namespace jwt;

namespace {

struct Question {
    Policy policy;
    Demand demand;
    Time now;
};

/// Four bytes choose what is asked.
Question question(const std::uint8_t* data) {
    Question q;
    if ((data[0] & 1U) != 0) {
        q.policy.audiences = {"api", "other"};
    }
    if ((data[0] & 2U) != 0) {
        q.policy.issuers = {"https://idp"};
    }
    q.policy.verify_sub = (data[0] & 4U) == 0;
    q.policy.identity_claim = (data[0] & 8U) == 0 ? "sub" : "user_id";
    if ((data[0] & 16U) != 0) {
        q.demand.csrf = (data[0] & 32U) == 0 ? "abc" : "";
    }
    q.demand.fresh = (data[0] & 64U) != 0;
    q.demand.use = static_cast<TokenUse>(data[1] % 3);
    q.policy.leeway = std::chrono::seconds(data[2] % 4 * 30);
    q.now = Time(std::chrono::milliseconds(std::int64_t{1'700'000'000'000} + data[3]));
    return q;
}

std::optional<std::string> text(const std::optional<json::Value>& value) {
    return value && value->string() ? std::optional(std::string(*value->string())) : std::nullopt;
}

bool among(const std::vector<std::string>& texts, const std::string& text) {
    return std::count(texts.begin(), texts.end(), text) > 0;
}

/// Whether `a` lies behind `now` by more than `leeway` milliseconds, in whole and broken milliseconds.
bool later(double a, std::int64_t now, std::int64_t leeway) {
    return static_cast<long double>(a) * 1000 > static_cast<long double>(now + leeway);
}

std::optional<Error> audience_error(json::Value aud, const std::vector<std::string>& wanted) {
    const std::string written = aud.text();
    if (!wanted.empty() && (written == "null" || written == "\"\"" || written == "[]")) {
        return Error::aud_missing;
    }
    std::vector<std::string> names;
    if (const auto name = text(aud)) {
        names.push_back(*name);
    } else if (aud.type() != json::Type::array) {
        return Error::aud_type;
    }
    bool foreign = false;
    aud.each_element([&](json::Value element) {
        const auto name = text(element);
        foreign |= !name;
        names.push_back(name.value_or(""));
    });
    if (foreign) {
        return Error::aud_type;
    }
    const bool met = std::any_of(names.begin(), names.end(), [&](const auto& name) { return among(wanted, name); });
    return wanted.empty() || met ? std::nullopt : std::optional(Error::aud_mismatch);
}

/// Every rule that a payload breaks, in no order; what is reported must be the first of these in the documented order.
std::vector<Error> broken(json::Value payload, const Question& q) {
    const auto claim = [payload](std::string_view name) { return payload.member(name); };
    const std::int64_t now = q.now.time_since_epoch().count();
    const std::int64_t leeway = q.policy.leeway.count() * 1000;
    std::vector<Error> errors;
    const auto rule = [&errors](bool breaks, Error error) {
        if (breaks) {
            errors.push_back(error);
        }
    };
    rule(claim("exp") && claim("exp")->number() && !later(*claim("exp")->number(), now, -leeway), Error::expired);
    rule(claim("exp") && !claim("exp")->number(), Error::exp_type);
    rule(claim("nbf") && claim("nbf")->number() && later(*claim("nbf")->number(), now, leeway), Error::nbf_future);
    rule(claim("nbf") && !claim("nbf")->number(), Error::nbf_type);
    rule(claim("iat") && claim("iat")->number() && later(*claim("iat")->number(), now, leeway), Error::iat_future);
    rule(claim("iat") && !claim("iat")->number(), Error::iat_type);
    rule(claim("type") && !text(claim("type")), Error::type_type);
    rule(claim("jti") && !text(claim("jti")), Error::jti_type);
    rule(q.policy.verify_sub && claim("sub") && !text(claim("sub")), Error::sub_type);
    rule(!claim("iss") && !q.policy.issuers.empty(), Error::iss_missing);
    rule(claim("iss") && !text(claim("iss")), Error::iss_type);
    rule(text(claim("iss")) && !q.policy.issuers.empty() && !among(q.policy.issuers, *text(claim("iss"))),
         Error::iss_mismatch);
    rule(!claim("aud") && !q.policy.audiences.empty(), Error::aud_missing);
    const auto audience = claim("aud") ? audience_error(*claim("aud"), q.policy.audiences) : std::nullopt;
    rule(audience.has_value(), audience.value_or(Error::aud_type));
    rule(!claim(q.policy.identity_claim), Error::claim_missing);
    rule(q.demand.csrf && !claim("csrf"), Error::claim_missing);
    rule(q.demand.csrf && claim("csrf") && text(claim("csrf")) != std::string(*q.demand.csrf), Error::csrf_mismatch);
    return errors;
}

constexpr Error order[] = {
    Error::iat_type,      Error::iat_future, Error::nbf_type,     Error::nbf_future,  Error::exp_type,
    Error::iss_missing,   Error::iss_type,   Error::iss_mismatch, Error::aud_missing, Error::aud_type,
    Error::aud_mismatch,  Error::sub_type,   Error::jti_type,     Error::type_type,   Error::claim_missing,
    Error::csrf_mismatch, Error::expired,
};

std::optional<Error> expected_demand(json::Value payload, const Question& q) {
    const auto type = text(payload.member("type"));
    if (q.demand.use == TokenUse::access && type == "refresh") {
        return Error::refresh_token_refused;
    }
    if (q.demand.use == TokenUse::refresh && type != "refresh") {
        return Error::refresh_token_required;
    }
    const auto fresh = payload.member("fresh");
    const bool forever = fresh && fresh->text() == "true";
    const bool until = fresh && fresh->number() &&
                       static_cast<long double>(*fresh->number()) * 1000 >= q.now.time_since_epoch().count();
    return q.demand.fresh && !forever && !until ? std::optional(Error::not_fresh) : std::nullopt;
}

/// Times so close to a millisecond's edge that double and long double may differ are left out.
bool near_edge(json::Value payload) {
    bool near = false;
    for (const std::string_view name : {"exp", "nbf", "iat", "fresh"}) {
        const auto value = payload.member(name);
        const double milliseconds = value && value->number() ? *value->number() * 1000 : 0.5;
        const double distance = std::abs(milliseconds - std::round(milliseconds));
        near = near || (distance != 0 && distance < 0.01);
        near = near || (value && value->type() == json::Type::number && !value->integer() && distance == 0);
    }
    return near;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) {
        return 0;
    }
    const Question q = question(data);
    json::Parser parser;
    json::Document document;
    const auto payload = parser.parse_object(text_of(data + 4, size - 4), document);
    if (!payload || near_edge(*payload)) {
        return 0;
    }
    const std::vector<Error> errors = broken(*payload, q);
    const auto* first = std::find_first_of(std::begin(order), std::end(order), errors.begin(), errors.end());
    const auto claims = check_claims(Claims(*payload), q.policy, q.demand.csrf, q.now);
    check(claims.has_value() == (first != std::end(order)));
    if (claims) {
        check(claims->error == *first);
        return 0;
    }
    const auto demanded = check_demand(Claims(*payload), q.demand, q.now);
    const auto wanted = expected_demand(*payload, q);
    check(demanded.has_value() == wanted.has_value() && (!demanded || demanded->error == *wanted));
    return 0;
}
