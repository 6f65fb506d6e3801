#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "almost_inverse.hpp"
#include "ecdsa.hpp"
#include "ecdsa_verification.hpp"
#include "key_material.hpp"
#include "key_tools.hpp"
#include "random.hpp"

// ECDSA beside OpenSSL's own verification, which must say the same of every signature, and signatures whose numbers are
// chosen.
namespace jwt {
namespace {

using Group = std::unique_ptr<EC_GROUP, decltype(&EC_GROUP_free)>;
using Point = std::unique_ptr<EC_POINT, decltype(&EC_POINT_free)>;
using Context = std::unique_ptr<BN_CTX, decltype(&BN_CTX_free)>;

Number number(std::uint64_t value = 0) {
    Number made(BN_new(), BN_free);
    BN_set_word(made.get(), value);
    return made;
}

Number copy(const BIGNUM* value) {
    return {BN_dup(value), BN_free};
}

/// 2^exponent.
Number power_of_two(int exponent) {
    Number made = number();
    BN_set_bit(made.get(), exponent);
    return made;
}

/// A curve of ECDSA, with arithmetic modulo its order.
struct Arithmetic {
    const Curve& curve;
    Group group{EC_GROUP_new_by_curve_name(curve.id), EC_GROUP_free};
    Context context{BN_CTX_new(), BN_CTX_free};

    explicit Arithmetic(const Curve& of) : curve(of) {}

    [[nodiscard]] const BIGNUM* order() const { return EC_GROUP_get0_order(group.get()); }

    [[nodiscard]] Number product(const Number& a, const Number& b) const {
        Number made = number();
        EXPECT_EQ(BN_mod_mul(made.get(), a.get(), b.get(), order(), context.get()), 1);
        return made;
    }
    [[nodiscard]] Number difference(const Number& a, const Number& b) const {
        Number made = number();
        EXPECT_EQ(BN_mod_sub(made.get(), a.get(), b.get(), order(), context.get()), 1);
        return made;
    }
    [[nodiscard]] Number inverse(const Number& a) const {
        return {BN_mod_inverse(nullptr, a.get(), order(), context.get()), BN_free};
    }
    /// From 1 up.
    [[nodiscard]] Number random() const {
        Number made = number();
        do {
            EXPECT_EQ(BN_rand_range(made.get(), order()), 1);
        } while (BN_is_zero(made.get()) == 1);
        return made;
    }
    [[nodiscard]] Point point() const { return {EC_POINT_new(group.get()), EC_POINT_free}; }
    /// a · G + b · of, or a · G alone.
    [[nodiscard]] Point multiple(const Number& a, const EC_POINT* of = nullptr, const BIGNUM* b = nullptr) const {
        Point made = point();
        EXPECT_EQ(EC_POINT_mul(group.get(), made.get(), a.get(), of, b, context.get()), 1);
        return made;
    }
    /// The r of a signature with this point.
    [[nodiscard]] Number r_of(const EC_POINT* point) const {
        Number x = number();
        EXPECT_EQ(EC_POINT_get_affine_coordinates(group.get(), point, x.get(), nullptr, context.get()), 1);
        EXPECT_EQ(BN_nnmod(x.get(), x.get(), order(), context.get()), 1);
        return x;
    }
    [[nodiscard]] std::string octets(const Number& value) const {
        std::string made(curve.size, '\0');
        EXPECT_EQ(BN_bn2binpad(value.get(), bytes_of(made), static_cast<int>(made.size())),
                  static_cast<int>(made.size()));
        return made;
    }
    /// To OpenSSL, a hash of more bytes than the order's bits fill begins with what counts (SEC 1 §4.1.4 step 3).
    [[nodiscard]] std::string leading_bits(const std::string& hash) const {
        if (hash.size() < curve.size) {
            return hash;
        }
        const Number shifted(BN_bin2bn(bytes_of(hash), static_cast<int>(hash.size()), nullptr), BN_free);
        EXPECT_EQ(BN_lshift(shifted.get(), shifted.get(), static_cast<int>(8 * curve.size) - BN_num_bits(order())), 1);
        return octets(shifted);
    }
    [[nodiscard]] TestPkey public_key(const EC_POINT* point) const {
        std::string encoded(1 + 2 * curve.size, '\0');
        EXPECT_EQ(EC_POINT_point2oct(group.get(), point, POINT_CONVERSION_UNCOMPRESSED, bytes_of(encoded),
                                     encoded.size(), context.get()),
                  encoded.size());
        std::string name = OBJ_nid2sn(curve.id);
        const OSSL_PARAM parameters[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name.data(), 0),
            OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, encoded.data(), encoded.size()),
            OSSL_PARAM_construct_end(),
        };
        const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> importer(
            EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr), EVP_PKEY_CTX_free);
        EVP_PKEY* pkey = nullptr;
        EXPECT_EQ(EVP_PKEY_fromdata_init(importer.get()), 1);
        EXPECT_EQ(EVP_PKEY_fromdata(importer.get(), &pkey, EVP_PKEY_PUBLIC_KEY, const_cast<OSSL_PARAM*>(parameters)),
                  1);
        return owned(pkey);
    }
};

