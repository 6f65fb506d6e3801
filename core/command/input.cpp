#include "input.hpp"

#include <strings.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "output.hpp"

namespace jwt::command {
namespace {

constexpr std::size_t max_input = std::size_t{16} * 1024 * 1024;

struct CloseFile {
    void operator()(std::FILE* file) const noexcept {
        if (file != stdin) {
            std::fclose(file);
        }
    }
};

[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept {
    constexpr std::string_view space = " \t\r\n";
    const std::size_t first = text.find_first_not_of(space);
    return first == std::string_view::npos ? std::string_view()
                                           : text.substr(first, text.find_last_not_of(space) - first + 1);
}

/// As jwt_secret_key file:… reads it: without the line end that an editor adds.
[[nodiscard]] Result<std::string> secret_file(std::string_view path, Inputs& inputs) {
    auto text = inputs.read("secret file", path);
    if (text && text->ends_with('\n')) {
        text->pop_back();
        if (text->ends_with('\r')) {
            text->pop_back();
        }
    }
    return text;
}

[[nodiscard]] Result<std::string> secret_variable(std::string_view name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread.
    const char* const value = std::getenv(std::string(name).c_str());
    if (value == nullptr) {
        return failure("environment variable " + quoted(name) + " is not set: export it, or name another");
    }
    return std::string(value);
}

[[nodiscard]] AlgorithmSet hmac_among(AlgorithmSet wanted) noexcept {
    return wanted.empty() ? AlgorithmSet{Algorithm::hs256} : wanted & hmac_algorithms;
}

[[nodiscard]] std::optional<std::string> add_secret(KeySet& keys, std::string_view name, const std::string& secret,
                                                    AlgorithmSet wanted) {
    auto key = Key::from_secret(secret, hmac_among(wanted));
    if (!key) {
        return "secret " + quoted(name) + " " + key.error().message;
    }
    keys.add(*std::move(key));
    return std::nullopt;
}

}  // namespace

Result<std::string> Inputs::read(std::string_view what, std::string_view path) {
    if (path == "-" && stdin_read_) {
        return failure("standard input (\"-\") is named twice, and can be read once: name a file for one of them");
    }
    stdin_read_ = stdin_read_ || path == "-";
    const std::string named = std::string(what) + " " + quoted(path);
    const std::unique_ptr<std::FILE, CloseFile> file(path == "-" ? stdin : std::fopen(std::string(path).c_str(), "rb"));
    if (file == nullptr) {
        return failure(named + " cannot be opened: " + system_error());
    }
    std::string text;
    std::vector<char> buffer(std::size_t{64} * 1024);
    while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
        text.append(buffer.data(), count);
        if (text.size() > max_input) {
            return failure(named + " is larger than 16 MiB: name another file");
        }
    }
    if (std::ferror(file.get()) != 0) {
        return failure(named + " cannot be read: " + system_error());
    }
    return text;
}

Result<std::string> token_operand(const Arguments& arguments, Inputs& inputs) {
    if (arguments.operands().size() != 1) {
        return failure(arguments.operands().empty()
                           ? "no token is given: write it as the last word, or \"-\" to read it from standard input"
                           : "more than one token is given: write one, without spaces in it");
    }
    const std::string_view operand = arguments.operands().front();
    if (operand != "-") {
        return std::string(trimmed(operand));
    }
    return inputs.read("standard input", operand).map([](const std::string& text) {
        return std::string(trimmed(text));
    });
}

Result<Algorithm> algorithm_of(std::string_view name) {
    if (const auto algorithm = algorithm_named(name)) {
        return *algorithm;
    }
    AlgorithmSet all;
    for (std::size_t i = 0; i < algorithm_count; ++i) {
        const auto algorithm = static_cast<Algorithm>(i);
        const std::string_view right = jwt::name(algorithm);
        if (right.size() == name.size() && strncasecmp(right.data(), name.data(), name.size()) == 0) {
            return failure("algorithm " + quoted(name) + " is not spelled as registered: write " + std::string(right));
        }
        all.add(algorithm);
    }
    return failure("there is no signature algorithm " + quoted(name) + ": write one of " + names(all));
}

Result<AlgorithmSet> algorithms_of(const Arguments& arguments) {
    AlgorithmSet algorithms;
    for (std::string_view list : arguments.values("--algorithm")) {
        for (;;) {
            const std::size_t comma = std::min(list.find(','), list.size());
            const auto algorithm = algorithm_of(list.substr(0, comma));
            if (!algorithm) {
                return tl::unexpected(algorithm.error());
            }
            algorithms.add(*algorithm);
            if (comma == list.size()) {
                break;
            }
            list.remove_prefix(comma + 1);
        }
    }
    return algorithms;
}

Result<KeySet> key_file(std::string_view path, Inputs& inputs) {
    const auto text = inputs.read("key file", path);
    if (!text) {
        return tl::unexpected(text.error());
    }
    std::vector<std::string> complaints;
    auto keys = KeySet::from_text(*text, &complaints);
    for (const std::string& complaint : complaints) {
        print_error("note: key file " + quoted(path) + ": " + complaint);
    }
    return std::move(keys).map_error(
        [path](const KeyError& error) { return "key file " + quoted(path) + " " + error.message; });
}

Result<KeySet> keys_of(const Arguments& arguments, Inputs& inputs, AlgorithmSet wanted) {
    KeySet keys;
    for (const auto& [option, value] : arguments.options()) {
        if (option == "--key") {
            const auto read = key_file(value, inputs);
            if (!read) {
                return tl::unexpected(read.error());
            }
            for (const auto& key : read->keys()) {
                keys.add(key);
            }
        } else if (option == "--secret-file" || option == "--secret-env") {
            const auto secret = option == "--secret-env" ? secret_variable(value) : secret_file(value, inputs);
            if (!secret) {
                return tl::unexpected(secret.error());
            }
            if (auto fault = add_secret(keys, value, *secret, wanted)) {
                return failure(*std::move(fault));
            }
        }
    }
    if (keys.empty()) {
        return failure(
            "no key is named: write --key FILE (PEM, JWK or JWK Set), --secret-file FILE or --secret-env NAME");
    }
    return keys;
}

}  // namespace jwt::command
