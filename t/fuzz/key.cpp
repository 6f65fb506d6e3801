#include "key.hpp"

#include <optional>
#include <string>
#include <vector>

#include "check.hpp"

using namespace jwt;

namespace {

/// A key that was taken says what it is for, and its public half survives the way out and in again.
void check_key(const Key& key) {
    check(!key.verifies().empty() || !key.signs().empty() || !key.encrypts().empty() || !key.decrypts().empty());
    check((key.decrypts() & rsa_managements).empty() || !key.symmetric());
    check(!key.description().empty());
    check((key.signs() & key.verifies()) == key.signs());
    const std::optional<std::string> jwk = key.public_jwk();
    check(jwk.has_value() != key.symmetric());
    if (!jwk) {
        return;
    }
    for (const std::string_view member : {"\"d\":", "\"p\":", "\"q\":", "\"dp\":", "\"dq\":", "\"qi\":", "\"k\":"}) {
        check(jwk->find(member) == std::string::npos);
    }
    const auto again = KeySet::from_text(*jwk);
    check(again && again->keys().size() == 1);
    const Key& copy = *again->keys().front();
    check(copy.public_jwk() == jwk);
    check(copy.kid() == key.kid());
    check(copy.verifies() == (key.verifies() | key.signs()));
    check(copy.signs().empty());
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::string> complaints;
    const auto keys = KeySet::from_text(text_of(data, size), &complaints);
    if (!keys) {
        check(!keys.error().message.empty());
        return 0;
    }
    check(!keys->empty());
    for (const auto& key : keys->keys()) {
        check_key(*key);
    }
    return 0;
}
