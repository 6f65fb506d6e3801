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
std::string misplaced(KeySources::Kind kind, const jwt::KeySet& set) {
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
        return "holds no key that verifies (" + keys.front()->description() +
               "): a private key that decrypts goes to jwt_decryption_key";
    }
    if (kind == KeySources::Kind::decryption_key && set.decrypts().empty()) {
        return "holds no key that decrypts (" + keys.front()->description() +
               "): name a private key or a secret whose use, alg and key_ops allow it";
    }
    return {};
}

/// The key that encrypts, of the one source that there is.
tl::expected<std::shared_ptr<const jwt::Key>, std::string> find_encrypter(const KeySources::Source& source,
                                                                          jwt::KeyManagement management,
                                                                          jwt::ContentEncryption encryption) {
    if (auto key = source.keys.encrypter(management, encryption)) {
        return key;
    }
    const jwt::Key& first = *source.keys.keys().front();
    const std::string served = names(first.encrypts());
    return tl::make_unexpected(
        source.name + " is an " + first.description() + ", which does not encrypt with " +
        std::string(name(management)) + " and " + std::string(name(encryption)) +
        (served.empty() ? ": name a key for encryption" : ": it serves " + served + names(first.direct_encryptions())));
}

/// Those of a file that decrypt.
void add_decrypting_keys(const KeySources::Source& source, jwt::KeySet& into) {
    for (const auto& key : source.keys.keys()) {
        if (!key->decrypts().empty()) {
            into.add(key);
        }
    }
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
    if (std::string problem = misplaced(kind, *set); !problem.empty()) {
        return tl::make_unexpected(std::move(problem));
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
    keys.recipe = note_recipe(cf, recipe);
}

std::size_t note_recipe(ngx_conf_t* cf, const KeyRecipe& recipe) {
    auto& recipes = key_files(cf).recipes;
    if (recipes.empty() || recipes.back() != recipe) {
        recipes.push_back(recipe);
    }
    return recipes.size() - 1;
}

tl::expected<MadeKeys, std::string> make_keys(const KeyRecipe& recipe, const KeySources& sources) {
    MadeKeys made;
    const bool public_given = has_kind(sources, KeySources::Kind::public_key);
    for (const auto& source : sources.sources) {
        const bool is_static = source.kind == KeySources::Kind::secret || source.kind == KeySources::Kind::public_key ||
                               source.kind == KeySources::Kind::private_key;
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
    for (const auto& source : sources.sources) {
        if (source.kind == KeySources::Kind::decryption_key) {
            add_decrypting_keys(source, made.decrypting);
        }
    }
    if (recipe.decrypts_by_secret && (made.decrypting.decrypts() & jwt::symmetric_managements).empty()) {
        return tl::make_unexpected(std::string("no secret is left to decrypt with, which jwt_accept encrypted needs"));
    }
    if (recipe.encrypts) {
        auto encrypter = find_encrypter(sources.sources.front(), recipe.encrypts->first, recipe.encrypts->second);
        if (!encrypter) {
            return tl::make_unexpected(std::move(encrypter.error()));
        }
        made.encrypter = std::move(*encrypter);
    }
    return made;
}

}  // namespace ngx
