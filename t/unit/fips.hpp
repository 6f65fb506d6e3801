#pragma once

#include <gtest/gtest.h>
#include <openssl/core_dispatch.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace jwt {

/// OpenSSL's own default properties, as `default_properties = fips=yes` of openssl.cnf sets them.
struct FipsWanted {
    FipsWanted() { EXPECT_EQ(EVP_default_properties_enable_fips(nullptr, 1), 1); }
    FipsWanted(const FipsWanted&) = delete;
    FipsWanted& operator=(const FipsWanted&) = delete;
    ~FipsWanted() { EXPECT_EQ(EVP_set_default_properties(nullptr, ""), 1); }
};

/// A provider that says to be validated, and has what the default provider has: Debian has no other.
class FipsProvider {
public:
    static constexpr const char* name = "as-if-validated";

    FipsProvider() {
        EXPECT_NE(default_provider(), nullptr);
        EXPECT_EQ(OSSL_PROVIDER_add_builtin(nullptr, name, initialize), 1);
        provider_ = OSSL_PROVIDER_load(nullptr, name);
        EXPECT_NE(provider_, nullptr);
    }
    FipsProvider(const FipsProvider&) = delete;
    FipsProvider& operator=(const FipsProvider&) = delete;
    ~FipsProvider() { EXPECT_EQ(OSSL_PROVIDER_unload(provider_), 1); }

private:
    /// Never unloaded: who names a provider has no other unless he names it too.
    static OSSL_PROVIDER* default_provider() {
        static OSSL_PROVIDER* const provider = OSSL_PROVIDER_load(nullptr, "default");
        return provider;
    }

    static const OSSL_ALGORITHM* query(void* /*context*/, int operation, int* no_cache) {
        static std::map<int, std::vector<OSSL_ALGORITHM>> known;
        static std::deque<std::string> properties;
        const auto [place, is_new] = known.try_emplace(operation);
        if (!is_new) {
            return place->second.data();
        }
        const OSSL_ALGORITHM* algorithm = OSSL_PROVIDER_query_operation(default_provider(), operation, no_cache);
        for (; algorithm != nullptr && algorithm->algorithm_names != nullptr; ++algorithm) {
            std::string property = algorithm->property_definition;
            property.replace(property.find("default"), std::string("default").size(), name);
            if (const std::size_t said = property.find("fips="); said == std::string::npos) {
                property += ",fips=yes";
            } else {
                property.replace(said, property.find(',', said) - said, "fips=yes");
            }
            properties.push_back(std::move(property));
            place->second.push_back(*algorithm);
            place->second.back().property_definition = properties.back().c_str();
        }
        place->second.push_back({});
        return place->second.data();
    }

    static int initialize(const OSSL_CORE_HANDLE* /*handle*/, const OSSL_DISPATCH* /*in*/, const OSSL_DISPATCH** out,
                          void** context) {
        static const OSSL_DISPATCH functions[] = {
            {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(query)}, {0, nullptr}};
        *out = functions;
        *context = OSSL_PROVIDER_get0_provider_ctx(default_provider());
        return 1;
    }

    OSSL_PROVIDER* provider_ = nullptr;
};

}  // namespace jwt
