#pragma once

#include "ngx.hpp"

#include <memory>
#include <string>
#include <vector>

#include "key_files.hpp"

namespace ngx {

/// Looks after the key files of a configuration in one worker, and has the keys of those that have changed.
///
/// A file is taken in when it has stayed the same from one look to the next, so that one which is being written is not
/// cut short, and when every location that uses it can: else all of them keep what they have.
class KeyWatch {
public:
    explicit KeyWatch(const KeyFiles& files);
    ~KeyWatch();
    KeyWatch(const KeyWatch&) = delete;
    KeyWatch& operator=(const KeyWatch&) = delete;

    /// What has become of a recipe's keys; null where they are still the configuration's. A set is never changed: a new
    /// one is another object.
    [[nodiscard]] const std::shared_ptr<const jwt::KeySet>& verifying(std::size_t recipe) const noexcept {
        return made_[recipe].verifying;
    }
    [[nodiscard]] const std::shared_ptr<const jwt::Key>& signer(std::size_t recipe) const noexcept {
        return made_[recipe].signer;
    }
    [[nodiscard]] const std::shared_ptr<const jwt::KeySet>& decrypting(std::size_t recipe) const noexcept {
        return made_[recipe].decrypting;
    }
    [[nodiscard]] const std::shared_ptr<const jwt::Key>& encrypter(std::size_t recipe) const noexcept {
        return made_[recipe].encrypter;
    }
    /// Counts files that were taken in.
    [[nodiscard]] std::size_t changes() const noexcept { return changes_; }
    /// Sources with what their files hold now.
    [[nodiscard]] KeySources now(const KeySources& sources) const;

private:
    struct State {
        std::optional<FileStamp> taken;
        std::optional<FileStamp> seen;  // at the last look, where that differed
        bool refused = false;           // what was seen, as was said
        bool waits = false;
        std::shared_ptr<const KeyFileContents> contents;  // null: what the configuration has
    };
    struct Made {
        std::shared_ptr<const jwt::KeySet> verifying;
        std::shared_ptr<const jwt::Key> signer;
        std::shared_ptr<const jwt::KeySet> decrypting;
        std::shared_ptr<const jwt::Key> encrypter;
    };

    static void on_look(ngx_event_t* event) noexcept;
    static void on_second_look(ngx_event_t* event) noexcept;

    void look_at_some();
    void look_again();
    void take(std::size_t file);
    [[nodiscard]] std::string try_to_take(std::size_t file);
    void set_timers() noexcept;

    const KeyFiles& files_;
    ngx_msec_t pause_;
    std::vector<State> states_;
    std::vector<Made> made_;
    std::vector<std::vector<std::size_t>> users_;  // of each file: recipes
    std::vector<std::size_t> waiting_;             // files to be looked at again
    std::size_t next_ = 0;
    std::size_t changes_ = 0;
    ngx_event_t look_{};
    ngx_event_t second_look_{};
};

}  // namespace ngx
