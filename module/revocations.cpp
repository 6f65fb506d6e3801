#include "token_endpoints.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "answer.hpp"
#include "body.hpp"
#include "session.hpp"
#include "worker.hpp"

// jwt_revocations: what is revoked, as an administrator sees and changes it. Who may is nginx's to say.

namespace ngx {

namespace {

using jwt::json::Type;
using jwt::json::Value;
using jwt::revocation::Change;
using jwt::revocation::Id;
using jwt::revocation::Issuer;
using jwt::revocation::Kind;
using jwt::revocation::Outcome;
using jwt::revocation::Page;
using jwt::revocation::Record;
using jwt::revocation::StoreResult;
using jwt::revocation::Target;

template <class T>
using Read = tl::expected<T, std::string>;  // or what is wrong with a request

tl::unexpected<std::string> wrong(std::string sentence) {
    return tl::make_unexpected(std::move(sentence));
}

// --- what is written

void append_time(std::string& out, std::string_view name, std::optional<jwt::Time> time) {
    out.append(",\"").append(name).append("\":");
    if (time) {
        jwt::json::append_number(out, std::chrono::duration<double>(time->time_since_epoch()).count());
    } else {
        out += "null";
    }
}

/// Names are cut to a length, perhaps within a character.
std::string whole_characters(std::string text) {
    while (!text.empty() && !jwt::json::valid_utf8(text)) {
        text.pop_back();
    }
    return text;
}

std::string text_of(const Record& record) {
    std::string out =
        R"({"id":")" + jwt::revocation::text(record.id) + R"(","kind":")" + std::string(word(record.kind)) + "\"";
    out += ",\"name\":";
    jwt::json::append_string(out, whole_characters(record.name));
    if (record.issuer.scope != Issuer::Scope::any) {
        out += ",\"iss\":";
        if (record.issuer.scope == Issuer::Scope::named) {
            jwt::json::append_string(out, whole_characters(record.issuer.name));
        } else {
            out += "null";
        }
    }
    append_time(out, "before", record.before);
    append_time(out, "kept_until", record.expires);
    append_time(out, "revoked_at", jwt::Time(std::chrono::milliseconds(record.version.time)));
    return out + "}";
}

std::string text_of(const Page& page) {
    std::string out = R"({"revocations":[)";
    for (const Record& record : page.records) {
        out += (&record == page.records.data() ? "" : ",") + text_of(record);
    }
    return out + R"(],"next":)" + (page.next ? "\"" + jwt::revocation::text(*page.next) + "\"" : "null") + "}";
}

// --- what is asked

constexpr std::array selectors{"token", "jti", "family", "subject", "kid", "all"};
constexpr std::string_view wanted_selector = "name what is revoked by one of token, jti, family, subject, kid and all";

struct Selection {
    std::string_view selector;
    Value value;
};

bool is_selector(std::string_view name) {
    return std::find(selectors.begin(), selectors.end(), name) != selectors.end();
}

Read<Selection> selection(Value body) {
    std::optional<Selection> found;
    std::string unknown;
    bool several = false;
    body.each_member([&](std::string_view name, Value value) {
        if (is_selector(name)) {
            several = several || found;
            found = Selection{name, value};
        } else if (name != "iss" && name != "before" && name != "exp") {
            unknown = name;
        }
    });
    if (!unknown.empty()) {
        return wrong("Unknown member \"" + unknown + "\": " + std::string(wanted_selector) +
                     ", and leave out or add iss, before and exp");
    }
    if (!found || several) {
        return wrong("The members do not agree: " + std::string(wanted_selector));
    }
    return *found;
}

struct TimeMember {
    bool given = false;
    std::optional<jwt::Time> time{};  // nothing also where it is null
};

/// Seconds since 1970, or null.
Read<TimeMember> time_member(Value body, std::string_view name) {
    constexpr double latest = 1e11;
    const auto member = body.member(name);
    if (!member || member->type() == Type::null) {
        return TimeMember{member.has_value()};
    }
    const auto seconds = member->number();
    if (!seconds || *seconds < 0 || *seconds > latest) {
        return wrong(std::string(name) + " takes seconds since 1970, or null");
    }
    return TimeMember{true, jwt::Time(std::chrono::milliseconds(std::llround(*seconds * 1000)))};
}

std::optional<jwt::Time> kept_until(const TimeMember& exp) {
    return exp.time ? std::optional(worker().revocations->kept_until(*exp.time)) : std::nullopt;
}

Read<Issuer> issuer_member(Value body) {
    const auto member = body.member("iss");
    if (!member) {
        return Issuer{};
    }
    if (member->type() == Type::null) {
        return Issuer{Issuer::Scope::none};
    }
    const auto name = member->string();
    return name ? Read<Issuer>(Issuer::named(std::string(*name)))
                : wrong("iss takes a string, or null for tokens without the claim");
}

/// A token says itself what it is: it need not be good.
Read<Change> change_of_token(Value body, Value value) {
    for (const std::string_view other : {"iss", "before", "exp"}) {
        if (body.member(other)) {
            return wrong("A token says itself who issued it and when it expires: leave out " + std::string(other));
        }
    }
    const auto text = value.string();
    const auto parsed = text ? worker().verifier.parse(*text) : tl::make_unexpected(jwt::Refusal{});
    if (!parsed) {
        return wrong(text ? "This is no token: " + parsed.error().message : "token takes a string");
    }
    Change change{Target::of(parsed->payload(), parsed->signing_input())};
    // A time that makes no sense: the token is never taken, and its revocation kept.
    change.expires = kept_until(time_member(parsed->payload(), "exp").value_or(TimeMember{}));
    return change;
}

Kind kind_of(std::string_view selector) {
    return selector == "jti"       ? Kind::token
           : selector == "family"  ? Kind::family
           : selector == "subject" ? Kind::subject
           : selector == "kid"     ? Kind::key
                                   : Kind::all;
}

Read<Target> target_of(const Selection& what, Issuer issuer) {
    if (what.selector == "all") {
        return what.value.boolean() == std::optional(true) ? Read<Target>(Target{Kind::all, {}, std::move(issuer)})
                                                           : wrong("all takes true");
    }
    const auto name = what.value.string();
    if (!name || name->empty()) {
        return wrong(std::string(what.selector) + " takes a string that is not empty");
    }
    return Target{kind_of(what.selector), std::string(*name), std::move(issuer)};
}

Read<Change> change_of(Value body) {
    const auto what = selection(body);
    if (!what) {
        return wrong(what.error());
    }
    if (what->selector == "token") {
        return change_of_token(body, what->value);
    }
    auto issuer = issuer_member(body);
    const auto before = time_member(body, "before");
    const auto exp = time_member(body, "exp");
    if (!issuer || !before || !exp) {
        return wrong(!issuer ? issuer.error() : !before ? before.error() : exp.error());
    }
    auto target = target_of(*what, std::move(*issuer));
    if (!target) {
        return wrong(target.error());
    }
    // Who is logged out everywhere may log in again; a key that got lost must not.
    const bool until_now = target->kind == Kind::subject || target->kind == Kind::all;
    Change change{std::move(*target)};
    change.before = before->given ? before->time : until_now ? std::optional(precise_now()) : std::nullopt;
    change.expires = kept_until(*exp);
    return change;
}

// --- calls

/// An answer that a thread finds in the store.
class ReadingCall : public WritingCall {
protected:
    /// NGX_AGAIN.
    template <class Work>
    [[nodiscard]] ngx_int_t ask(ngx_http_request_t* r, Work work) {
        const auto store = worker().revocations->store();
        if (store == nullptr) {
            return send_answer(
                r, store_failure_answer(r, {jwt::revocation::StoreError::unavailable, "could not be opened"}));
        }
        auto task = Task::post([store, work] { return work(*store); },
                               [this, r](const StoreResult<std::optional<std::string>>& answer) {
                                   answer_ = answer;
                                   wake(r);
                               });
        if (!task) {
            return NGX_HTTP_SERVICE_UNAVAILABLE;
        }
        task_ = std::move(*task);
        return NGX_AGAIN;
    }
    [[nodiscard]] bool asking() const noexcept { return task_.waiting(); }
    /// JSON; nothing in it where there is no such record.
    [[nodiscard]] const std::optional<StoreResult<std::optional<std::string>>>& answer() const noexcept {
        return answer_;
    }

private:
    Task task_;
    std::optional<StoreResult<std::optional<std::string>>> answer_;
};

constexpr ContentRules rules{NGX_HTTP_GET | NGX_HTTP_HEAD | NGX_HTTP_POST | NGX_HTTP_DELETE, "GET, HEAD, POST, DELETE"};

class Administer final : public ReadingCall {
public:
    ngx_int_t go_on(ngx_http_request_t* r) override {
        if (writing() || asking()) {
            return NGX_AGAIN;
        }
        if (answer()) {
            return send_read(r);
        }
        if (result()) {
            return send_written(r);
        }
        if ((r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) != 0) {
            return list(r);
        }
        return r->method == NGX_HTTP_DELETE && !has_body(r) ? remove_by_id(r) : change(r);
    }

private:
    static ngx_int_t refuse(ngx_http_request_t* r, std::string_view sentence) {
        return send_answer(r, sentence_answer(r, NGX_HTTP_BAD_REQUEST, sentence));
    }

