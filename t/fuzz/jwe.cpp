#include "jwe.hpp"

#include <string>

#include "base64url.hpp"
#include "check.hpp"

using namespace jwt;

namespace {

// Keys that everybody may know: a corpus must hold what they decrypt.
constexpr std::string_view keys_text = R"({"keys":[
    {"kty":"oct","kid":"16","k":"GawgguFyGrWKav7AX4VKUg"},
    {"kty":"oct","kid":"32","k":"W1vBUI1-5HARc-qyT8hcYBt6q9sFNsztBrhlbl9W2CA"}]})";
constexpr std::string_view agreement_text = R"({"kty":"EC","crv":"P-256",
    "x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ","y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
    "d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"})";

struct Keys {
    KeySet set = KeySet::from_text(keys_text).value();
    Keys() { set.add(KeySet::from_text(agreement_text).value().keys().front()); }
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Keys keys;
    const std::string_view text = text_of(data, size);
    json::Parser parser;
    auto token = jwe::parse(text, parser, jwe::Zip::kept);
    if (!token) {
        check(!word(token.error().error).empty() && !token.error().message.empty());
        return 0;
    }
    check(token->text() == text);
    check(!token->header().member("crit"));
    check(key_management_named(*token->header().member("alg")->string()) == token->management());
    check(content_encryption_named(*token->header().member("enc")->string()) == token->encryption());
    const auto decrypted = jwe::decrypt(*std::move(token), keys.set);
    if (!decrypted) {
        const Error error = decrypted.error().error;
        check(error == Error::decryption || error == Error::algorithm_not_allowed);
        return 0;
    }
    check(decrypted->text() == text);
    // Never longer than what it was decrypted from.
    check(decrypted->plaintext().size() <= text.size());
    return 0;
}
