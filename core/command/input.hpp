#pragma once

#include <string>
#include <string_view>

#include "../algorithm.hpp"
#include "../key.hpp"
#include "arguments.hpp"

namespace jwt::command {

/// Files and standard input, which "-" names and which can be read once.
class Inputs {
public:
    /// All of a file; an error sentence completes with what `what` is ("key file").
    [[nodiscard]] Result<std::string> read(std::string_view what, std::string_view path);

private:
    bool stdin_read_ = false;
};

/// The one operand, a token or "-", without white space around it.
[[nodiscard]] Result<std::string> token_operand(const Arguments& arguments, Inputs& inputs);

/// The algorithms of that exact name; the error suggests one.
[[nodiscard]] Result<Algorithm> algorithm_of(std::string_view name);

/// All of --algorithm: several times, or several with commas. Empty where there is none.
[[nodiscard]] Result<AlgorithmSet> algorithms_of(const Arguments& arguments);

/// The keys of --key, --secret-file and --secret-env. Secrets serve the HS algorithms of `wanted`, or HS256 where it is
/// empty. Keys of a set that cannot be used are named on standard error.
[[nodiscard]] Result<KeySet> keys_of(const Arguments& arguments, Inputs& inputs, AlgorithmSet wanted);

/// The keys of one file, complaints on standard error.
[[nodiscard]] Result<KeySet> key_file(std::string_view path, Inputs& inputs);

}  // namespace jwt::command
