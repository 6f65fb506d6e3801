#include "publish.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace jwt {
namespace {

constexpr std::string_view private_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

KeySet set_of(std::initializer_list<std::shared_ptr<const Key>> keys) {
    KeySet set;
    for (const auto& key : keys) {
        set.add(key);
    }
    return set;
}

std::shared_ptr<const Key> made_for(Algorithm algorithm) {
    return generate_key(algorithm).value();
}

class PublishTest : public testing::Test {
protected:
    json::Value parsed(std::string_view text) {
        const auto value = parser_.parse_object(text, document_);
        EXPECT_TRUE(value) << text;
        return value.value_or(json::Value());
    }

    json::Parser parser_;
    json::Document document_;
};

TEST_F(PublishTest, ShowsPublicHalvesAlone) {
    const KeySet keys = set_of({made_for(Algorithm::rs256), made_for(Algorithm::es256), made_for(Algorithm::ed25519),
                                made_for(Algorithm::hs256)});
    const auto text = public_key_set(keys);
    ASSERT_TRUE(text);
    const json::Value array = parsed(*text).member("keys").value();
    EXPECT_EQ(array.size(), 3U);
    array.each_element([](json::Value jwk) {
        for (const std::string_view name : private_members) {
            EXPECT_FALSE(jwk.member(name)) << name;
        }
        EXPECT_NE(jwk.member("kty")->string(), "oct");
        EXPECT_EQ(jwk.member("use")->string(), "sig");
    });
    std::vector<std::string> complaints;
    const auto read = KeySet::from_text(*text, &complaints);
    ASSERT_TRUE(read);
    EXPECT_TRUE(complaints.empty());
    EXPECT_EQ(public_key_set(*read).value(), *text) << "what is read back is the same";
}

TEST_F(PublishTest, ShowsAKeyOnce) {
    const auto key = made_for(Algorithm::es256);
    const auto text = public_key_set(set_of({key, key->public_half(key), key}));
    ASSERT_TRUE(text);
    EXPECT_EQ(parsed(*text).member("keys")->size(), 1U);

    // Without its kid first, as of a PEM: the entry with a kid stands for both.
    std::string bare = key->public_jwk().value();
    const std::size_t at = bare.find(",\"kid\":");
    ASSERT_NE(at, std::string::npos);
    bare.erase(at, bare.find(',', at + 1) - at);
    const auto nameless = Key::from_jwk(parsed(bare)).value();
    ASSERT_FALSE(nameless->kid());
    EXPECT_EQ(public_key_set(set_of({nameless, key})).value(), *text);
    EXPECT_EQ(public_key_set(set_of({key, nameless})).value(), *text);
}

TEST_F(PublishTest, RefusesWhatNobodyCouldUse) {
    EXPECT_FALSE(public_key_set(KeySet()));
    EXPECT_FALSE(public_key_set(set_of({made_for(Algorithm::hs256)})));
    const auto named = [this](Algorithm algorithm) {
        std::string jwk = made_for(algorithm)->public_jwk().value();
        const std::size_t at = jwk.find("\"kid\":") + 6;
        jwk.replace(at, jwk.find(',', at) - at, R"("same")");
        return Key::from_jwk(parsed(jwk)).value();
    };
    const auto twins = public_key_set(set_of({named(Algorithm::es256), named(Algorithm::es256)}));
    ASSERT_FALSE(twins);
    EXPECT_TRUE(twins.error().message.starts_with("are two of one kid, \"same\"")) << twins.error().message;
}

TEST_F(PublishTest, DescribesAnIssuer) {
    const std::vector<DiscoveryMember> members = {{"jwks_uri", "https://id/jwks"},
                                                  {"scopes_supported", "a,b\"c"},
                                                  {"claims_parameter_supported", "true"},
                                                  {"service_documentation", "x,y"}};
    const auto text = discovery_document("https://id", Algorithm::es256, members);
    ASSERT_TRUE(text) << text.error();
    EXPECT_EQ(parsed(*text).text(),
              R"({"issuer":"https://id","jwks_uri":"https://id/jwks","scopes_supported":["a","b\"c"],)"
              R"("claims_parameter_supported":true,"service_documentation":"x,y",)"
              R"("response_types_supported":["id_token"],"subject_types_supported":["public"],)"
              R"("id_token_signing_alg_values_supported":["ES256"]})");
}

TEST_F(PublishTest, TakesIssuersThatAreUrls) {
    const std::vector<DiscoveryMember> members = {{"jwks_uri", "https://id/jwks"}};
    for (const std::string_view issuer :
         {"https://id", "https://id/", "https://id:8443/a/b", "http://localhost", "http://localhost:8080/x",
          "http://127.0.0.1:1", "http://[::1]:8080", "https://[2001:db8::1]/x"}) {
        EXPECT_TRUE(discovery_document(issuer, Algorithm::es256, members)) << issuer;
    }
    for (const std::string_view issuer :
         {"", "id", "https://", "https:///x", "https://:443", "http://id", "http://localhost.evil",
          "http://127.0.0.1.x", "http://[::2]", "http://[", "HTTPS://id", "ftp://id", "https://id?x", "https://id#x",
          "https://i d", "https://i\"d", "https://i\nd", "//id"}) {
        EXPECT_FALSE(discovery_document(issuer, Algorithm::es256, members)) << issuer;
    }
}

}  // namespace
}  // namespace jwt
