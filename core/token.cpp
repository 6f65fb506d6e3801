#include "token.hpp"

#include <algorithm>

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

TokenParts::TokenParts(const Source& source) {
    const bool wrapped = source.presented != source.text;
    const std::size_t header_size = source.header.packed_size();
    const std::size_t payload_size = source.payload.packed_size();
    const std::size_t size = sizeof(Block) + header_size + payload_size + source.text.size() + source.signature.size() +
                             (wrapped ? source.presented.size() : 0);
    auto* const memory = static_cast<std::byte*>(::operator new(size));
    block_ = new (memory) Block{1, size, source.signing_input_size, {}, {}, {}, {}, {}};
    Space space(memory + sizeof(Block));
    block_->header = source.header.pack_into(space.take(header_size));
    block_->payload = source.payload.pack_into(space.take(payload_size));
    block_->text = space.copy(source.text);
    block_->signature = space.copy(source.signature);
    block_->presented = wrapped ? space.copy(source.presented) : block_->text;
}

}  // namespace jwt
