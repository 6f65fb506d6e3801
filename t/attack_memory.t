# Rows 62 and 63 of the attack catalogue: a value that changes while a line is built of it, and a request that writes to
# what all requests share. The second by t/lib/config_guard.c, under which configuration is read-only to the module.

use strict;
use warnings;

use FindBin;
use File::Temp qw(tempdir);
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;

# ---- row 62

subtest 'ATTACKS 62: every use of a variable within a line sees one value' => sub {
    my $built = '"$volatile|$jwt_claim_x|$jwt_claim_x|$mapped|$jwt_identity"';
    my $t = JWTTest->new(
        http2 => 1,
        http => <<"EOF_HTTP",
    map \$jwt_claim_x \$mapped { default "<\$jwt_claim_x>"; '' none; }
    map \$jwt_claim_x \$volatile { volatile; default "<\$jwt_claim_x>"; '' none; }
    log_format built $built;
    proxy_buffer_size 64k;
    proxy_buffers 4 64k;
    large_client_header_buffers 4 64k;
EOF_HTTP
        config => <<"EOF_CONFIG",
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_lua_file %%DIR%%/hooks.lua;
    access_log %%DIR%%/built.log built;
    location /early/ {
        set \$before $built;
        if (\$before = never) { return 200; }
        jwt_required;
        proxy_set_header X-Before \$before;
        proxy_set_header X-Built $built;
        add_header X-Out $built always;
        proxy_pass %%BACKEND%%;
    }
    location /again/ { set \$before $built; jwt_required; try_files /none \@again; }
    location \@again { jwt_required locations=cookies; jwt_cookie_csrf_protect off; proxy_set_header X-Before \$before; proxy_set_header X-Built $built; proxy_pass %%BACKEND%%; }
    location /handler/ { jwt_required; jwt_handler read; }
EOF_CONFIG
        files => { 'hooks.lua' => <<'EOF_LUA' });
local jwt = require "jwt"
local function rewrite(header, payload)
  for _, name in ipairs({ "x", "sub", "alg" }) do
    payload[name] = ("changed "):rep(2000)
    header[name] = payload[name]
  end
  return true
end
return {
  token_in_blocklist = function(header, payload) return not rewrite(header, payload) end,
  token_verification = rewrite,
  user_lookup = function(header, payload) rewrite(header, payload) return payload.x end,
  handlers = {
    read = function(request)
      local before = request.var.jwt_claim_x
      local payload = jwt.get_jwt()
      payload.x = ("changed "):rep(2000)
      return { before, request.var.jwt_claim_x, request.var.volatile, request.var.mapped, jwt.get_jwt().x }
    end,
  },
}
EOF_LUA
    my $sent = sub { my ($response, $name) = @_; return join '; ', map { $_->[1] } grep { $_->[0] eq $name } @{ $response->{json}{headers} || [] } };
    my @values = ('v', 'w' x 6000, '', "line\r\nend", 'u' x 100);
    for my $protocol (qw(h1 h2)) {
        for my $value (@values) {
            my $shown = $value =~ s/\r\n/%0D%0A/r;
            my $angles = $shown eq '' ? 'none' : "<$shown>";
            my $line = "$angles|$shown|$shown|$angles|alice";
            my $name = "$protocol, a claim of " . length $value;
            my @headers = (Authorization => 'Bearer ' . token(claims(x => $value)));
            my $ask = sub { my ($path, @more) = @_; return $protocol eq 'h1' ? $t->get($path, [@headers, @more]) : $t->h2(GET => $path, [@headers, @more]) };
            my $response = $ask->('/early/');
            is($sent->($response, 'X-Before'), 'none|||none|', "$name: nothing before the token was judged");
            # A map that is not volatile keeps what it was first: that is nginx's, and one value all the same.
            my $kept = "$angles|$shown|$shown|none|alice";
            is($sent->($response, 'X-Built'), $kept, "$name: the token's own, wherever hooks wrote");
            is($response->{headers}{'x-out'}, $kept, "$name: in the answer too");
            my $other = token(claims(x => "other $value", sub => 'bob'));
            my $again = $ask->('/again/', Cookie => "access_token_cookie=$other");
            is($sent->($again, 'X-Built') =~ /<?other .*\|bob\z/ ? 'bob' : $sent->($again, 'X-Built'), 'bob', "$name: judged anew, of the other token alone");
            unlike($sent->($again, 'X-Built'), qr/alice/, "$name: and nothing of the first");
            is_deeply($ask->('/handler/')->{json}, [$shown eq '' ? '' : $shown, $shown, $angles, $angles, $value], "$name: what a handler reads") if $shown ne '';
        }
    }
    unlike($t->read_file('built.log') . $t->log, qr/changed/, 'no line has what hooks wrote');
};

