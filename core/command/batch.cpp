#include "batch.hpp"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "../base64url.hpp"

namespace jwt::command {
namespace {

struct CloseFile {
    void operator()(std::FILE* file) const noexcept {
        if (file != stdin) {
            std::fclose(file);
        }
    }
};

[[nodiscard]] std::string answer(std::string_view text, Judge judge, std::string_view member, json::Parser& line_parser,
                                 json::Parser& header_parser) {
    json::Document document;
    std::string out = R"({"id":)";
    const auto object = line_parser.parse_object(text, document);
    object.value_or(json::Value()).member("id").value_or(json::Value()).append_to(out);
    const Verdict verdict = object ? judge(*object, header_parser) : invalid(input_word);
    if (verdict) {
        out.append(R"(,"result":"valid",")").append(member).append(R"(":")").append(base64url::encode(*verdict));
    } else {
        out.append(R"(,"result":"invalid","error":")").append(verdict.error());
    }
    return out.append("\"}\n");
}

struct FreeLine {
    void operator()(char* line) const noexcept { std::free(line); }
};

void answer_lines(std::FILE* file, Judge judge, std::string_view member) {
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
        const std::string out = answer(text, judge, member, line_parser, header_parser);
        std::fwrite(out.data(), 1, out.size(), stdout);
    }
}

}  // namespace

Result<Exit> judge_lines(const Arguments& arguments, Judge judge, std::string_view member) {
    for (const auto& [option, value] : arguments.options()) {
        if (option != "--batch") {
            return failure("--batch takes its keys from its lines and looks at no claims: leave out " +
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
    answer_lines(file.get(), judge, member);
    if (std::ferror(file.get()) != 0) {
        return failure("file " + quoted(path) + " cannot be read to its end: " + system_error());
    }
    return Exit::done;
}

}  // namespace jwt::command
