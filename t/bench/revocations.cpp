// A revocation store with so many entries: bench_revocations FOLDER COUNT

#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/revocation.hpp"

int main(int count, char** words) {
    namespace revocation = jwt::revocation;
    constexpr std::size_t batch = 250'000;  // a commit waits for the disk
    constexpr std::uint64_t map_size = std::uint64_t{8} << 30;

    if (count != 3) {
        std::fputs("bench_revocations FOLDER COUNT\n", stderr);
        return 1;
    }
    std::size_t wanted = 0;
    const std::string_view number(words[2]);
    std::from_chars(number.data(), number.data() + number.size(), wanted);
    std::filesystem::create_directories(words[1]);
    const auto store = revocation::Store::open({words[1], map_size});
    if (!store) {
        std::fprintf(stderr, "bench_revocations: the revocation store %s\n", store.error().message.c_str());
        return 1;
    }
    const auto now = std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
    std::vector<revocation::Change> changes;
    for (std::size_t i = 0; i < wanted;) {
        changes.clear();
        for (; i < wanted && changes.size() < batch; ++i) {
            changes.push_back(
                {{revocation::Kind::token, "revoked-" + std::to_string(i)}, now + std::chrono::hours(24 * 365)});
        }
        if (const auto done = (*store)->apply(changes, now); !done) {
            std::fprintf(stderr, "bench_revocations: the revocation store %s\n", done.error().message.c_str());
            return 1;
        }
    }
    return 0;
}
