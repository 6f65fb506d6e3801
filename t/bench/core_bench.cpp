// The core beside OpenSSL: for each algorithm, in one run and in turns, the bare call with everything prepared, the
// core's check of a signature, and a whole verification from text to proof; and each way to decode the payload of such
// a token. core_bench [--json FILE] [--algorithm ALG] and Google Benchmark's own options.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "bare.hpp"
#include "core/base64url.hpp"
#include "core/base64url_decoders.hpp"
#include "core/jws.hpp"
#include "core/signature.hpp"
#include "core/verifier.hpp"

namespace {

using bench::require;
using bench::Subject;
using jwt::Algorithm;

void bare(benchmark::State& state, const Subject& subject) {
    const auto verify = bench::bare_verification(subject);
    const bench::Signed text = bench::make_signed(subject, 1).front();
    bool matches = false;
    for (auto _ : state) {
        matches = verify(text);
    }
    require(matches, "the bare call");
}

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

void decoding(benchmark::State& state, const Subject& subject, const jwt::base64url::Decoder& decoder) {
    const std::string_view text = jwt::jws::segments(subject.token)->payload;
    std::string bytes(jwt::base64url::decoded_size(text.size()), '\0');
    bool decoded = false;
    for (auto _ : state) {
        decoded = decoder.decode(text, bytes.data());
        benchmark::DoNotOptimize(bytes.data());
        benchmark::ClobberMemory();
    }
    require(decoded, "decoding");
}

// ---- side by side

struct Times {
    std::map<std::string, std::vector<double>>
        of;  // "bare", "signature", "whole", a decoder's name: µs of each repetition

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
        for (const auto& decoder : jwt::base64url::decoders()) {
            std::printf("base64url by %-9.*s %8.4f us\n", static_cast<int>(decoder.name.size()), decoder.name.data(),
                        times_["base64url"].median(std::string(decoder.name)));
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
        const Subject& subject = subjects.emplace_back(bench::make_subject(algorithm));
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
    for (const auto& decoder : jwt::base64url::decoders()) {
        benchmark::RegisterBenchmark(("base64url/" + std::string(decoder.name)).c_str(), [&](benchmark::State& state) {
            decoding(state, subjects.front(), decoder);
        })->Unit(benchmark::kMicrosecond);
    }
    SideBySide reporter(json, order);
    benchmark::RunSpecifiedBenchmarks(&reporter);
    return 0;
}
