#pragma once

#include <span>
#include <string_view>

#include "arguments.hpp"

namespace jwt::command {

enum class Exit : int {
    done = 0,
    refused = 1,  // a token was looked at and refused
    failed = 2,   // nothing was judged: wrong usage, or a file or key that cannot be used
};

struct Subcommand {
    std::string_view name;
    std::string_view help;
    std::span<const Option> options;
    Result<Exit> (*run)(const Arguments& arguments);
};

extern const Subcommand inspect;
extern const Subcommand verify;
extern const Subcommand decrypt;
extern const Subcommand sign;
extern const Subcommand keygen;
extern const Subcommand jwks;

/// `jwt verify --batch`: judges signatures alone, one JSON object a line.
[[nodiscard]] Result<Exit> verify_batch(const Arguments& arguments);

}  // namespace jwt::command