std::vector<Arithmetic> groups() {
    std::vector<Arithmetic> made;
    for (const Curve& curve : curves) {
        if (curve.type == KeyType::ec) {
            made.emplace_back(curve);
        }
    }
    return made;
}

/// Numbers that try carries, shifts and bounds.
std::vector<Number> edges(const Arithmetic& in) {
    std::vector<Number> found;
    const auto offer = [&](Number value) {
        if (BN_is_negative(value.get()) == 0 && BN_is_zero(value.get()) == 0 && BN_cmp(value.get(), in.order()) < 0) {
            found.push_back(std::move(value));
        }
    };
    for (int bit = 0; bit <= BN_num_bits(in.order()); ++bit) {
        for (const int more : {-1, 0, 1}) {
            Number value = power_of_two(bit);
            EXPECT_EQ(more < 0 ? BN_sub_word(value.get(), 1) : BN_add_word(value.get(), static_cast<BN_ULONG>(more)),
                      1);
            Number opposite = copy(in.order());
            EXPECT_EQ(BN_sub(opposite.get(), opposite.get(), value.get()), 1);
            offer(std::move(value));
            offer(std::move(opposite));
        }
    }
    return found;
}

template <std::size_t size>
Digits<size> digits(const BIGNUM* value) {
    Digits<size> made{};
    for (std::size_t i = 0; i < 64 * size; ++i) {
        made[i / 64] |= std::uint64_t{BN_is_bit_set(value, static_cast<int>(i)) == 1} << (i % 64);
    }
    return made;
}

template <std::size_t size>
void expect_inverse(const Arithmetic& in, const Number& value) {
    const AlmostInverse<size> found = almost_inverse(digits<size>(in.order()), digits<size>(value.get()));
    const Number inverse = number();
    for (std::size_t i = 0; i < 64 * size; ++i) {
        if ((found.number[i / 64] >> (i % 64) & 1) != 0) {
            BN_set_bit(inverse.get(), static_cast<int>(i));
        }
    }
    EXPECT_LT(BN_cmp(inverse.get(), in.order()), 0);
    EXPECT_LE(found.power, 2 * static_cast<std::size_t>(BN_num_bits(in.order())));
    const Number expected = power_of_two(static_cast<int>(found.power));
    EXPECT_EQ(BN_nnmod(expected.get(), expected.get(), in.order(), in.context.get()), 1);
    EXPECT_EQ(BN_cmp(in.product(value, inverse).get(), expected.get()), 0);
}

