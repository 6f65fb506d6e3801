#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/key.hpp"
#include "core/openssl.hpp"

namespace bench {

/// Ends the program: a benchmark of what does not work measures nothing.
void require(bool good, const char* what);

/// A key of an algorithm, and a token that it signed.
struct Subject {
    jwt::Algorithm algorithm;
    std::string secret;       // of HS
    jwt::openssl::Pkey pkey;  // of the others
    std::shared_ptr<const jwt::Key> key;
    std::string token;
    std::string input;
    std::string signature;  // as in the token
};

/// A token of about 500 bytes.
[[nodiscard]] Subject make_subject(jwt::Algorithm algorithm);

/// A text and its signature, in the form that OpenSSL wants.
struct Signed {
    std::string input;
    std::string signature;
};
/// Texts of the subject's size that its key signed, each another one: what a verification takes depends on its numbers.
[[nodiscard]] std::vector<Signed> make_signed(const Subject& subject, std::size_t count);

/// The least that OpenSSL can be asked to do for a token: a call with everything prepared, which says whether the
/// signature matches. It refers to the subject.
[[nodiscard]] std::function<bool(const Signed&)> bare_verification(const Subject& subject);

}  // namespace bench
