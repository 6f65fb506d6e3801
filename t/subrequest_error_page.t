# An error page, or a hook that answers 200, must not turn the refusal of a subrequest into auth_request's yes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;

my $t = JWTTest->new(
    http => <<'EOF_HTTP',
    server {
        listen 127.0.0.1:%%PORTapp%%;
        location / { return 200 ok; }
    }
EOF_HTTP
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    jwt_secret_key "$JWTTest::Token::secret";
    error_page 401 422 500 =200 /page.html;

    location = /authz { internal; jwt_required; proxy_pass http://127.0.0.1:%%PORTapp%%; }
    location = /authz/named { internal; error_page 401 422 500 = \@yes; jwt_required; proxy_pass http://127.0.0.1:%%PORTapp%%; }
    location = /authz/hook { internal; jwt_required; jwt_lua_file %%DIR%%/hooks.lua; proxy_pass http://127.0.0.1:%%PORTapp%%; }
    location \@yes { proxy_pass http://127.0.0.1:%%PORTapp%%; }

    location /plain/ { error_page 404 /x; auth_request /authz; proxy_pass %%BACKEND%%; }
    location /named/ { error_page 404 /x; auth_request /authz/named; proxy_pass %%BACKEND%%; }
    location /hook/ { error_page 404 /x; auth_request /authz/hook; proxy_pass %%BACKEND%%; }
EOF_CONFIG
    files => {
        'html/page.html' => 'an error page',
        'hooks.lua'      => <<'EOF_LUA',
return {
  unauthorized = function(reason) return "none", 200 end,
  invalid_token = function(reason) return "invalid", 302 end,
  expired_token = function(header, payload) return "expired", 403 end,
  token_verification = function(header, payload)
    if payload.sub == "fails" then error("out of order") end
    return true
  end,
}
EOF_LUA
    },
);

my $good    = token(claims());
my $expired = token(claims(exp => time - 60));

for my $path ('/plain/', '/named/', '/hook/') {
    is($t->get_with($path, $good)->{json}{uri}, $path, "$path: a good token is let through");
    for my $case (['no token', undef, 401], ['an invalid token', 'a.b.c', 401],
        ['an expired token', $expired, $path eq '/hook/' ? 403 : 401]) {
        my ($name, $token, $status) = @$case;
        my $response = defined $token ? $t->get_with($path, $token) : $t->get($path);
        is($response->{status}, $status, "$path: $name is refused");
        is($response->{json}, undef, "$path: and $name does not reach the application");
    }
}
my $failed = $t->get_with('/hook/', token(claims(sub => 'fails')));
is($failed->{status}, 500, 'a hook that fails is a failure');
is($failed->{json}, undef, 'and lets nobody through');

done_testing;