    ngx_int_t list(ngx_http_request_t* r) {
        constexpr std::size_t most = 1000;
        std::size_t limit = 100;
        if (const auto text = form_value(view(r->args), "limit")) {
            const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), limit);
            if (error != std::errc() || end != text->data() + text->size() || limit == 0 || limit > most) {
                return refuse(r, "limit takes a number from 1 to 1000");
            }
        }
        std::optional<Id> from;
        if (const auto text = form_value(view(r->args), "from"); text && !text->empty()) {
            from = jwt::revocation::id_from_text(*text);
            if (!from) {
                return refuse(r, "from takes the member next of the page before");
            }
        }
        return ask(r, [from, limit](jwt::revocation::Store& store) noexcept -> StoreResult<std::optional<std::string>> {
            const auto page = store.list(from, limit);
            return page ? StoreResult<std::optional<std::string>>(text_of(*page)) : tl::make_unexpected(page.error());
        });
    }

    ngx_int_t remove_by_id(ngx_http_request_t* r) {
        const auto text = form_value(view(r->args), "id");
        const auto id = text ? jwt::revocation::id_from_text(*text) : std::nullopt;
        if (!id) {
            return refuse(r,
                          "id takes the id of a revocation, as the list has it; or send what is to be removed as JSON");
        }
        return ask(r,
                   [id = *id,
                    time = now()](jwt::revocation::Store& store) noexcept -> StoreResult<std::optional<std::string>> {
                       const auto outcome = store.remove(id, time);
                       if (!outcome) {
                           return tl::make_unexpected(outcome.error());
                       }
                       return *outcome == Outcome::removed ? std::optional<std::string>(R"({"removed":true})")
                                                           : std::nullopt;
                   });
    }

    ngx_int_t change(ngx_http_request_t* r) {
        // No page of another origin can send JSON without asking first.
        if (!is_json(r)) {
            return send_answer(r, sentence_answer(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE, "Send application/json"));
        }
        const auto body = body_text(r, rules.body_limit);
        if (!body) {
            return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
        }
        jwt::json::Document document;
        const auto parsed = worker().parser.parse_object(*body, document);
        if (!parsed) {
            return refuse(r, "Invalid JSON: " + std::string(jwt::json::text(parsed.error())));
        }
        auto change = change_of(*parsed);
        if (!change) {
            return refuse(r, change.error());
        }
        change->remove = r->method == NGX_HTTP_DELETE;
        id_ = jwt::revocation::text(jwt::revocation::id(change->target));
        return write(r, {std::move(*change)});
    }

    ngx_int_t send_read(ngx_http_request_t* r) const {
        const auto& found = *answer();
        if (!found) {
            return send_answer(r, store_failure_answer(r, found.error()));
        }
        return send_answer(r, *found ? json_answer(NGX_HTTP_OK, **found)
                                     : sentence_answer(r, NGX_HTTP_NOT_FOUND, "There is no such revocation"));
    }

    ngx_int_t send_written(ngx_http_request_t* r) const {
        const auto& written = *result();
        if (!written) {
            return send_answer(r, store_failure_answer(r, written.error()));
        }
        switch ((*written)[0]) {
            case Outcome::added:
                return send_answer(r, json_answer(NGX_HTTP_CREATED, R"({"id":")" + id_ + R"(","known":false})"));
            case Outcome::known:
                return send_answer(r, json_answer(NGX_HTTP_OK, R"({"id":")" + id_ + R"(","known":true})"));
            case Outcome::removed:
                return send_answer(r, json_answer(NGX_HTTP_OK, R"({"removed":true})"));
            case Outcome::absent:
            case Outcome::skipped:
                break;
        }
        return send_answer(r, sentence_answer(r, NGX_HTTP_NOT_FOUND, "There is no such revocation"));
    }

    std::string id_;
};

}  // namespace

ngx_int_t handle_revocations(ngx_http_request_t* r) noexcept {
    return run_content(r, rules, make_call<Administer>);
}

}  // namespace ngx
