#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace jwt {

/// A set of enumerators, the largest of them below 32; passed by value.
template <class Enum>
class EnumSet {
public:
    constexpr EnumSet() noexcept = default;
    constexpr EnumSet(std::initializer_list<Enum> members) noexcept {
        for (const Enum member : members) {
            add(member);
        }
    }

    constexpr void add(Enum member) noexcept { bits_ |= bit(member); }
    [[nodiscard]] constexpr bool has(Enum member) const noexcept { return (bits_ & bit(member)) != 0; }
    [[nodiscard]] constexpr bool empty() const noexcept { return bits_ == 0; }

    friend constexpr EnumSet operator&(EnumSet a, EnumSet b) noexcept { return EnumSet(a.bits_ & b.bits_); }
    friend constexpr EnumSet operator|(EnumSet a, EnumSet b) noexcept { return EnumSet(a.bits_ | b.bits_); }
    friend constexpr bool operator==(EnumSet, EnumSet) noexcept = default;

private:
    constexpr explicit EnumSet(std::uint32_t bits) noexcept : bits_(bits) {}
    static constexpr std::uint32_t bit(Enum member) noexcept {
        return std::uint32_t{1} << static_cast<unsigned>(member);
    }

    std::uint32_t bits_ = 0;
};

}  // namespace jwt