TEST(AlmostInverse, TimesItsValueIsAPowerOfTwo) {
    for (const Arithmetic& in : groups()) {
        SCOPED_TRACE(std::string(in.curve.name));
        std::vector<Number> values = edges(in);
        EXPECT_GT(values.size(), 1000U);
        std::generate_n(std::back_inserter(values), 2000, [&] { return in.random(); });
        for (const Number& value : values) {
            switch (in.curve.size) {
                case 32:
                    expect_inverse<4>(in, value);
                    break;
                case 48:
                    expect_inverse<6>(in, value);
                    break;
                default:
                    expect_inverse<9>(in, value);
            }
        }
    }
}

/// A key whose private half is known, as the verifier has it and as OpenSSL.
struct Pair {
    const Arithmetic& in;
    Number secret;
    TestPkey pkey;
    std::optional<EcdsaVerifier> verifier;

    Pair(const Arithmetic& group, const EC_POINT* chosen)
        : in(group),
          secret(nullptr, BN_free),
          pkey(in.public_key(chosen)),
          verifier(EcdsaVerifier::of(pkey.get(), in.curve.id)) {}

    explicit Pair(const Arithmetic& group) : Pair(group, group.random()) {}
    Pair(const Arithmetic& group, Number scalar) : Pair(group, group.multiple(scalar).get()) {
        secret = std::move(scalar);
    }

    /// What both say.
    [[nodiscard]] bool judged(const std::string& hash, const std::string& signature) const {
        const bool matches = verifier->matches({bytes_of(hash), hash.size()}, signature);
        ERR_clear_error();
        const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context(EVP_PKEY_CTX_new(pkey.get(), nullptr),
                                                                                  EVP_PKEY_CTX_free);
        EXPECT_EQ(EVP_PKEY_verify_init(context.get()), 1);
        const DerSignature der = ecdsa_der(signature);
        const std::string leading = in.leading_bits(hash);
        EXPECT_EQ(EVP_PKEY_verify(context.get(), der.bytes.data(), der.size, bytes_of(leading), leading.size()) == 1,
                  matches);
        ERR_clear_error();
        return matches;
    }
    [[nodiscard]] bool judged(const Number& hash, const Number& r, const Number& s) const {
        return judged(in.octets(hash), in.octets(r) + in.octets(s));
    }

    /// The hash for which r and s are a signature, where r is that of nonce · G.
    [[nodiscard]] Number hash_for(const Number& nonce, const Number& r, const Number& s) const {
        return in.difference(in.product(s, nonce), in.product(r, secret));
    }
};

TEST(SignatureEcdsa, IsJudgedAsByOpenssl) {
    for (const Arithmetic& in : groups()) {
        SCOPED_TRACE(std::string(in.curve.name));
        const Pair pair(in);
        ASSERT_TRUE(pair.verifier);
        const std::size_t hash_size = std::min<std::size_t>(in.curve.size, 64);
        for (int round = 0; round < 20; ++round) {
            const std::string hash = random_bytes(hash_size);
            const Number e(BN_bin2bn(bytes_of(hash), static_cast<int>(hash.size()), nullptr), BN_free);
            const Number nonce = in.random();
            const Number r = in.r_of(in.multiple(nonce).get());
            Number sum = in.product(r, pair.secret);
            ASSERT_EQ(BN_mod_add(sum.get(), sum.get(), e.get(), in.order(), in.context.get()), 1);
            const Number s = in.product(in.inverse(nonce), sum);
            const std::string signature = in.octets(r) + in.octets(s);
            ASSERT_TRUE(pair.judged(hash, signature));
            // Of n - s, the point has the same x: ECDSA takes both.
            EXPECT_TRUE(pair.judged(hash, in.octets(r) + in.octets(in.difference(number(), s))));
            EXPECT_FALSE(pair.judged(hash, in.octets(in.difference(number(), r)) + in.octets(s)));
            EXPECT_FALSE(pair.judged(hash, in.octets(s) + in.octets(r)));
            EXPECT_FALSE(pair.judged(hash, in.octets(r) + in.octets(in.inverse(s))));
            EXPECT_FALSE(Pair(in).judged(hash, signature));
            for (int change = 0; change < 10; ++change) {
                const std::string where = random_bytes(2);
                const auto bit = static_cast<char>(1 << (where[1] & 7));
                std::string changed = signature;
                char& byte = changed[static_cast<unsigned char>(where[0]) % changed.size()];
                byte = static_cast<char>(byte ^ bit);
                EXPECT_FALSE(pair.judged(hash, changed));
                std::string other = hash;
                char& of_hash = other[static_cast<unsigned char>(where[0]) % other.size()];
                of_hash = static_cast<char>(of_hash ^ bit);
                EXPECT_FALSE(pair.judged(other, signature));
            }
            EXPECT_TRUE(pair.judged(hash, signature));
        }
    }
}

