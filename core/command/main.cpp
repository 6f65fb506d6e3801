#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <span>
#include <string>
#include <string_view>

#include "command.hpp"
#include "output.hpp"

namespace jwt::command {
namespace {

constexpr std::string_view version = "0.1.0";

constexpr std::string_view overview = R"(jwt - look at, verify and make JSON Web Tokens, and the keys for them

  jwt inspect TOKEN          what is in a token, and what is wrong with its form
  jwt verify --key FILE TOKEN
                             whether keys made a token, and why it is refused
  jwt verify --batch [FILE]  judge signatures, one JSON object a line
  jwt decrypt --key FILE TOKEN
                             what is in an encrypted token
  jwt sign --key FILE --identity ID
                             make a token
  jwt keygen ALGORITHM       make a key
  jwt jwks FILE...           the public JWK Set of keys, to be published

"-" in place of a token or file is standard input. "jwt SUBCOMMAND --help" tells more.
Exit status: 0 done, 1 the token is refused, 2 nothing was judged (usage, files, keys).
)";

constexpr std::array subcommands = {&inspect, &verify, &decrypt, &sign, &keygen, &jwks};

[[nodiscard]] bool asks_for_help(std::span<char* const> words) {
    const auto options = words.first(static_cast<std::size_t>(
        std::ranges::find(words, std::string_view("--"), [](const char* word) { return std::string_view(word); }) -
        words.begin()));
    return std::ranges::any_of(
        options, [](const char* word) { return std::string_view(word) == "--help" || std::string_view(word) == "-h"; });
}

[[nodiscard]] Result<Exit> run_subcommand(const Subcommand& subcommand, std::span<char* const> words) {
    if (asks_for_help(words)) {
        print(subcommand.help);
        return Exit::done;
    }
    return Arguments::parse(words, subcommand.options).and_then(subcommand.run);
}

[[nodiscard]] Exit run(std::span<char* const> words) {
    if (words.empty()) {
        print_error("no subcommand is given: \"jwt --help\" lists them");
        return Exit::failed;
    }
    const std::string_view word = words.front();
    if (word == "--help" || word == "-h" || word == "help") {
        print(overview);
        return Exit::done;
    }
    if (word == "--version") {
        print("jwt " + std::string(version) + "\n");
        return Exit::done;
    }
    for (const Subcommand* subcommand : subcommands) {
        if (subcommand->name == word) {
            const auto exit = run_subcommand(*subcommand, words.subspan(1));
            if (!exit) {
                print_error(std::string(word) + ": " + exit.error());
            }
            return exit.value_or(Exit::failed);
        }
    }
    print_error("there is no subcommand " + quoted(word) + ": \"jwt --help\" lists those there are");
    return Exit::failed;
}

}  // namespace
}  // namespace jwt::command

int main(int count, char** words) {
    using jwt::command::Exit;
    Exit exit = Exit::failed;
    try {
        exit = jwt::command::run(
            std::span<char* const>(words, static_cast<std::size_t>(count)).subspan(count > 0 ? 1 : 0));
    } catch (const std::exception& error) {
        jwt::command::print_error(error.what());
    }
    // A full disk must not pass for a result.
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
        jwt::command::print_error("the output cannot be written");
        exit = Exit::failed;
    }
    return static_cast<int>(exit);
}
