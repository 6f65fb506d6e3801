#include "lua_state.hpp"

#ifndef JWT_SOURCE_DIR
#error "Define JWT_SOURCE_DIR as a string: the folder that holds lua/jwt.lua"
#endif

// The assembler puts the file into the module as it is: no step of the build, and one file to install.
asm(".pushsection .rodata, \"a\", @progbits\n"
    ".hidden ngx_jwt_prelude_begin\n"
    ".hidden ngx_jwt_prelude_end\n"
    ".global ngx_jwt_prelude_begin\n"
    ".global ngx_jwt_prelude_end\n"
    "ngx_jwt_prelude_begin:\n"
    ".incbin \"" JWT_SOURCE_DIR
    "/lua/jwt.lua\"\n"
    "ngx_jwt_prelude_end:\n"
    ".popsection\n");

extern "C" {
extern const char ngx_jwt_prelude_begin[] __attribute__((visibility("hidden")));
extern const char ngx_jwt_prelude_end[] __attribute__((visibility("hidden")));
}

namespace ngx {

std::string_view prelude() noexcept {
    return {ngx_jwt_prelude_begin, static_cast<std::size_t>(ngx_jwt_prelude_end - ngx_jwt_prelude_begin)};
}

}  // namespace ngx