TEST(SignatureEcdsa, HasAnyNumberOfTheGroup) {
    for (const Arithmetic& in : groups()) {
        SCOPED_TRACE(std::string(in.curve.name));
        const Pair pair(in);
        ASSERT_TRUE(pair.verifier);
        const Number nonce = in.random();
        const Number r = in.r_of(in.multiple(nonce).get());
        const std::vector<Number> values = edges(in);
        for (std::size_t i = 0; i < values.size(); i += in.curve.size == 32 ? 3 : 17) {
            const Number& s = values[i];
            const Number hash = pair.hash_for(nonce, r, s);
            EXPECT_TRUE(pair.judged(hash, r, s));
            const Number other = in.difference(hash, number(1));
            EXPECT_FALSE(pair.judged(other, r, s));
        }
    }
}

TEST(SignatureEcdsa, HasHalvesBelowTheOrder) {
    for (const Arithmetic& in : groups()) {
        SCOPED_TRACE(std::string(in.curve.name));
        const Pair pair(in);
        ASSERT_TRUE(pair.verifier);
        const Number nonce = in.random();
        const Number r = in.r_of(in.multiple(nonce).get());
        const Number s = number(1);
        const Number hash = pair.hash_for(nonce, r, s);
        ASSERT_TRUE(pair.judged(hash, r, s));
        const auto plus_order = [&](const Number& value) {
            Number sum = number();
            EXPECT_EQ(BN_add(sum.get(), value.get(), in.order()), 1);
            return sum;
        };
        // The same residues, and what has no inverse.
        EXPECT_FALSE(pair.judged(hash, r, plus_order(s)));
        for (const Number& half : {number(0), plus_order(number(0))}) {
            EXPECT_FALSE(pair.judged(hash, half, s));
            EXPECT_FALSE(pair.judged(hash, r, half));
            EXPECT_FALSE(pair.judged(hash, half, half));
        }
        const std::string signature = in.octets(r) + in.octets(s);
        const auto alone = [&](const std::string& changed) {
            return pair.verifier->matches({bytes_of(in.octets(hash)), in.curve.size}, changed);
        };
        EXPECT_TRUE(alone(signature));
        EXPECT_FALSE(alone(signature + '\0'));
        EXPECT_FALSE(alone('\0' + signature));
        EXPECT_FALSE(alone(signature.substr(0, signature.size() - 1)));
        EXPECT_FALSE(alone({}));
    }
}

// Both multiples are the same point: an addition of points knows only different ones.
TEST(SignatureEcdsa, MayDoubleAPoint) {
    for (const Arithmetic& in : groups()) {
        SCOPED_TRACE(std::string(in.curve.name));
        const Pair pair(in);
        ASSERT_TRUE(pair.verifier);
        const Number nonce = in.random();
        const Number r = in.r_of(in.multiple(nonce).get());
        const Number hash = in.product(r, pair.secret);
        const Number s = in.product(in.product(number(2), hash), in.inverse(nonce));
        EXPECT_TRUE(pair.judged(hash, r, s));
        EXPECT_FALSE(pair.judged(hash, r, in.product(number(2), s)));
        EXPECT_FALSE(pair.judged(hash, r, hash));
    }
}

