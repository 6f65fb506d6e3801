#pragma once

#include "ngx.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "config.hpp"

// Secrets and keys in files, as a configuration names them and as workers look after them.

namespace ngx {

/// What tells one state of a file from another.
struct FileStamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    std::int64_t modified = 0;  // nanoseconds
    std::int64_t changed = 0;   // likewise, of its inode

    bool operator==(const FileStamp&) const = default;
};

/// Nothing where there is no such file.
[[nodiscard]] std::optional<FileStamp> file_stamp(const std::string& path) noexcept;

struct KeyFile {
    KeySources::Kind kind;
    std::string called;  // the directive and the file, for messages
    std::string path;
    std::optional<FileStamp> stamp;  // from before it was read
    jwt::KeySet keys;                // what it held then; of Kind::secret nothing
};

/// What a file holds: a secret, or keys.
struct KeyFileContents {
    jwt::KeySet keys;
    std::string secret;

    KeyFileContents() = default;
    KeyFileContents(KeyFileContents&&) = default;
    KeyFileContents& operator=(KeyFileContents&&) = default;
    KeyFileContents(const KeyFileContents&) = delete;
    KeyFileContents& operator=(const KeyFileContents&) = delete;
    ~KeyFileContents() { ngx_explicit_memzero(secret.data(), secret.size()); }
};

/// Reads a file of that kind and checks all that does not depend on where it is used. The error completes the sentence
/// that begins with `KeyFile::called`.
[[nodiscard]] tl::expected<KeyFileContents, std::string> read_key_file_contents(
    KeySources::Kind kind, const std::string& path, std::vector<std::string>* complaints = nullptr);

/// What the keys of a location, or of an issuer, are made of: to be made again when a file changes.
struct KeyRecipe {
    const KeySources* sources;
    jwt::AlgorithmSet allowed;
    bool verifies;                        // a hook may choose the keys instead
    std::optional<jwt::Algorithm> signs;  // nothing where nothing signs
    bool decrypts_by_secret = false;      // a secret must be among keys that decrypt
    std::optional<std::pair<jwt::KeyManagement, jwt::ContentEncryption>> encrypts{};

    bool operator==(const KeyRecipe&) const = default;
};

struct KeyFiles {
    std::vector<KeyFile> files;
    std::map<std::pair<KeySources::Kind, std::string>, std::size_t> index;  // by kind and path
    std::vector<KeyRecipe> recipes;
    std::optional<ngx_msec_t> pause;  // between looks; 0: none is taken

    static constexpr ngx_msec_t default_pause = 10 * 1000;
};

/// The key files of the configuration that is being read.
[[nodiscard]] KeyFiles& key_files(ngx_conf_t* cf);

/// Notes what keys are made of, where some of it is in files; for merging.
void note_recipe(ngx_conf_t* cf, const KeyRecipe& recipe, Keys& keys);
/// The same of keys that decrypt, or of one that encrypts: the recipe's place among KeyFiles::recipes.
[[nodiscard]] std::size_t note_recipe(ngx_conf_t* cf, const KeyRecipe& recipe);

/// The keys by which a recipe verifies, signs, decrypts and encrypts, from these sources in place of its own; an error
/// sentence where one of them is of no use.
struct MadeKeys {
    jwt::KeySet verifying;
    std::shared_ptr<const jwt::Key> signer;
    jwt::KeySet decrypting;
    std::shared_ptr<const jwt::Key> encrypter;
};
[[nodiscard]] tl::expected<MadeKeys, std::string> make_keys(const KeyRecipe& recipe, const KeySources& sources);

}  // namespace ngx
