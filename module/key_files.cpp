#include "key_files.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "directives.hpp"
#include "file.hpp"
#include "guard.hpp"

namespace ngx {

namespace {

constexpr std::size_t max_key_file = 1024 * 1024;

std::int64_t nanoseconds(const timespec& time) noexcept {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// Without what an editor or echo adds.
void drop_line_end(std::string& text) {
    if (!text.empty() && text.back() == '\n') {
        text.pop_back();
        if (!text.empty() && text.back() == '\r') {
            text.pop_back();
        }
    }
}

/// Why keys do not belong into a file of that kind; nothing where they do.
std::string_view misplaced(KeySources::Kind kind, const jwt::KeySet& set) {
    const auto& keys = set.keys();
    if (kind == KeySources::Kind::public_key &&
        std::any_of(keys.begin(), keys.end(), [](const auto& key) { return key->symmetric(); })) {
        return "holds a secret, which is no public key: write jwt_private_key";
    }
    if (kind == KeySources::Kind::private_key &&
        std::none_of(keys.begin(), keys.end(), [](const auto& key) { return !key->signs().empty(); })) {
        return set.decrypts().empty() ? "holds no private key: write jwt_public_key for keys that only verify"
                                      : "holds no key that signs: write jwt_decryption_key for keys that only decrypt";
    }
    if (kind == KeySources::Kind::public_key && set.verifies().empty()) {
        return "holds no key that verifies: it is for encryption, and private ones that decrypt go to "
               "jwt_decryption_key";
    }
    return {};
}

}  // namespace

std::optional<FileStamp> file_stamp(const std::string& path) noexcept {
    struct stat info {};
    if (stat(path.c_str(), &info) == -1) {
        return std::nullopt;
    }
    return FileStamp{info.st_dev, info.st_ino, info.st_size, nanoseconds(info.st_mtim), nanoseconds(info.st_ctim)};
}

tl::expected<KeyFileContents, std::string> read_key_file_contents(KeySources::Kind kind, const std::string& path,
                                                                  std::vector<std::string>* complaints) {
    auto text = file_contents(path, max_key_file);
    if (!text) {
        return tl::make_unexpected(std::move(text.error()));
    }
    KeyFileContents contents;
    if (kind == KeySources::Kind::secret) {
        contents.secret = std::move(*text);
        drop_line_end(contents.secret);
        // Which algorithms it is for, its location knows.
        const auto key = jwt::Key::from_secret(contents.secret, {jwt::Algorithm::hs256});
        return key ? tl::expected<KeyFileContents, std::string>(std::move(contents))
                   : tl::make_unexpected(key.error().message);
    }
    auto set = jwt::KeySet::from_text(*text, complaints);
    ngx_explicit_memzero(text->data(), text->size());
    if (!set) {
        return tl::make_unexpected(std::move(set.error().message));
    }
    if (const std::string_view problem = misplaced(kind, *set); !problem.empty()) {
        return tl::make_unexpected(std::string(problem));
    }
    contents.keys = std::move(*set);
    return contents;
}

KeyFiles& key_files(ngx_conf_t* cf) {
    auto& main = *static_cast<MainConfig*>(ngx_http_conf_get_module_main_conf(cf, ngx_http_jwt_module));
    if (main.key_files == nullptr) {
        main.key_files = make_in_pool<KeyFiles>(cf->pool);
    }
    return *main.key_files;
}

void note_recipe(ngx_conf_t* cf, const KeyRecipe& recipe, Keys& keys) {
    const auto& sources = recipe.sources->sources;
    if (std::none_of(sources.begin(), sources.end(), [](const auto& source) { return source.file != no_file; })) {
        return;
    }
    auto& recipes = key_files(cf).recipes;
    if (recipes.empty() || recipes.back() != recipe) {
        recipes.push_back(recipe);
    }
    keys.recipe = recipes.size() - 1;
}

tl::expected<MadeKeys, std::string> make_keys(const KeyRecipe& recipe, const KeySources& sources) {
    MadeKeys made;
    const bool public_given = has_kind(sources, KeySources::Kind::public_key);
    for (const auto& source : sources.sources) {
        const bool is_static = source.kind != KeySources::Kind::request && source.kind != KeySources::Kind::issuer;
        const bool is_spare = source.kind == KeySources::Kind::private_key && public_given;
        if (!recipe.verifies || !is_static || is_spare) {
            continue;
        }
        if (auto problem = add_verifying_keys(source, recipe.allowed, made.verifying)) {
            return tl::make_unexpected(std::move(*problem));
        }
    }
    if (recipe.signs) {
        auto signer = find_signer(sources, *recipe.signs);
        if (!signer) {
            return tl::make_unexpected(std::move(signer.error()));
        }
        if (*signer == nullptr) {
            return tl::make_unexpected("no key is left that signs with jwt_algorithm " +
                                       std::string(jwt::name(*recipe.signs)));
        }
        made.signer = std::move(*signer);
    }
    return made;
}

}  // namespace ngx