TEST(SignatureEcdsa, IsNoneOfThePointAtInfinity) {
    for (const Arithmetic& in : groups()) {
        SCOPED_TRACE(std::string(in.curve.name));
        const Pair pair(in);
        ASSERT_TRUE(pair.verifier);
        // The last is what the verifier's number for the coordinate holds before it has one.
        const Number left = power_of_two(BN_num_bits(in.order()) + 1);
        ASSERT_EQ(BN_nnmod(left.get(), left.get(), in.order(), in.context.get()), 1);
        for (const Number& r : {in.r_of(in.multiple(in.random()).get()), copy(left.get())}) {
            const Number hash = in.difference(number(), in.product(r, pair.secret));
            EXPECT_FALSE(pair.judged(hash, r, in.random()));
            EXPECT_FALSE(pair.judged(hash, r, number(1)));
        }
        const Number nonce = in.random();
        const Number good = in.r_of(in.multiple(nonce).get());
        EXPECT_TRUE(pair.judged(pair.hash_for(nonce, good, number(1)), good, number(1)));
    }
}

// The field of each of these curves has numbers that the order does not: r is what is left of them.
TEST(SignatureEcdsa, HasACoordinateBeyondTheOrder) {
    for (const Arithmetic& in : groups()) {
        SCOPED_TRACE(std::string(in.curve.name));
        int found = 0;
        for (std::uint64_t more = 1; more < 100 && found < 5; ++more) {
            const Number x = copy(in.order());
            ASSERT_EQ(BN_add_word(x.get(), more), 1);
            const Point nonce_point = in.point();
            if (EC_POINT_set_compressed_coordinates(in.group.get(), nonce_point.get(), x.get(), 0, in.context.get()) !=
                1) {
                continue;
            }
            ++found;
            // Of s · R = e · G + r · Q, the key is what fits.
            const Number r = number(more);
            const Number s = in.random();
            const Number hash = in.random();
            const Number of_point = in.product(s, in.inverse(r));
            const Number of_generator = in.difference(number(), in.product(hash, in.inverse(r)));
            const Pair pair(in, in.multiple(of_generator, nonce_point.get(), of_point.get()).get());
            ASSERT_TRUE(pair.verifier);
            EXPECT_TRUE(pair.judged(hash, r, s));
            EXPECT_FALSE(pair.judged(hash, number(more + 1), s));
            EXPECT_FALSE(pair.judged(hash, x, s));
        }
        EXPECT_EQ(found, 5);
        ERR_clear_error();
    }
}

TEST(SignatureEcdsa, IsOfAHashOfAnyValue) {
    for (const Arithmetic& in : groups()) {
        SCOPED_TRACE(std::string(in.curve.name));
        const Pair pair(in);
        ASSERT_TRUE(pair.verifier);
        const Number nonce = in.random();
        const Number r = in.r_of(in.multiple(nonce).get());
        const std::string highest(in.curve.size == 66 ? 64 : in.curve.size, '\xff');
        for (const std::string& hash : {std::string(highest.size(), '\0'), highest}) {
            Number e(BN_bin2bn(bytes_of(hash), static_cast<int>(hash.size()), nullptr), BN_free);
            ASSERT_EQ(BN_nnmod(e.get(), e.get(), in.order(), in.context.get()), 1);
            const Number s =
                in.product(in.inverse(nonce), in.difference(e, in.difference(number(), in.product(r, pair.secret))));
            EXPECT_TRUE(pair.judged(hash, in.octets(r) + in.octets(s)));
            EXPECT_FALSE(pair.judged(hash, in.octets(r) + in.octets(in.difference(s, number(1)))));
        }
    }
}

}  // namespace
}  // namespace jwt
