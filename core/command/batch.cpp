#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "../base64url.hpp"
#include "../jws.hpp"
#include "../signature.hpp"
#include "command.hpp"

namespace jwt::command {
namespace {

struct CloseFile {
    void operator()(std::FILE* file) const noexcept {
        if (file != stdin) {
            std::fclose(file);
        }
    }
};

/// The payload, or the word for what is wrong.
using Verdict = tl::expected<std::string, std::string_view>;

// Two words that are no Error, as no token was looked at.
constexpr std::string_view input_word = "input";
constexpr std::string_view key_word = "key";

[[nodiscard]] tl::unexpected<std::string_view> invalid(std::string_view error) {
    return tl::unexpected(error);
}

/// The string members of a line.
struct Line {
    std::optional<std::string_view> token;
    std::optional<std::string_view> alg;
    std::optional<std::string_view> input;
    std::optional<std::string_view> signature;
};

[[nodiscard]] std::optional<Line> read_line(json::Value object) {
    const auto text = [object](std::string_view name) {
        const auto member = object.member(name);
        return member ? member->string() : std::nullopt;
    };
    const Line line{text("token"), text("alg"), text("input"), text("signature")};
    const bool has_signature = line.alg && line.input && line.signature;
    // Both forms in one line would leave open which of them the verdict is about.
    if (!object.member("jwk") || (line.token && (object.member("input") || object.member("signature"))) ||
        (!line.token && !has_signature)) {
        return std::nullopt;
    }
    return line;
}

[[nodiscard]] Verdict judge_signature(const Line& line, const KeySet& keys) {
    auto input = base64url::decode(*line.input);
    if (!input) {
        return invalid(input_word);
    }
    const auto algorithm = algorithm_named(*line.alg);
    if (!algorithm || !keys.verifies().has(*algorithm)) {
        return invalid(word(Error::algorithm_not_allowed));
    }
    const auto signature = jws::decoded_signature(*line.signature);
    if (!signature) {
        return invalid(word(signature.error().error));
    }
    for (const Key* key : keys.candidates(*algorithm, std::nullopt)) {
        if (signature_matches(*key, *algorithm, *input, *signature)) {
            return *std::move(input);
        }
    }
    return invalid(word(Error::signature));
}

[[nodiscard]] Verdict judge(json::Value object, json::Parser& parser) {
    const auto line = read_line(object);
    if (!line) {
        return invalid(input_word);
    }
    const auto keys = KeySet::from_json(*object.member("jwk"));
    if (!keys || keys->verifies().empty()) {
        return invalid(key_word);
    }
    if (!line->token) {
        return judge_signature(*line, *keys);
    }
    return jws::authentic_payload(*line->token, *keys, keys->verifies(), parser).map_error([](const Refusal& refused) {
        return word(refused.error);
    });
}

[[nodiscard]] std::string answer(std::string_view text, json::Parser& line_parser, json::Parser& header_parser) {
    json::Document document;
    std::string out = R"({"id":)";
    const auto object = line_parser.parse_object(text, document);
    object.value_or(json::Value()).member("id").value_or(json::Value()).append_to(out);
    const Verdict verdict = object ? judge(*object, header_parser) : invalid(input_word);
    if (verdict) {
        out.append(R"(,"result":"valid","payload":")").append(base64url::encode(*verdict));
    } else {
        out.append(R"(,"result":"invalid","error":")").append(verdict.error());
    }
    return out.append("\"}\n");
}

struct FreeLine {
    void operator()(char* line) const noexcept { std::free(line); }
};

void answer_lines(std::FILE* file) {
    // Whoever writes a line and waits for its answer gets it.
    std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
    json::Parser line_parser;
    json::Parser header_parser;
    std::unique_ptr<char, FreeLine> buffer;
    std::size_t capacity = 0;
    for (;;) {
        char* line = buffer.release();
        const ssize_t size = getline(&line, &capacity, file);
        buffer.reset(line);
        if (size < 0 || std::ferror(stdout) != 0) {
            return;
        }
        std::string_view text(line, static_cast<std::size_t>(size));
        if (text.ends_with('\n')) {
            text.remove_suffix(1);
        }
        const std::string out = answer(text, line_parser, header_parser);
        std::fwrite(out.data(), 1, out.size(), stdout);
    }
}

}  // namespace

Result<Exit> verify_batch(const Arguments& arguments) {
    for (const auto& [option, value] : arguments.options()) {
        if (option != "--batch") {
            return failure("--batch takes its keys from its lines and looks at signatures alone: leave out " +
                           std::string(option));
        }
    }
    if (arguments.operands().size() > 1) {
        return failure("--batch reads one file: write one, or none for standard input");
    }
    const std::string path(arguments.operands().empty() ? "-" : arguments.operands().front());
    const std::unique_ptr<std::FILE, CloseFile> file(path == "-" ? stdin : std::fopen(path.c_str(), "rb"));
    if (file == nullptr) {
        return failure("file " + quoted(path) + " cannot be opened: " + system_error());
    }
    answer_lines(file.get());
    if (std::ferror(file.get()) != 0) {
        return failure("file " + quoted(path) + " cannot be read to its end: " + system_error());
    }
    return Exit::done;
}

}  // namespace jwt::command
