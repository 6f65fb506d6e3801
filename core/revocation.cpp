#include "revocation.hpp"

#include <algorithm>
#include <cmath>

#include "base64url.hpp"

namespace jwt::revocation {

namespace {

struct KindWord {
    Kind kind;
    std::string_view word;
};

constexpr std::array kind_words{
    KindWord{Kind::token, "token"},     KindWord{Kind::digest, "digest"}, KindWord{Kind::family, "family"},
    KindWord{Kind::subject, "subject"}, KindWord{Kind::key, "key"},       KindWord{Kind::all, "all"},
};

constexpr std::size_t name_size = 15;
constexpr std::size_t issuer_start = 1 + name_size;
constexpr std::string_view digits = "0123456789abcdef";

using IssuerPart = std::array<unsigned char, 8>;

std::string_view view(const Sha256::Hash& hash) noexcept {
    return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

constexpr char first_byte(Kind kind) noexcept {
    return static_cast<char>(kind);
}

constexpr char first_byte(Issuer::Scope scope) noexcept {
    return scope == Issuer::Scope::named ? '\1' : '\0';
}

Sha256::Hash hash_of(Sha256& sha256, char first, std::string_view name) {
    return sha256({std::string_view(&first, 1), name});
}

IssuerPart issuer_part(const Sha256::Hash& hash) noexcept {
    IssuerPart part{};
    std::copy_n(hash.begin(), part.size(), part.begin());
    return part;
}

Id make_id(Kind kind, const Sha256::Hash& name, const IssuerPart& issuer) noexcept {
    Id result{};
    result[0] = static_cast<unsigned char>(kind);
    std::copy_n(name.begin(), name_size, result.begin() + 1);
    std::copy_n(issuer.begin(), issuer.size(), result.begin() + issuer_start);
    return result;
}

std::optional<std::string_view> text_claim(json::Value payload, std::string_view claim) noexcept {
    const auto value = payload.member(claim);
    return value ? value->string() : std::nullopt;
}

/// A `jti` that tells tokens apart: an empty one does not.
std::optional<std::string_view> jti(json::Value payload) noexcept {
    const auto text = text_claim(payload, "jti");
    return text && !text->empty() ? text : std::nullopt;
}

/// In milliseconds, rounded down; the earliest time for what no clock says.
std::int64_t issued_at(json::Value payload) noexcept {
    const auto iat = payload.member("iat");
    const auto seconds = iat ? iat->number() : std::nullopt;
    constexpr double limit = 9e15;
    if (!seconds || !(std::abs(*seconds) < limit / 1000)) {
        return INT64_MIN;
    }
    return static_cast<std::int64_t>(std::floor(*seconds * 1000));
}

int digit_value(char c) noexcept {
    const std::size_t value = digits.find(c);
    return value == std::string_view::npos ? -1 : static_cast<int>(value);
}

/// The later of two ends, where nothing means never.
std::optional<Time> latest(const std::optional<Time>& one, const std::optional<Time>& other) {
    return one && other ? std::optional(std::max(*one, *other)) : std::nullopt;
}

}  // namespace

std::string_view word(Kind kind) noexcept {
    const auto* found = std::find_if(kind_words.begin(), kind_words.end(),
                                     [kind](const KindWord& known) { return known.kind == kind; });
    return found == kind_words.end() ? std::string_view() : found->word;
}

std::optional<Kind> kind_named(std::string_view word) noexcept {
    const auto* found = std::find_if(kind_words.begin(), kind_words.end(),
                                     [word](const KindWord& known) { return known.word == word; });
    return found == kind_words.end() ? std::nullopt : std::optional(found->kind);
}

Issuer Issuer::of(json::Value payload) {
    const auto iss = text_claim(payload, "iss");
    return iss ? named(std::string(*iss)) : Issuer{Scope::none};
}

Target Target::of(json::Value payload, std::string_view signing_input) {
    if (const auto name = jti(payload)) {
        return {Kind::token, std::string(*name), Issuer::of(payload)};
    }
    return {Kind::digest, digest_name(signing_input), {}};
}

std::string digest_name(std::string_view signing_input) {
    Sha256 sha256;
    return base64url::encode(view(sha256({signing_input})));
}

Id id(const Target& target) {
    Sha256 sha256;
    const Issuer& issuer = target.issuer;
    return make_id(target.kind, hash_of(sha256, first_byte(target.kind), target.name),
                   issuer.scope == Issuer::Scope::any
                       ? IssuerPart{}
                       : issuer_part(hash_of(sha256, first_byte(issuer.scope), issuer.name)));
}

std::string text(const Id& id) {
    std::string result;
    for (const unsigned char byte : id) {
        result += digits[byte >> 4U];
        result += digits[byte & 0xfU];
    }
    return result;
}

std::optional<Id> id_from_text(std::string_view text) noexcept {
    Id result{};
    if (text.size() != 2 * result.size()) {
        return std::nullopt;
    }
    for (std::size_t i = 0; i < result.size(); ++i) {
        const int high = digit_value(text[2 * i]);
        const int low = digit_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return std::nullopt;
        }
        result[i] = static_cast<unsigned char>(high * 16 + low);
    }
    return result;
}

Record merged(const Record& one, const Record& other) {
    const bool same_time = one.version == other.version;
    // A tie is revoked: nobody is let in by an accident of clocks.
    const bool other_wins = same_time ? one.removed && !other.removed : other.version > one.version;
    const Record& winner = other_wins ? other : one;
    const Record& loser = other_wins ? one : other;
    Record result = winner;
    if (one.removed == other.removed) {
        result.expires = latest(one.expires, other.expires);
        result.before = latest(one.before, other.before);
    }
    if (result.name.empty()) {
        result.name = loser.name;
        result.issuer = loser.issuer;
    }
    return result;
}

const Sha256::Hash& Fingerprints::hash_of(Last& last, char first, std::string_view name) {
    if (last.first != first || last.name != name) {
        last.first.reset();
        last.name = name;
        last.hash = revocation::hash_of(sha256_, first, name);
        last.first = first;
    }
    return last.hash;
}

Fingerprint Fingerprints::of(json::Value payload, std::optional<std::string_view> kid, std::string_view signing_input,
                             std::string_view subject_claim) {
    const auto hashed = [this](Kind kind, std::string_view name) {
        return revocation::hash_of(sha256_, first_byte(kind), name);
    };
    Fingerprint result;
    auto& [token, family, subject, key, all] = result.ids;
    const auto iss = text_claim(payload, "iss");
    const Issuer::Scope scope = iss ? Issuer::Scope::named : Issuer::Scope::none;
    const IssuerPart issuer = issuer_part(hash_of(issuer_, first_byte(scope), iss.value_or(std::string_view())));
    if (const auto name = jti(payload)) {
        token = make_id(Kind::token, hashed(Kind::token, *name), issuer);
    } else {
        const std::string digest = base64url::encode(view(sha256_({signing_input})));
        token = make_id(Kind::digest, hashed(Kind::digest, digest), IssuerPart{});
    }
    if (const auto sid = text_claim(payload, "sid")) {
        family = make_id(Kind::family, hashed(Kind::family, *sid), issuer);
    }
    if (const auto sub = payload.member(subject_claim)) {
        const auto string = sub->string();
        const auto name = string ? hashed(Kind::subject, *string) : hashed(Kind::subject, sub->text());
        subject = make_id(Kind::subject, name, issuer);
    }
    if (kid) {
        key = make_id(Kind::key, hash_of(key_, first_byte(Kind::key), *kid), issuer);
    }
    all = make_id(Kind::all, hash_of(all_, first_byte(Kind::all), {}), issuer);
    result.issued_at = issued_at(payload);
    return result;
}

const Fingerprint& Fingerprints::of(const AuthenticToken& token, std::string_view subject_claim) {
    FingerprintMemo* const memo = token.fingerprint_memo();
    if (memo != nullptr && memo->subject_claim_size != 0 &&
        std::string_view(memo->subject_claim.data(), memo->subject_claim_size) == subject_claim) {
        return memo->fingerprint;
    }
    made_ = of(token.payload(), token.kid(), token.signing_input(), subject_claim);
    if (memo != nullptr && subject_claim.size() <= memo->subject_claim.size()) {
        memo->fingerprint = made_;
        memo->subject_claim_size = static_cast<std::uint8_t>(subject_claim.size());
        std::copy(subject_claim.begin(), subject_claim.end(), memo->subject_claim.begin());
        return memo->fingerprint;
    }
    return made_;
}

Fingerprint fingerprint(json::Value payload, std::optional<std::string_view> kid, std::string_view signing_input,
                        std::string_view subject_claim) {
    return Fingerprints().of(payload, kid, signing_input, subject_claim);
}

Fingerprint fingerprint(const Target& target) {
    Fingerprint result;
    result.ids[0] = id(target);
    return result;
}

}  // namespace jwt::revocation
