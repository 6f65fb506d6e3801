#include "algorithm.hpp"

#include <gtest/gtest.h>

#include <string>

namespace jwt {
namespace {

TEST(Algorithm, HasTheNameOfItsRegistration) {
    EXPECT_EQ(name(Algorithm::hs256), "HS256");
    EXPECT_EQ(name(Algorithm::ps512), "PS512");
    EXPECT_EQ(name(Algorithm::es256k), "ES256K");
    EXPECT_EQ(name(Algorithm::eddsa), "EdDSA");
    EXPECT_EQ(name(Algorithm::ed448), "Ed448");
}

TEST(Algorithm, IsFoundByItsExactNameAlone) {
    for (std::size_t i = 0; i < algorithm_count; ++i) {
        const auto algorithm = static_cast<Algorithm>(i);
        const std::string exact(name(algorithm));
        EXPECT_EQ(algorithm_named(exact), algorithm);
        EXPECT_FALSE(algorithm_named(exact + " "));
        EXPECT_FALSE(algorithm_named(" " + exact));
        EXPECT_FALSE(algorithm_named(exact + std::string(1, '\0')));
        EXPECT_FALSE(algorithm_named(exact.substr(1)));
    }
    for (const char* const other : {"", "none", "None", "NONE", "rs256", "hS256", "eddsa", "ES521", "RSA-OAEP"}) {
        EXPECT_FALSE(algorithm_named(other)) << other;
    }
}

TEST(Algorithm, SetHoldsWhatWasAdded) {
    AlgorithmSet set;
    EXPECT_TRUE(set.empty());
    EXPECT_EQ(names(set), "");
    set.add(Algorithm::ed448);
    set.add(Algorithm::rs256);
    EXPECT_TRUE(set.has(Algorithm::rs256));
    EXPECT_FALSE(set.has(Algorithm::rs384));
    EXPECT_EQ(names(set), "RS256 Ed448");
    EXPECT_EQ(set & AlgorithmSet({Algorithm::rs256, Algorithm::hs256}), AlgorithmSet{Algorithm::rs256});
    EXPECT_EQ(names(set | AlgorithmSet{Algorithm::hs256}), "HS256 RS256 Ed448");
}

TEST(Algorithm, KnowsTheMacs) {
    EXPECT_TRUE(is_hmac(Algorithm::hs256));
    EXPECT_TRUE(is_hmac(Algorithm::hs512));
    EXPECT_FALSE(is_hmac(Algorithm::rs256));
    EXPECT_FALSE(is_hmac(Algorithm::ed448));
}

}  // namespace
}  // namespace jwt