# ---- row 63

SKIP: {
    my $machine = (POSIX::uname())[4];
    skip 'the guard steps through instructions of x86-64 on Linux', 1 unless $^O eq 'linux' && $machine eq 'x86_64';
    skip 'the guard and a sanitizer both want to be malloc', 1 if $ENV{JWT_PRELOAD};
    skip 'the module is part of nginx', 1 if $ENV{JWT_STATIC};
    my $dir = tempdir(CLEANUP => 1);
    my $guard = "$dir/config_guard.so";
    is(system('cc', '-shared', '-fPIC', '-O1', '-o', $guard, "$FindBin::Bin/lib/config_guard.c"), 0, 'the guard compiles') or skip 'no guard', 1;

    subtest 'ATTACKS 63: no request writes to the configuration' => sub {
        my $rsa = keypair('RS256');
        my $ec = keypair('ES256');
        local $ENV{JWT_PRELOAD} = $guard;
        local $ENV{JWT_GUARD} = JWTTest->module;
        my $t = JWTTest->new(
            http2 => 1,
            http => 'jwt_lua_limit time=10s;',  # each write that is let through costs time
            config => <<"EOF_CONFIG",
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_decode_audience here there;
    jwt_decode_issuer https://idp https://other;
    jwt_lua_file %%DIR%%/hooks.lua;
    location /headers/ { jwt_required; proxy_set_header X-Identity \$jwt_identity; proxy_set_header X-Payload \$jwt_payload; proxy_pass %%BACKEND%%; }
    location /keys/ { jwt_decode_algorithms RS256 ES256; jwt_public_key %%DIR%%/keys.jwks; jwt_required; jwt_lua_file off; proxy_pass %%BACKEND%%; }
    location /optional/ { jwt_required optional fresh skip_revocation_check if=\$arg_x; jwt_exempt_methods preflight PATCH; proxy_pass %%BACKEND%%; }
    location /places/ { jwt_required locations=cookies,query_string,json,headers; jwt_cookie_refresh 1h; proxy_pass %%BACKEND%%; }
    location /any/ { satisfy any; deny all; jwt_required; proxy_pass %%BACKEND%%; }
    location /login { jwt_encode_audience here; jwt_encode_issuer https://idp; jwt_handler login; }
    location /refresh { jwt_required refresh; jwt_handler login; }
    location /rsa/ { jwt_private_key %%DIR%%/rsa.pem; jwt_algorithm RS256; jwt_decryption_key %%DIR%%/rsa.pem; jwt_accept nested; jwt_encrypt RSA-OAEP-256 A256GCM %%DIR%%/rsa.pub;
        location = /rsa/login { jwt_encode_audience here; jwt_encode_issuer https://idp; jwt_handler login; }
        location = /rsa/page { jwt_required; jwt_lua_file off; try_files /hooks.lua =404; root %%DIR%%; } }
    location /part { internal; return 200 part; }
    location /request/ { auth_request /authz; proxy_pass %%BACKEND%%; }
    location /authz { internal; jwt_required; return 200; }
EOF_CONFIG
            files => {
                'rsa.pem' => $rsa->{private}, 'rsa.pub' => $rsa->{public},
                'keys.jwks' => JSON::PP::encode_json({ keys => [{ %{ $rsa->{public_jwk} }, kid => 'r' }, { %{ $ec->{public_jwk} }, kid => 'e' }] }),
                'hooks.lua' => <<'EOF_LUA',
local jwt = require "jwt"
return {
  token_in_blocklist = function(header, payload) return payload.revoked == true end,
  token_verification = function(header, payload) return payload.verified ~= false end,
  user_lookup = function(header, payload) return jwt.fetch("/part").body .. payload.sub end,
  user_lookup_error = function(header, payload) return { msg = "nobody" }, 401 end,
  expired_token = function(header, payload) return { msg = jwt.fetch("/part").body }, 401 end,
  unauthorized = function(reason) return { msg = reason }, 401 end,
  additional_claims = function(identity) return { role = "x" } end,
  handlers = {
    login = function(request)
      jwt.set_access_cookies(jwt.create_access_token("alice", { fresh = true, additional_claims = { a = 1 } }))
      jwt.set_refresh_cookies(jwt.create_refresh_token("alice"))
      jwt.unset_access_cookies()
      return { jwt.create_access_token("alice", { expires_delta = 60 }), jwt.create_refresh_token("alice") }
    end,
  },
}
EOF_LUA
            });
        my %at = (aud => 'here', iss => 'https://idp');
        my @kinds = (
            ['good' => token(claims(%at)), 200], ['another issuer' => token(claims(%at, iss => 'https://x')), 422], ['another audience' => token(claims(%at, aud => 'x')), 422],
            ['expired' => token(claims(%at, exp => 1)), 401], ['revoked' => token(claims(%at, revoked => JSON::PP::true)), 401],
            ['not verified' => token(claims(%at, verified => JSON::PP::false)), 400], ['forged' => token(claims(%at), key => 'x' x 64), 422],
            ['of no algorithm' => raw_token('{"alg":"none"}', '{"sub":"a"}', '', 'none'), 422], ['garbage' => 'x.y.z', 422],
        );
        for my $round (1 .. 3) {
            for my $kind (@kinds) {
                my ($name, $token, $status) = @$kind;
                is($t->get_with('/headers/', $token)->{status}, $status, "$round: $name");
                is($t->h2(GET => '/any/', [Authorization => "Bearer $token"])->{status}, $status, "$round: $name, satisfy any, h2");
                is($t->get("/places/?jwt=$token")->{status}, $status, "$round: $name, in a query string");
                is($t->post('/places/', ['Content-Type' => 'application/json'], qq({"access_token":"$token"}))->{status}, $status, "$round: $name, in a body");
                isnt($t->get('/places/', [Cookie => "access_token_cookie=$token"])->{status}, 500, "$round: $name, in a cookie");
                isnt($t->get_with('/request/', $token)->{status}, 500, "$round: $name, of auth_request");
                isnt($t->get_with('/optional/?x=1', $token)->{status}, 500, "$round: $name, optional");
            }
            is($t->get('/headers/')->{status}, 401, "$round: none");
            for my $pair ([RS256 => $rsa, 'r'], [ES256 => $ec, 'e']) {
                my ($alg, $key, $kid) = @$pair;
                is($t->get_with('/keys/', token(claims(%at), alg => $alg, key => $key->{private}, header => { kid => $kid }))->{status}, 200, "$round: $alg");
                is($t->get_with('/keys/', token(claims(%at), alg => $alg, key => $key->{private}, header => { kid => 'x' }))->{status}, 422, "$round: $alg, another kid");
            }
            my $login = $t->get('/login');
            is($login->{status}, 200, "$round: login");
            is($t->get_with('/refresh', $login->{json}[1])->{status}, 200, "$round: refresh");
            my $nested = $t->get('/rsa/login')->{json}[0];
            is(() = $nested =~ /[.]/g, 4, "$round: what threads sign");
            is($t->get_with('/rsa/page', $nested)->{status}, 200, "$round: and decrypt");
            is($t->request('OPTIONS', '/headers/')->{status}, 200, "$round: an exempt method");
            ok($t->reload, "$round: reload");
        }
        my $said = $t->log;
        unlike($said, qr/writes to/, 'nothing was written');
        like($said, qr/guarded against [1-9]/, 'and the guard was there');
        $t->finish;
    };

    # The control: nginx itself writes to what it had before the fork, and is found out.
    subtest 'ATTACKS 63: the guard sees who writes' => sub {
        local $ENV{JWT_PRELOAD} = $guard;
        local $ENV{JWT_GUARD} = $ENV{JWT_NGINX} || '/usr/sbin/nginx';
        my $server = JWTTest->_prepare(config => 'location / { return 200; }');
        my $pid = $server->_spawn;
        ok($server->wait_log(qr/config_guard: \S*nginx\S* .* writes to 0x[0-9a-f]+/), 'nginx, where it is the one that must not') or diag($server->log);
        kill TERM => $pid;
        waitpid $pid, 0;
        $server->_clean;
    };
}

done_testing;
