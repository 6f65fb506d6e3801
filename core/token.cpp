#include "token.hpp"

#include <algorithm>
#include <cstring>

namespace jwt {
namespace {

/// Takes memory from the front of a block.
class Space {
public:
    explicit Space(std::byte* at) noexcept : at_(at) {}

    [[nodiscard]] std::byte* take(std::size_t size) noexcept { return std::exchange(at_, at_ + size); }

    [[nodiscard]] std::string_view copy(std::string_view text) noexcept {
        auto* const to = reinterpret_cast<char*>(take(text.size()));
        std::copy(text.begin(), text.end(), to);
        return {to, text.size()};
    }

private:
    std::byte* at_;
};

}  // namespace

TokenParts::TokenParts(const Source& source, const TokenParts* spare) {
    const bool wrapped = source.presented.data() != source.text.data();
    const std::size_t header_size = source.header.packed_size();
    const std::size_t payload_size = source.payload.packed_size();
    const std::size_t size = sizeof(Block) + header_size + payload_size + source.text.size() + source.signature.size() +
                             (wrapped ? source.presented.size() : 0);
    std::size_t capacity = size;
    std::size_t references = 1;
    std::byte* memory = nullptr;
    if (spare != nullptr && spare->block_->references == 1 && spare->block_->capacity >= size) {
        references = 2;
        capacity = spare->block_->capacity;
        memory = reinterpret_cast<std::byte*>(spare->block_);
    } else {
        memory = static_cast<std::byte*>(::operator new(size));
    }
    Space space(memory + sizeof(Block));
    const json::Value header = source.header.pack_into(space.take(header_size));
    const Claims claims(source.payload.pack_into(space.take(payload_size)));
    block_ = new (memory) Block{references, capacity, size,   source.signing_input_size, 0,   0, {}, {},
                                {},         header,   claims, source.decrypted_by,       true};
    const std::string_view text = space.copy(source.text);
    block_->text = text;
    block_->signature = space.copy(source.signature);
    block_->presented = wrapped ? space.copy(source.presented) : text;
}

TokenParts::TokenParts(const TokenParts& other, std::byte* memory) noexcept : block_(reinterpret_cast<Block*>(memory)) {
    // All is read from the original: what was written just now is on its way to memory that may be far.
    const Block& original = *other.block_;
    const std::byte* const from = other.address();
    std::memcpy(memory, &original, original.size);
    block_->references = 1;
    block_->is_own = false;
    block_->header = json::moved(original.header, from, memory);
    block_->claims.move_to(json::moved(original.claims.payload(), from, memory));
    const auto moved = [from, memory](std::string_view part) {
        const std::byte* const bytes = memory + (reinterpret_cast<const std::byte*>(part.data()) - from);
        return std::string_view(reinterpret_cast<const char*>(bytes), part.size());
    };
    block_->text = moved(original.text);
    block_->presented = moved(original.presented);
    block_->signature = moved(original.signature);
}

AuthenticToken AuthenticToken::copied_to(std::byte* memory, revocation::FingerprintMemo* memo) const noexcept {
    AuthenticToken copy(UnverifiedToken(TokenParts(parts_, memory)), algorithm_, kid_);
    copy.memo_ = memo;
    return copy;
}

}  // namespace jwt
