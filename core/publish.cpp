#include "publish.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "json.hpp"
#include "key_material.hpp"

namespace jwt {
namespace {

/// A key on its way into a set.
struct Public {
    std::string thumbprint;
    std::optional<std::string> kid;
    std::string jwk;
};

/// Whether two entries are one key: one of them may lack the kid, as a PEM does.
bool repeats(const Public& a, const Public& b) {
    return a.thumbprint == b.thumbprint && (!a.kid || !b.kid || a.kid == b.kid);
}

bool is_loopback(std::string_view host) noexcept {
    return host == "localhost" || host == "127.0.0.1" || host == "[::1]";
}

/// An absolute URL by https; http only to the machine itself, for trying things out.
bool is_url(std::string_view text) {
    const auto is_foreign = [](char c) {
        return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '"' || c == '<' || c == '>' || c == '\\';
    };
    if (std::any_of(text.begin(), text.end(), is_foreign)) {
        return false;
    }
    const std::size_t start = text.starts_with("https://") ? 8 : text.starts_with("http://") ? 7 : 0;
    const std::string_view rest = text.substr(start);
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
    const std::size_t address_end = authority.starts_with('[') ? authority.find(']') : 0;  // of IPv6
    const std::string_view host = authority.substr(0, authority.find(':', std::min(address_end, authority.size())));
    return start != 0 && !host.empty() && (start == 8 || is_loopback(host));
}

bool is_name(std::string_view name) noexcept {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
}

/// "a,b" as ["a","b"]; nothing where a part of it is empty.
std::optional<std::string> list_text(std::string_view list) {
    std::string text = "[";
    while (true) {
        const std::size_t comma = std::min(list.find(','), list.size());
        if (comma == 0) {
            return std::nullopt;
        }
        json::append_string(text, list.substr(0, comma));
        if (comma == list.size()) {
            return text + ']';
        }
        text += ',';
        list.remove_prefix(comma + 1);
    }
}

/// The JSON text of a member.
tl::expected<std::string, std::string> value_text(const DiscoveryMember& member) {
    const auto& [name, value] = member;
    if (!is_name(name)) {
        return tl::unexpected(quoted(name) + " is no name of a member: write NAME=VALUE, as in " +
                              "token_endpoint=https://id.example/token");
    }
    if (name == "issuer" || name == "id_token_signing_alg_values_supported") {
        return tl::unexpected(quoted(name) + " is that of the tokens: write " +
                              (name == "issuer" ? "jwt_encode_issuer" : "jwt_algorithm"));
    }
    if (!json::valid_utf8(value) || value.empty()) {
        return tl::unexpected("member " + quoted(name) + " has no value: write " + name + "=VALUE");
    }
    if (value == "true" || value == "false") {
        return value;
    }
    if (name.ends_with("_supported")) {
        auto list = list_text(value);
        if (!list) {
            return tl::unexpected("member " + quoted(name) + " is a list: write its words with commas, as in " + name +
                                  "=one,two");
        }
        return *std::move(list);
    }
    if ((name.ends_with("_uri") || name.ends_with("_endpoint")) && !is_url(value)) {
        return tl::unexpected(name + " " + quoted(value) + " is no URL that begins with https://");
    }
    std::string text;
    json::append_string(text, value);
    return text;
}

void append_member(std::string& out, std::string_view name, std::string_view json_text) {
    out += out == "{" ? "\n  " : ",\n  ";
    json::append_string(out, name);
    out.append(": ").append(json_text);
}

std::string list_of(std::string_view text) {
    std::string list = "[";
    json::append_string(list, text);
    return list + ']';
}

}  // namespace

tl::expected<std::string, KeyError> public_key_set(const KeySet& keys) {
    std::vector<Public> entries;
    for (const auto& key : keys.keys()) {
        auto jwk = key->public_jwk();
        if (!jwk) {
            continue;
        }
        Public entry{thumbprint(key->material()), std::nullopt, *std::move(jwk)};
        if (const auto kid = key->kid()) {
            entry.kid = *kid;
        }
        const auto known = std::find_if(entries.begin(), entries.end(),
                                        [&](const Public& earlier) { return repeats(earlier, entry); });
        if (known == entries.end()) {
            entries.push_back(std::move(entry));
        } else if (!known->kid && entry.kid) {
            *known = std::move(entry);
        }
    }
    std::string out = "{\"keys\":[";
    std::vector<std::string_view> kids;
    for (const Public& entry : entries) {
        if (entry.kid && std::find(kids.begin(), kids.end(), *entry.kid) != kids.end()) {
            return tl::unexpected(
                KeyError{"are two of one kid, " + quoted(*entry.kid) + ": give each a kid of its own"});
        }
        if (entry.kid) {
            kids.push_back(*entry.kid);
        }
        out.append(out.ends_with('[') ? "\n" : ",\n").append(entry.jwk);
    }
    if (entries.empty()) {
        return tl::unexpected(KeyError{"have no public half: write jwt_private_key for RS256, ES256 or EdDSA"});
    }
    return out + "\n]}\n";
}

tl::expected<std::string, std::string> discovery_document(std::string_view issuer, Algorithm algorithm,
                                                          std::span<const DiscoveryMember> members) {
    // OpenID Connect Discovery §3: "no query or fragment component".
    if (!is_url(issuer) || issuer.find_first_of("?#") != std::string_view::npos) {
        return tl::unexpected("issuer " + quoted(issuer) + " is no URL that begins with https:// and has neither " +
                              "query nor fragment: correct jwt_encode_issuer");
    }
    std::string out = "{";
    std::string issuer_text;
    json::append_string(issuer_text, issuer);
    append_member(out, "issuer", issuer_text);
    std::vector<std::string_view> names;
    for (const DiscoveryMember& member : members) {
        const auto text = value_text(member);
        if (!text) {
            return tl::unexpected(text.error());
        }
        if (std::find(names.begin(), names.end(), member.first) != names.end()) {
            return tl::unexpected("member " + quoted(member.first) + " is given twice");
        }
        names.push_back(member.first);
        append_member(out, member.first, *text);
    }
    const auto given = [&](std::string_view name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (!given("jwks_uri")) {
        return tl::unexpected<std::string>(
            "says not where the keys are: write jwks_uri=https://… with the URL of the location of jwt_jwks");
    }
    if (!given("response_types_supported")) {
        append_member(out, "response_types_supported", list_of("id_token"));
    }
    if (!given("subject_types_supported")) {
        append_member(out, "subject_types_supported", list_of("public"));
    }
    append_member(out, "id_token_signing_alg_values_supported", list_of(name(algorithm)));
    return out + "\n}\n";
}

}  // namespace jwt
