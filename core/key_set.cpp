#include <algorithm>
#include <utility>

#include "key_material.hpp"
#include "key_pem.hpp"
#include "random.hpp"

namespace jwt {

namespace {

using KeySetResult = tl::expected<KeySet, KeyError>;

void complain(std::vector<std::string>* complaints, std::string text) {
    if (complaints != nullptr) {
        complaints->push_back(std::move(text));
    }
}

KeySetResult set_of_one(KeyResult key) {
    return std::move(key).map([](std::shared_ptr<const Key>&& only) {
        KeySet set;
        set.add(std::move(only));
        return set;
    });
}

std::optional<std::string_view> text_member(json::Value jwk, std::string_view name) {
    const auto member = jwk.member(name);
    return member ? member->string() : std::nullopt;
}

/// "key 3 (kid "abc")", counted from 1.
std::string label_of(std::size_t index, json::Value jwk) {
    std::string label = "key " + std::to_string(index + 1);
    if (const auto kid = text_member(jwk, "kid")) {
        label += " (kid " + quoted(*kid) + ")";
    }
    return label;
}

bool is_public_kty(json::Value jwk) {
    const auto kty = text_member(jwk, "kty");
    return kty && (*kty == "RSA" || *kty == "EC" || *kty == "OKP");
}

bool is_for_signatures(json::Value jwk) {
    const auto use = text_member(jwk, "use");
    const auto alg = text_member(jwk, "alg");
    return (!use || *use == "sig") && (!alg || algorithm_named(*alg));
}

/// By its own word: a key that says nothing counts among those for signatures.
bool is_for_encryption(json::Value jwk) {
    const auto alg = text_member(jwk, "alg");
    return text_member(jwk, "use") == "enc" || (alg && (key_management_named(*alg) || content_encryption_named(*alg)));
}

/// Which kid stands twice among the keys of one purpose, or nothing. Broken keys count: their namesake would inherit
/// their tokens. A key for encryption may share the kid of one for signatures, as some providers have it.
std::optional<std::string_view> repeated_kid(json::Value array, bool (*has_purpose)(json::Value)) {
    std::vector<std::string_view> kids;
    array.each_element([&](json::Value jwk) {
        const auto kid = text_member(jwk, "kid");
        if (kid && has_purpose(jwk)) {
            kids.push_back(*kid);
        }
    });
    std::ranges::sort(kids);
    const auto repeated = std::ranges::adjacent_find(kids);
    return repeated == kids.end() ? std::nullopt : std::optional(*repeated);
}

KeySetResult set_of_array(json::Value array, std::vector<std::string>* complaints) {
    for (const auto purpose : {is_for_signatures, is_for_encryption}) {
        if (const auto kid = repeated_kid(array, purpose)) {
            return refuse("holds two keys of kid " + quoted(*kid) + ": give each its own");
        }
    }
    struct Found {
        std::shared_ptr<const Key> key;
        std::string label;
    };
    std::vector<Found> usable;
    std::string first_fault;
    std::size_t index = 0;
    bool is_published = false;
    const auto note_fault = [&](std::string fault) {
        if (first_fault.empty()) {
            first_fault = fault;
        }
        complain(complaints, std::move(fault));
    };
    array.each_element([&](json::Value jwk) {
        // A set with public keys, usable or not, is made to be published: a secret in it is known to everybody.
        is_published = is_published || is_public_kty(jwk);
        const std::string label = label_of(index++, jwk);
        auto key = Key::from_jwk(jwk);
        if (key) {
            usable.push_back({std::move(*key), label});
            return;
        }
        note_fault(label + " " + key.error().message);
    });

    KeySet set;
    for (Found& found : usable) {
        if (is_published && found.key->symmetric()) {
            note_fault(found.label + " is a secret beside public keys: keep secrets in a file of their own");
        } else {
            set.add(std::move(found.key));
        }
    }
    if (set.empty()) {
        return refuse(index == 0 ? "holds no keys" : "holds no usable key: " + first_fault);
    }
    return set;
}

/// A key and its certificate often share a file: they are one key, and the private half is the more useful one.
bool replaces_or_repeats(std::vector<std::shared_ptr<const Key>>& keys, const std::shared_ptr<const Key>& key) {
    for (auto& known : keys) {
        if (EVP_PKEY_eq(known->material().pkey.get(), key->material().pkey.get()) == 1) {
            if (!known->material().is_private) {
                known = key;
            }
            return true;
        }
    }
    return false;
}

// Only the first certificate of a text is a key. In a chain the others belong to its issuers, who sign certificates and
// not tokens: to take them would let an authority's key, or whoever else it serves, speak for this issuer.
KeySetResult set_of_pem(std::string_view text, std::vector<std::string>* complaints) {
    PemReader reader(text);
    std::vector<std::shared_ptr<const Key>> keys;
    std::string first_fault;
    std::size_t index = 0;
    bool has_certificate = false;
    while (const auto block = reader.next()) {
        if (block->label == ec_parameters_label) {
            continue;
        }
        const std::string label = "block " + std::to_string(++index);
        if (block->label == "CERTIFICATE" && std::exchange(has_certificate, true)) {
            complain(complaints, label + " is a further certificate: only the first one of a file is a key");
            continue;
        }
        const KeyResult key = material_of_pem(*block).and_then(KeyBuilder::finish);
        if (!key) {
            complain(complaints, label + " " + key.error().message);
            if (first_fault.empty()) {
                first_fault = key.error().message;
            }
        } else if (!replaces_or_repeats(keys, *key)) {
            keys.push_back(*key);
        }
    }
    if (reader.damaged()) {
        return refuse("is damaged: PEM block " + std::to_string(index + 1) + " cannot be read");
    }
    if (keys.empty()) {
        return refuse(index == 0 ? "holds no PEM block" : first_fault);
    }
    KeySet set;
    for (auto& key : keys) {
        set.add(std::move(key));
    }
    return set;
}

}  // namespace

tl::expected<KeySet, KeyError> KeySet::from_text(std::string_view text, std::vector<std::string>* complaints) {
    const openssl::ErrorQueueGuard guard;
    const std::string_view visible = text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
    if (visible.starts_with('{')) {
        json::Parser parser;
        json::Document document;
        const auto root = parser.parse(visible, document);
        if (!root) {
            return refuse("is no JSON: " + std::string(json::text(root.error())));
        }
        return from_json(*root, complaints);
    }
    if (visible.find("-----BEGIN ") != std::string_view::npos) {
        return set_of_pem(visible, complaints);
    }
    if (visible.starts_with("ssh-") || visible.starts_with("ecdsa-")) {
        return refuse("is an SSH key: convert it with \"ssh-keygen -e -m PKCS8 -f FILE\"");
    }
    return refuse(visible.empty() ? "is empty" : "is neither PEM nor a JWK nor a JWK Set");
}

tl::expected<KeySet, KeyError> KeySet::from_json(json::Value jwk_or_set, std::vector<std::string>* complaints) {
    const auto array = jwk_or_set.member("keys");
    if (!array) {
        return set_of_one(Key::from_jwk(jwk_or_set));
    }
    if (jwk_or_set.member("kty")) {
        return refuse("has both kty and keys: it is either a JWK or a JWK Set");
    }
    if (array->type() != json::Type::array) {
        return refuse("has a member \"keys\" that is no array");
    }
    return set_of_array(*array, complaints);
}

AlgorithmSet KeySet::verifies() const noexcept {
    AlgorithmSet all;
    for (const auto& key : keys_) {
        all = all | key->verifies();
    }
    return all;
}

KeyManagementSet KeySet::decrypts() const noexcept {
    KeyManagementSet all;
    for (const auto& key : keys_) {
        all = all | key->decrypts();
    }
    return all;
}

template <class Serves>
KeySet::Candidates KeySet::serving(Serves serves, std::optional<std::string_view> kid) const noexcept {
    Candidates found;
    const auto collect = [&](auto fits) {
        for (const auto& key : keys_) {
            if (found.count < max_candidates && serves(*key) && fits(key->kid())) {
                found.keys[found.count++] = key.get();
            }
        }
    };
    using Kid = std::optional<std::string_view>;
    if (!kid) {
        collect([](const Kid&) { return true; });
        return found;
    }
    collect([&](const Kid& own) { return own && *own == *kid; });
    collect([](const Kid& own) { return !own; });
    return found;
}

void KeySet::add(std::shared_ptr<const Key> key) {
    keys_.push_back(std::move(key));
    fill_with_random(identity_.data(), identity_.size());
}

bool KeySet::names(std::string_view kid) const noexcept {
    return std::ranges::any_of(keys_, [kid](const auto& key) { return key->kid() == kid && !key->verifies().empty(); });
}

KeySet::Candidates KeySet::candidates(Algorithm algorithm, std::optional<std::string_view> kid) const noexcept {
    return serving([algorithm](const Key& key) { return key.verifies().has(algorithm); }, kid);
}

KeySet::Candidates KeySet::candidates(const Recipient& wanted, std::optional<std::string_view> kid) const noexcept {
    const auto fits = [&wanted](const Key& key) {
        const Curve* const curve = key.material().curve;
        return key.decrypts().has(wanted.management) && (curve == nullptr || curve->name == wanted.curve) &&
               (wanted.management != KeyManagement::dir || key.direct_encryptions().has(wanted.encryption));
    };
    return serving(fits, kid);
}

std::shared_ptr<const Key> KeySet::encrypter(KeyManagement management, ContentEncryption encryption) const noexcept {
    const auto found = std::ranges::find_if(keys_, [&](const auto& key) {
        return key->encrypts().has(management) &&
               (management != KeyManagement::dir || key->direct_encryptions().has(encryption));
    });
    return found == keys_.end() ? nullptr : *found;
}

std::shared_ptr<const Key> KeySet::signer(Algorithm algorithm) const noexcept {
    const auto found =
        std::ranges::find_if(keys_, [algorithm](const auto& key) { return key->signs().has(algorithm); });
    return found == keys_.end() ? nullptr : *found;
}

}  // namespace jwt
