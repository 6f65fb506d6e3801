#include "random.hpp"

#include <gtest/gtest.h>

#include <set>

namespace jwt {
namespace {

TEST(Random, BytesAreAsManyAsAskedForAndDiffer) {
    EXPECT_EQ(random_bytes(0), "");
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i) {
        const std::string bytes = random_bytes(16);
        EXPECT_EQ(bytes.size(), 16U);
        EXPECT_TRUE(seen.insert(bytes).second);
    }
}

TEST(Random, UuidIsOfVersion4) {
    std::set<std::string> seen;
    std::set<char> variants;
    for (int i = 0; i < 1000; ++i) {
        const std::string uuid = random_uuid();
        ASSERT_EQ(uuid.size(), 36U);
        for (std::size_t at = 0; at < uuid.size(); ++at) {
            if (at == 8 || at == 13 || at == 18 || at == 23) {
                EXPECT_EQ(uuid[at], '-');
            } else {
                EXPECT_NE(std::string("0123456789abcdef").find(uuid[at]), std::string::npos) << uuid;
            }
        }
        EXPECT_EQ(uuid[14], '4');
        variants.insert(uuid[19]);
        EXPECT_TRUE(seen.insert(uuid).second);
    }
    EXPECT_EQ(variants, (std::set<char>{'8', '9', 'a', 'b'}));
}

}  // namespace
}  // namespace jwt
