#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace jwt {

/// An Ed25519 public key whose signatures libsodium verifies (RFC 8032 §5.1.7), in less than half the time of OpenSSL.
/// Both take the same signatures, those that fulfil the equation without the cofactor, with S below the group's order;
/// libsodium also refuses an R of small order, which no signer makes: its r would be 0.
/// Immutable: threads may share one.
class Ed25519Verifier {
public:
    static constexpr std::size_t key_size = 32;
    static constexpr std::size_t signature_size = 64;

    /// `encoded` is a point that edwards_fault() let through. Nothing where libsodium cannot be used.
    [[nodiscard]] static std::optional<Ed25519Verifier> of(const std::array<unsigned char, key_size>& encoded) noexcept;

    [[nodiscard]] bool matches(std::string_view input, std::string_view signature) const noexcept;

private:
    explicit Ed25519Verifier(const std::array<unsigned char, key_size>& encoded) noexcept : encoded_(encoded) {}

    std::array<unsigned char, key_size> encoded_;
};

}  // namespace jwt
