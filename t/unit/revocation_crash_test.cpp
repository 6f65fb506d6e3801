#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "revocation.hpp"

// What is left of a store when processes, disks and bytes fail.

namespace jwt::revocation {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

const Time now{seconds(1'700'000'000)};

class RevocationCrash : public testing::Test {
protected:
    RevocationCrash() {
        std::string pattern = (std::filesystem::temp_directory_path() / "revocation-XXXXXX").string();
        folder_ = mkdtemp(pattern.data());
    }
    ~RevocationCrash() override { std::filesystem::remove_all(folder_); }

    [[nodiscard]] std::unique_ptr<Store> open(std::uint64_t size = 16 << 20) const {
        auto store = Store::open({folder_, size, false});
        if (!store) {
            throw std::runtime_error(store.error().message);
        }
        return *std::move(store);
    }

    /// Runs in a process of its own, which inherits no open store.
    template <class Body>
    static pid_t run(Body&& body) {
        const pid_t child = fork();
        if (child == 0) {
            _exit(body());
        }
        return child;
    }

    static int status_of(pid_t child) {
        int status = 0;
        waitpid(child, &status, 0);
        return status;
    }

    [[nodiscard]] std::string data() const { return folder_ + "/data.mdb"; }

    std::string folder_;
};

Change token(std::size_t number, std::optional<Time> expires = now + hours(1)) {
    return {.target = {Kind::token, "t" + std::to_string(number)}, .expires = expires};
}

Verdict said_of(Store& store, std::size_t number) {
    return store.check(fingerprint(token(number).target));
}

int times(const char* variable, int otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::atoi(text);
}

TEST_F(RevocationCrash, AKilledWriterLosesNothingAndHoldsUpNobody) {
    std::mt19937 random(1);
    std::set<std::size_t> acknowledged;
    std::size_t next = 0;
    for (int round = 0; round < times("JWT_KILLS", 12); ++round) {
        int ends[2];
        ASSERT_EQ(pipe(ends), 0);
        const std::size_t first = next;
        const pid_t writer = run([&] {
            const auto store = open();
            for (std::size_t i = first;; ++i) {
                const Change change = token(i);
                if (!store->apply({&change, 1}, now) || write(ends[1], &i, sizeof(i)) != sizeof(i)) {
                    return 1;
                }
            }
        });
        close(ends[1]);
        std::this_thread::sleep_for(milliseconds(std::uniform_int_distribution<int>(1, 40)(random)));
        kill(writer, SIGKILL);
        EXPECT_TRUE(WIFSIGNALED(status_of(writer)));
        std::size_t number = 0;
        while (read(ends[0], &number, sizeof(number)) == sizeof(number)) {
            acknowledged.insert(number);
            next = number + 1;
        }
        close(ends[0]);
        ++next;  // it may have written one more
        const pid_t reader = run([&] {
            const auto store = open();
            const Change change = token(1'000'000 + static_cast<std::size_t>(round));
            const auto start = std::chrono::steady_clock::now();
            if (!store->apply({&change, 1}, now) || std::chrono::steady_clock::now() - start > seconds(5)) {
                return 1;
            }
            for (const std::size_t known : acknowledged) {
                if (said_of(*store, known) != Verdict::revoked) {
                    return 2;
                }
            }
            return store->verify() && said_of(*store, 999'999) == Verdict::live ? 0 : 3;
        });
        ASSERT_EQ(status_of(reader), 0) << "round " << round;
    }
    EXPECT_GT(acknowledged.size(), 5U);
}

TEST_F(RevocationCrash, OfTwoProcessesOneIsTheFirst) {
    constexpr std::size_t tokens = 100;
    { const auto made = open(); }
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const auto race = [&] {
        const auto store = open();
        for (std::size_t i = 0; i < tokens; ++i) {
            const Change change = token(i);
            const auto outcome = store->apply({&change, 1}, now);
            if (!outcome) {
                return 1;
            }
            const char won = outcome->front() == Outcome::added ? 'w' : '-';
            if (write(ends[1], &won, 1) != 1) {
                return 2;
            }
        }
        return 0;
    };
    const pid_t one = run(race);
    const pid_t other = run(race);
    EXPECT_EQ(status_of(one), 0);
    EXPECT_EQ(status_of(other), 0);
    close(ends[1]);
    std::size_t won = 0;
    std::size_t all = 0;
    for (char c = 0; read(ends[0], &c, 1) == 1; ++all) {
        won += c == 'w' ? 1U : 0U;
    }
    close(ends[0]);
    EXPECT_EQ(all, 2 * tokens);
    EXPECT_EQ(won, tokens);
}

TEST_F(RevocationCrash, AFullMapKeepsWhatItHasAndCanBeSwept) {
    constexpr std::size_t batch = 30;
    const auto store = open(1 << 20);
    std::size_t count = 0;
    StoreResult<std::vector<Outcome>> outcome = std::vector<Outcome>();
    while (outcome) {
        ASSERT_LT(count, 100'000U);
        std::vector<Change> changes;
        for (std::size_t i = 0; i < batch; ++i) {
            changes.push_back(token(count + i, i % 3 == 2 ? now + seconds(1) : now + hours(1)));
        }
        outcome = store->apply(changes, now);
        count += outcome ? batch : 0;
    }
    EXPECT_EQ(outcome.error().error, StoreError::full);
    EXPECT_GT(count, 500U);
    for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(said_of(*store, i), Verdict::revoked);
    }
    EXPECT_EQ(said_of(*store, count), Verdict::live) << "a batch that failed left nothing";
    Change back = token(0);
    back.remove = true;
    ASSERT_TRUE(store->apply({&back, 1}, now)) << "there is room to take back";
    EXPECT_EQ(said_of(*store, 0), Verdict::live);
    for (bool wrapped = false; !wrapped;) {
        const auto swept = store->sweep(100, now + seconds(1));
        ASSERT_TRUE(swept) << swept.error().message;
        wrapped = swept->wrapped;
    }
    const Change more = token(count);
    EXPECT_TRUE(store->apply({&more, 1}, now)) << "sweeping made room";
    EXPECT_EQ(said_of(*store, count), Verdict::revoked);
    EXPECT_EQ(said_of(*store, 1), Verdict::revoked);
    EXPECT_EQ(said_of(*store, 2), Verdict::live);
    EXPECT_TRUE(store->verify());
}

TEST_F(RevocationCrash, AMapThatAnotherProcessMadeLargerIsOpenedAnew) {
    const auto store = open(1 << 20);
    const pid_t other = run([&] {
        const auto larger = open(64 << 20);
        for (std::size_t first = 0; first < 20'000; first += 1000) {
            std::vector<Change> changes;
            for (std::size_t i = first; i < first + 1000; ++i) {
                changes.push_back(token(i));
            }
            if (!larger->apply(changes, now)) {
                return 1;
            }
        }
        return 0;
    });
    ASSERT_EQ(status_of(other), 0);
    EXPECT_EQ(said_of(*store, 19'999), Verdict::revoked);
    EXPECT_EQ(said_of(*store, 20'000), Verdict::live);
    const Change change = token(20'000);
    EXPECT_TRUE(store->apply({&change, 1}, now));
}

TEST_F(RevocationCrash, DeadReadersDoNotFillTheMap) {
    const auto store = open(2 << 20);
    for (std::size_t round = 0; round < 8; ++round) {
        int ends[2];
        ASSERT_EQ(pipe(ends), 0);
        const pid_t reader = run([&] {
            const auto own = open();
            // A thread of nginx's that lists: its transaction is open when the process dies.
            std::thread lister([&] {
                for (;;) {
                    static_cast<void>(own->list(std::nullopt, 1000));
                }
            });
            static_cast<void>(write(ends[1], "r", 1));
            lister.join();
            return 0;
        });
        char ready = 0;
        ASSERT_EQ(read(ends[0], &ready, 1), 1);
        kill(reader, SIGKILL);
        status_of(reader);
        close(ends[0]);
        close(ends[1]);
        for (std::size_t i = 0; i < 10; ++i) {
            const Change change = token(i);
            const auto written = store->apply({&change, 1}, now);
            ASSERT_TRUE(written) << written.error().message << " in round " << round;
        }
        store->check_readers();
    }
}

TEST_F(RevocationCrash, AReadOnlyFolderIsReadAlone) {
    if (geteuid() == 0) {
        GTEST_SKIP() << "root may write everywhere";
    }
    {
        const auto store = open();
        const Change change = token(1);
        ASSERT_TRUE(store->apply({&change, 1}, now));
    }
    chmod(data().c_str(), 0400);
    const auto store = open();
    EXPECT_EQ(said_of(*store, 1), Verdict::revoked);
    const Change change = token(2);
    EXPECT_EQ(store->apply({&change, 1}, now).error().error, StoreError::read_only);
    chmod(data().c_str(), 0600);
}

// LMDB trusts its file: what a flipped bit does may be anything but a revoked token that lives unnoticed.
TEST_F(RevocationCrash, AFlippedByteBringsNobodyBackUnnoticed) {
    constexpr std::size_t tokens = 300;
    {
        const auto store = open();
        std::vector<Change> changes;
        for (std::size_t i = 0; i < tokens; ++i) {
            changes.push_back(token(i));
        }
        ASSERT_TRUE(store->apply(changes, now));
    }
    std::ifstream file(data(), std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(file), {}};
    const std::size_t used = [&] { return open()->statistics()->used_size; }();
    std::mt19937 random(2);
    int unnoticed = 0;
    int noticed = 0;
    int harmless = 0;
    int ended = 0;
    for (int round = 0; round < times("JWT_FLIPS", 60); ++round) {
        std::string flipped = whole;
        const std::size_t at = std::uniform_int_distribution<std::size_t>(0, used - 1)(random);
        flipped[at] = static_cast<char>(flipped[at] ^ (1 << std::uniform_int_distribution<int>(0, 7)(random)));
        std::ofstream(data(), std::ios::binary | std::ios::trunc) << flipped;
        const pid_t child = run([&] {
            for (const int signal : {SIGSEGV, SIGBUS, SIGABRT}) {
                ::signal(signal, SIG_DFL);
            }
            if (Store::find_damage(folder_)) {
                return 1;
            }
            auto store = Store::open({folder_, 16 << 20, false});
            if (!store || !(*store)->verify()) {
                return 1;
            }
            for (std::size_t i = 0; i < tokens; ++i) {
                if (said_of(**store, i) == Verdict::live) {
                    return 2;
                }
            }
            return 0;
        });
        const int status = status_of(child);
        unnoticed += WIFEXITED(status) && WEXITSTATUS(status) == 2 ? 1 : 0;
        noticed += WIFEXITED(status) && WEXITSTATUS(status) == 1 ? 1 : 0;
        harmless += WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 1 : 0;
        ended += WIFEXITED(status) ? 0 : 1;
    }
    RecordProperty("noticed", noticed);
    RecordProperty("harmless", harmless);
    RecordProperty("process ended", ended);
    EXPECT_EQ(unnoticed, 0);
    EXPECT_GT(noticed, 0);
    EXPECT_GT(harmless, 0);
}

TEST_F(RevocationCrash, AFileThatWasCutShortIsFound) {
    {
        const auto store = open();
        const Change change = token(1);
        ASSERT_TRUE(store->apply({&change, 1}, now));
    }
    EXPECT_FALSE(Store::find_damage(folder_));
    EXPECT_FALSE(Store::find_damage(folder_ + "/none"));
    std::filesystem::resize_file(data(), 3 * 4096);
    ASSERT_TRUE(Store::find_damage(folder_));
    EXPECT_EQ(Store::find_damage(folder_)->error, StoreError::damaged);
    std::filesystem::resize_file(data(), 100);
    EXPECT_TRUE(Store::find_damage(folder_));
    std::filesystem::resize_file(data(), 0);
    EXPECT_FALSE(Store::find_damage(folder_)) << "made, and broken off";
    EXPECT_EQ(said_of(*open(), 1), Verdict::live);
}

}  // namespace
}  // namespace jwt::revocation
