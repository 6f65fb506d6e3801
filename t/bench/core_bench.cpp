// The core beside OpenSSL: for each algorithm, in one run and in turns, the bare call with everything prepared, the
// core's check of a signature, and a whole verification from text to proof. core_bench [--json FILE] [--algorithm ALG]
// and Google Benchmark's own options.

#include <benchmark/benchmark.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base64url.hpp"
#include "core/signature.hpp"
#include "core/verifier.hpp"

namespace {

using jwt::Algorithm;

constexpr std::size_t token_size = 500;

template <auto free>
struct Free {
    template <class T>
    void operator()(T* object) const noexcept {
        free(object);
    }
};
using KeyHandle = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using Digest = std::unique_ptr<EVP_MD, Free<EVP_MD_free>>;
using Mac = std::unique_ptr<EVP_MAC, Free<EVP_MAC_free>>;
using MacContext = std::unique_ptr<EVP_MAC_CTX, Free<EVP_MAC_CTX_free>>;

void require(bool good, const char* what) {
    if (!good) {
        std::fprintf(stderr, "core_bench: %s failed\n", what);
        std::exit(1);
    }
}

const unsigned char* bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

/// What is the same for all three of an algorithm.
struct Subject {
    Algorithm algorithm;
    std::string secret;  // of HS
    KeyHandle pkey;      // of the others
    std::shared_ptr<const jwt::Key> key;
    std::string token;
    std::string input;
    std::string signature;  // as in the token
};

const char* digest_name(Algorithm algorithm) {
    const std::string_view name = jwt::name(algorithm);
    return name.ends_with("384") ? "SHA384" : name.ends_with("512") ? "SHA512" : "SHA256";
}

KeyHandle new_pkey(Algorithm algorithm) {
    switch (algorithm) {
        case Algorithm::es256:
            return KeyHandle(EVP_EC_gen("P-256"));
        case Algorithm::es384:
            return KeyHandle(EVP_EC_gen("P-384"));
        case Algorithm::es512:
            return KeyHandle(EVP_EC_gen("P-521"));
        case Algorithm::es256k:
            return KeyHandle(EVP_EC_gen("secp256k1"));
        case Algorithm::eddsa:
        case Algorithm::ed25519:
            return KeyHandle(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
        case Algorithm::ed448:
            return KeyHandle(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448"));
        default:
            return KeyHandle(EVP_RSA_gen(2048));
    }
}

std::string private_pem(EVP_PKEY* pkey) {
    const std::unique_ptr<BIO, Free<BIO_free_all>> memory(BIO_new(BIO_s_mem()));
    require(PEM_write_bio_PrivateKey(memory.get(), pkey, nullptr, nullptr, 0, nullptr, nullptr) == 1, "PEM");
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

Subject make_subject(Algorithm algorithm) {
    Subject subject{algorithm, {}, nullptr, nullptr, {}, {}, {}};
    if (jwt::is_hmac(algorithm)) {
        subject.secret.assign(64, 's');
        subject.key = jwt::Key::from_secret(subject.secret, {algorithm}).value();
    } else {
        subject.pkey = new_pkey(algorithm);
        subject.key = jwt::Key::from_pem(private_pem(subject.pkey.get())).value();
    }
    const std::string header = R"({"alg":")" + std::string(jwt::name(algorithm)) + R"(","typ":"JWT"})";
    std::string payload =
        R"({"fresh":false,"iat":1700000000,"jti":"9b0c7a52-9e3b-4f0a-9a3f-0d6c1c6e2f11","type":"access",)"
        R"("sub":"alice","nbf":1700000000,"exp":4000000000,"role":"reader","fill":")";
    const std::string bare = jwt::base64url::encode(header) + '.' + jwt::base64url::encode(payload);
    const std::size_t signature_size = jwt::sign(*subject.key, algorithm, bare).size() * 4 / 3;
    const std::size_t used = bare.size() + signature_size + 4;
    payload += std::string(used < token_size ? (token_size - used) * 3 / 4 : 0, 'x') + "\"}";
    subject.input = jwt::base64url::encode(header) + '.' + jwt::base64url::encode(payload);
    subject.signature = jwt::sign(*subject.key, algorithm, subject.input);
    subject.token = subject.input + '.' + jwt::base64url::encode(subject.signature);
    return subject;
}

// ---- the bare calls: the least that OpenSSL can be asked to do for this token

void bare_hmac(benchmark::State& state, const Subject& subject) {
    const Mac mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
    const MacContext context(EVP_MAC_CTX_new(mac.get()));
    std::string digest = digest_name(subject.algorithm);
    const std::array parameters{OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
                                OSSL_PARAM_construct_end()};
    require(EVP_MAC_init(context.get(), bytes(subject.secret), subject.secret.size(), parameters.data()) == 1, "HMAC");
    std::array<unsigned char, EVP_MAX_MD_SIZE> out;
    std::size_t size = 0;
    for (auto _ : state) {
        EVP_MAC_init(context.get(), nullptr, 0, nullptr);
        EVP_MAC_update(context.get(), bytes(subject.input), subject.input.size());
        EVP_MAC_final(context.get(), out.data(), &size, out.size());
        benchmark::DoNotOptimize(out);
    }
    require(size == subject.signature.size() && std::equal(out.begin(), out.begin() + size, bytes(subject.signature)),
            "HMAC");
}

void bare_eddsa(benchmark::State& state, const Subject& subject) {
    const DigestContext context(EVP_MD_CTX_new());
    int matches = 0;
    for (auto _ : state) {
        EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, subject.pkey.get());
        matches = EVP_DigestVerify(context.get(), bytes(subject.signature), subject.signature.size(),
                                   bytes(subject.input), subject.input.size());
    }
    require(matches == 1, "EdDSA");
}

std::string der(std::string_view signature) {
    const auto half = static_cast<int>(signature.size() / 2);
    const std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG_free>> pair(ECDSA_SIG_new());
    require(ECDSA_SIG_set0(pair.get(), BN_bin2bn(bytes(signature), half, nullptr),
                           BN_bin2bn(bytes(signature) + half, half, nullptr)) == 1,
            "ECDSA_SIG");
    unsigned char* out = nullptr;
    const int size = i2d_ECDSA_SIG(pair.get(), &out);
    const std::string text(reinterpret_cast<char*>(out), static_cast<std::size_t>(size));
    OPENSSL_free(out);
    return text;
}

/// RSA and ECDSA: a hash and a verification on kept contexts.
void bare_hashed(benchmark::State& state, const Subject& subject) {
    const bool is_ecdsa = EVP_PKEY_get_base_id(subject.pkey.get()) == EVP_PKEY_EC;
    const bool is_pss = jwt::name(subject.algorithm).starts_with("PS");
    const std::string signature = is_ecdsa ? der(subject.signature) : subject.signature;
    const Digest digest(EVP_MD_fetch(nullptr, digest_name(subject.algorithm), nullptr));
    const DigestContext hash(EVP_MD_CTX_new());
    require(EVP_DigestInit_ex2(hash.get(), digest.get(), nullptr) == 1, "digest");
    const KeyContext context(EVP_PKEY_CTX_new(subject.pkey.get(), nullptr));
    require(EVP_PKEY_verify_init(context.get()) == 1, "verify_init");
    require(EVP_PKEY_CTX_set_signature_md(context.get(), digest.get()) == 1, "signature_md");
    if (is_pss) {
        require(EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PSS_PADDING) == 1 &&
                    EVP_PKEY_CTX_set_rsa_pss_saltlen(context.get(), RSA_PSS_SALTLEN_DIGEST) == 1,
                "PSS");
    }
    std::array<unsigned char, EVP_MAX_MD_SIZE> out;
    unsigned size = 0;
    int matches = 0;
    for (auto _ : state) {
        EVP_DigestInit_ex2(hash.get(), nullptr, nullptr);
        EVP_DigestUpdate(hash.get(), subject.input.data(), subject.input.size());
        EVP_DigestFinal_ex(hash.get(), out.data(), &size);
        matches = EVP_PKEY_verify(context.get(), bytes(signature), signature.size(), out.data(), size);
    }
    require(matches == 1, "verify");
}

void bare(benchmark::State& state, const Subject& subject) {
    if (jwt::is_hmac(subject.algorithm)) {
        bare_hmac(state, subject);
    } else if (jwt::name(subject.algorithm).starts_with("Ed")) {
        bare_eddsa(state, subject);
    } else {
        bare_hashed(state, subject);
    }
}

// ---- the core

void signature(benchmark::State& state, const Subject& subject) {
    bool matches = false;
    for (auto _ : state) {
        matches = jwt::signature_matches(*subject.key, subject.algorithm, subject.input, subject.signature);
    }
    require(matches, "signature_matches");
}

void whole(benchmark::State& state, const Subject& subject) {
    jwt::Verifier verifier;
    jwt::KeySet keys;
    keys.add(subject.key);
    const jwt::Policy policy;
    const jwt::Demand demand;
    const jwt::Time now{std::chrono::seconds(1'700'000'100)};
    bool verified = false;
    for (auto _ : state) {
        auto token = verifier.parse(subject.token);
        auto authentic = jwt::Verifier::authenticate(std::move(*token), keys, {subject.algorithm});
        verified = jwt::Verifier::verify(std::move(*authentic), policy, demand, now).has_value();
    }
    require(verified, "verification");
}

// ---- side by side

struct Times {
    std::map<std::string, std::vector<double>> of;  // "bare", "signature", "whole": µs of each repetition

    [[nodiscard]] double median(const std::string& name) {
        std::vector<double>& all = of[name];
        std::sort(all.begin(), all.end());
        return all.empty() ? 0 : all[all.size() / 2];
    }
};

class SideBySide : public benchmark::BenchmarkReporter {
public:
    SideBySide(std::string json, std::vector<std::string> order) : json_(std::move(json)), order_(std::move(order)) {}

    bool ReportContext(const Context&) override { return true; }

    void ReportRuns(const std::vector<Run>& runs) override {
        for (const Run& run : runs) {
            const std::string& name = run.run_name.function_name;
            const std::size_t slash = name.find('/');
            if (run.run_type != Run::RT_Iteration || run.error_occurred || slash == std::string::npos) {
                continue;
            }
            times_[name.substr(0, slash)].of[name.substr(slash + 1)].push_back(run.GetAdjustedCPUTime());
        }
    }

    void Finalize() override {
        std::printf("%-9s %12s %12s %12s %10s %10s\n", "algorithm", "OpenSSL us", "signature us", "whole us",
                    "whole/it", "whole - it");
        std::string json = "{";
        for (const std::string& algorithm : order_) {
            Times& times = times_[algorithm];
            const double floor = times.median("bare");
            const double check = times.median("signature");
            const double all = times.median("whole");
            std::printf("%-9s %12.3f %12.3f %12.3f %10.3f %10.3f\n", algorithm.c_str(), floor, check, all, all / floor,
                        all - floor);
            std::array<char, 256> line{};
            std::snprintf(line.data(), line.size(),
                          "%s\n  \"%s\": {\"openssl\": %.4f, \"signature\": %.4f, \"whole\": %.4f}",
                          json.size() == 1 ? "" : ",", algorithm.c_str(), floor, check, all);
            json += line.data();
        }
        if (std::FILE* const file = json_.empty() ? nullptr : std::fopen(json_.c_str(), "w")) {
            std::fprintf(file, "%s\n}\n", json.c_str());
            std::fclose(file);
        }
    }

private:
    std::string json_;
    std::vector<std::string> order_;
    std::map<std::string, Times> times_;
};

}  // namespace

int main(int count, char** words) {
    std::vector<char*> options{words[0]};
    std::string random = "--benchmark_enable_random_interleaving=true";
    std::string repetitions = "--benchmark_repetitions=9";
    std::string time = "--benchmark_min_time=0.1";
    options.insert(options.end(), {random.data(), repetitions.data(), time.data()});
    std::string json;
    std::string_view only;
    for (int i = 1; i < count; ++i) {
        if (std::string_view(words[i]) == "--json" && i + 1 < count) {
            json = words[++i];
        } else if (std::string_view(words[i]) == "--algorithm" && i + 1 < count) {
            only = words[++i];
        } else {
            options.push_back(words[i]);
        }
    }
    auto size = static_cast<int>(options.size());
    benchmark::Initialize(&size, options.data());
    if (benchmark::ReportUnrecognizedArguments(size, options.data())) {
        return 1;
    }
    std::vector<Subject> subjects;
    subjects.reserve(jwt::algorithm_count);
    std::vector<std::string> order;
    for (std::size_t i = 0; i < jwt::algorithm_count; ++i) {
        const auto algorithm = static_cast<Algorithm>(i);
        if (algorithm == Algorithm::eddsa || (!only.empty() && only != jwt::name(algorithm))) {
            continue;  // EdDSA is Ed25519 by another name
        }
        const Subject& subject = subjects.emplace_back(make_subject(algorithm));
        const std::string name(jwt::name(algorithm));
        order.push_back(name);
        const auto add = [&](const char* what, void (*run)(benchmark::State&, const Subject&)) {
            benchmark::RegisterBenchmark((name + '/' + what).c_str(), [run, &subject](benchmark::State& state) {
                run(state, subject);
            })->Unit(benchmark::kMicrosecond);
        };
        add("bare", bare);
        add("signature", signature);
        add("whole", whole);
    }
    SideBySide reporter(json, order);
    benchmark::RunSpecifiedBenchmarks(&reporter);
    return 0;
}
