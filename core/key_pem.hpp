#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "key_material.hpp"

namespace jwt {

/// `openssl ecparam -genkey` writes one before the key, which says it all again.
inline constexpr std::string_view ec_parameters_label = "EC PARAMETERS";

struct PemBlock {
    std::string label;
    std::string header;  // of RFC 1421, where old encrypted keys say so
    openssl::Secret der;
};

/// Reads the blocks of a PEM text (RFC 7468) one after the other; text between them is passed over.
class PemReader {
public:
    static constexpr std::size_t max_text_size = std::size_t{16} * 1024 * 1024;

    /// `text` must outlive the reader.
    explicit PemReader(std::string_view text);

    /// The next block, or nothing at the end and at a block that cannot be read.
    [[nodiscard]] std::optional<PemBlock> next();
    [[nodiscard]] bool damaged() const noexcept { return damaged_; }

private:
    openssl::Bio bio_;
    bool damaged_ = false;
};

/// One block as a key that passed examine().
[[nodiscard]] MaterialResult material_of_pem(const PemBlock& block);

}  // namespace jwt
