// Fills a revocation store with so many tokens, and times checks beside those of an empty one:
//
//     revocation_fill FOLDER EMPTY_FOLDER COUNT [SIZE]
//
// Both folders must exist. A later run with a larger COUNT goes on where this one ended.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "random.hpp"
#include "revocation.hpp"

namespace {

using namespace jwt::revocation;
using Clock = std::chrono::steady_clock;

constexpr std::size_t batch = 2000;
constexpr std::size_t looked_up = 200'000;

std::string jti(std::uint64_t number) {
    char text[40];
    std::mt19937_64 random(number);
    const std::uint64_t high = random();
    const std::uint64_t low = random();
    std::snprintf(text, sizeof(text), "%08x-%04x-4%03x-%04x-%012llx", static_cast<unsigned>(high >> 32U),
                  static_cast<unsigned>(high >> 16U & 0xffffU), static_cast<unsigned>(high & 0xfffU),
                  static_cast<unsigned>(low >> 48U), static_cast<unsigned long long>(low & 0xffffffffffffU));
    return text;
}

jwt::Time now() {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

/// What others do on the machine does not count.
double processor_nanoseconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

std::unique_ptr<Store> opened(const char* folder, std::uint64_t size) {
    auto store = Store::open({folder, size, false});
    if (!store) {
        std::fprintf(stderr, "the revocation store %s %s\n", folder, store.error().message.c_str());
        std::exit(1);
    }
    return *std::move(store);
}

/// Of tokens as they come: all that a token has, by number.
std::vector<Fingerprint> fingerprints(std::uint64_t first, std::uint64_t count) {
    std::vector<Fingerprint> result;
    jwt::json::Parser parser;
    std::mt19937_64 random(first);
    for (std::size_t i = 0; i < looked_up; ++i) {
        jwt::json::Document document;
        const std::string claims =
            R"({"jti":")" + jti(first + random() % count) + R"(","sub":"alice","sid":"x","iss":"me","iat":1700000000})";
        result.push_back(fingerprint(*parser.parse(claims, document), "kid", "a.b"));
    }
    return result;
}

void time_checks(const char* name, Store& store, const std::vector<Fingerprint>& asked) {
    for (int round = 0; round < 3; ++round) {
        std::size_t revoked = 0;
        const double start = processor_nanoseconds();
        for (const Fingerprint& one : asked) {
            revoked += store.check(one) == Verdict::revoked ? 1U : 0U;
        }
        std::printf("%-28s %7.0f ns of CPU a check, %zu of %zu revoked\n", name,
                    (processor_nanoseconds() - start) / looked_up, revoked, asked.size());
    }
}

}  // namespace

int main(int count, char** arguments) {
    if (count < 4) {
        std::fprintf(stderr, "usage: revocation_fill FOLDER EMPTY_FOLDER COUNT [SIZE]\n");
        return 2;
    }
    const std::uint64_t wanted = std::strtoull(arguments[3], nullptr, 10);
    const std::uint64_t size = count > 4 ? std::strtoull(arguments[4], nullptr, 10) : std::uint64_t{8} << 30;
    const auto store = opened(arguments[1], size);
    const auto empty = opened(arguments[2], size);

    const auto start = Clock::now();
    std::uint64_t filled = store->statistics()->tokens;
    while (filled < wanted) {
        std::vector<Change> changes;
        for (; changes.size() < batch && filled < wanted; ++filled) {
            changes.push_back({.target = {Kind::token, jti(filled), Issuer::named("me")},
                               .expires = now() + std::chrono::hours(24 * 30)});
        }
        if (const auto outcome = store->apply(changes, now()); !outcome) {
            std::fprintf(stderr, "at %llu: %s\n", static_cast<unsigned long long>(filled),
                         outcome.error().message.c_str());
            return 1;
        }
    }
    const std::chrono::duration<double> taken = Clock::now() - start;
    const auto statistics = store->statistics();
    std::printf("%llu tokens in %.1f s; %.0f MB in use, %.0f MB of them free, %.0f bytes a token\n",
                static_cast<unsigned long long>(statistics->tokens), taken.count(),
                static_cast<double>(statistics->used_size) / 1e6, static_cast<double>(statistics->free_size) / 1e6,
                static_cast<double>(statistics->used_size - statistics->free_size) /
                    static_cast<double>(std::max<std::uint64_t>(statistics->tokens, 1)));

    const auto others = fingerprints(std::uint64_t{1} << 40U, std::uint64_t{1} << 30U);
    const auto known = fingerprints(0, std::max<std::uint64_t>(filled, 1));
    time_checks("empty store", *empty, others);
    time_checks("full store, not revoked", *store, others);
    time_checks("full store, revoked", *store, known);
    time_checks("empty store", *empty, known);

    const auto swept_at = Clock::now();
    std::size_t calls = 0;
    double longest = 0;
    for (bool wrapped = false; !wrapped; ++calls) {
        const auto one = Clock::now();
        const auto swept = store->sweep(10'000, now());
        wrapped = !swept || swept->wrapped;
        longest = std::max(longest, std::chrono::duration<double, std::milli>(Clock::now() - one).count());
    }
    std::printf("sweep: %zu times 10000 records in %.2f s, the longest %.2f ms\n", calls,
                std::chrono::duration<double>(Clock::now() - swept_at).count(), longest);
    return 0;
}
