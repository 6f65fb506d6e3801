#include "claims.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace jwt {
namespace {

struct Known {
    std::string name;
    Claim claim;
};
const std::vector<Known> known = {
    {"iss", Claim::iss}, {"sub", Claim::sub}, {"aud", Claim::aud},   {"exp", Claim::exp},   {"nbf", Claim::nbf},
    {"iat", Claim::iat}, {"jti", Claim::jti}, {"type", Claim::type}, {"csrf", Claim::csrf}, {"fresh", Claim::fresh}};

class ClaimsTest : public testing::Test {
protected:
    Claims claims(std::string_view text) { return Claims(parser_.parse_object(text, document_).value()); }

    static std::string text(const std::optional<json::Value>& value) { return value ? value->text() : "none"; }

    json::Parser parser_;
    json::Document document_;
};

TEST_F(ClaimsTest, FindsEachClaimAndNoOther) {
    ASSERT_EQ(known.size(), claim_count);
    for (const Known& one : known) {
        const Claims found = claims(R"({"x":{"y":[1,2]},")" + one.name + R"(":"here","z":0})");
        for (const Known& other : known) {
            EXPECT_EQ(text(found[other.claim]), other.name == one.name ? "\"here\"" : "none") << one.name << other.name;
            EXPECT_EQ(text(found.named(other.name)), text(found[other.claim])) << other.name;
        }
    }
}

TEST_F(ClaimsTest, TakesNoNameForALikeOne) {
    for (const Known& one : known) {
        for (const std::string& like :
             {one.name + "s", one.name.substr(1), one.name.substr(0, one.name.size() - 1), one.name + R"(\u0000)",
              std::string(one.name).replace(1, 1, "_"), std::string()}) {
            const Claims found = claims("{\"" + like + "\":1}");
            EXPECT_EQ(text(found[one.claim]), "none") << like;
            EXPECT_EQ(text(found.named(one.name)), "none") << like;
        }
        // Escaped it is the same name.
        std::string escaped = "\\u00";
        constexpr std::string_view hex = "0123456789abcdef";
        escaped.append({hex[static_cast<unsigned char>(one.name[0]) >> 4U], hex[one.name[0] & 15]});
        EXPECT_EQ(text(claims("{\"" + escaped + one.name.substr(1) + "\":1}")[one.claim]), "1") << escaped;
    }
}

TEST_F(ClaimsTest, LooksAtThePayloadItselfAndNotIntoItsClaims) {
    const Claims found = claims(R"({"sub":{"exp":1,"iss":["aud"]},"realm":{"roles":["a"]}})");
    EXPECT_EQ(text(found[Claim::sub]), R"({"exp":1,"iss":["aud"]})");
    EXPECT_FALSE(found[Claim::exp]);
    EXPECT_FALSE(found[Claim::iss]);
    EXPECT_EQ(text(found.named("realm")), R"({"roles":["a"]})");
    EXPECT_FALSE(found.named("roles"));
}

TEST_F(ClaimsTest, HasNoneOfAnEmptyObjectOrOfNothing) {
    const Claims empty = claims("{}");
    const Claims nothing{json::Value()};
    for (const Known& one : known) {
        EXPECT_FALSE(empty[one.claim]);
        EXPECT_FALSE(nothing[one.claim]);
        EXPECT_FALSE(nothing.named(one.name));
    }
    EXPECT_FALSE(nothing.named("other"));
}

TEST_F(ClaimsTest, GoesWithACopyOfItsPayload) {
    const Claims found = claims(R"({"exp":12,"sub":"alice","n":1})");
    std::vector<std::uint64_t> memory(document_.packed_size() / sizeof(std::uint64_t));
    Claims copied(found);
    copied.move_to(document_.pack_into(reinterpret_cast<std::byte*>(memory.data())));
    ASSERT_TRUE(parser_.parse_object(R"({"z":"another text","exp":"other"})", document_));
    EXPECT_EQ(text(copied[Claim::exp]), "12");
    EXPECT_EQ(text(copied[Claim::sub]), "\"alice\"");
    EXPECT_EQ(text(copied.named("n")), "1");
    EXPECT_FALSE(copied[Claim::iss]);
}

TEST_F(ClaimsTest, HasTheTypeAccessWhereThereIsNone) {
    EXPECT_EQ(token_type(claims("{}")), "access");
    EXPECT_EQ(token_type(claims(R"({"type":"refresh"})")), "refresh");
    EXPECT_EQ(token_type(claims(R"({"type":1})")), "");
}

}  // namespace
}  // namespace jwt
