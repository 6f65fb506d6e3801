# How a location takes over what stands around it: from http{} to limit_except{}, and what it replaces.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;

my %secret = map { $_ => "$_ is the secret of sixty-four bytes that this level has, and more!" } qw(http server location);
my $pair = keypair('ES256');
my $marked = sub { my ($name) = @_; return <<"EOF_LUA" };
local jwt = require "jwt"
local where = require "where"
return {
  unauthorized = function() return { msg = "$name at " .. where }, 401 end,
  handlers = { who = function() return "$name" end },
}
EOF_LUA

my $show = 'proxy_set_header X-Identity $jwt_identity; proxy_pass %%BACKEND%%;';

my $http = <<"EOF_HTTP";
    jwt_secret_key "$secret{http}";
    jwt_realm "of http";
    jwt_error_message_key error;
    jwt_decode_issuer i-http;
    jwt_decode_audience a-http;
    jwt_decode_leeway 100s;
    jwt_exempt_methods OPTIONS PURGE;
    jwt_token_location headers query_string;
    jwt_lua_file %%DIR%%/http.lua;
    jwt_lua_path %%DIR%%/path-http/?.lua;

    server {
        listen 127.0.0.1:%%PORT2%%;
        jwt_required;
        location / { $show }
        location = /off { jwt_required off; $show }
        location = /lua-off { jwt_lua_file off; $show }
        location = /handler { jwt_required off; jwt_handler who; }
        location = /own-path { jwt_lua_path path-own/?.lua; $show }
        location = /own-lua { jwt_lua_file %%DIR%%/own.lua; $show }
    }

    jwt_revocation_store %%DIR%%/store size=16m;
    server {
        listen 127.0.0.1:%%PORT3%%;
        jwt_secret_key "$secret{server}";
        jwt_close_on_expiry on;
        location = /handler { if (\$arg_if) { set \$met 1; } jwt_handler who; }
        location = /status { if (\$arg_if) { set \$met 1; } jwt_status json; }
        location = /jwks { if (\$arg_if) { set \$met 1; } jwt_public_key %%DIR%%/es.pub; jwt_jwks; }
        location = /introspect { if (\$arg_if) { set \$met 1; } jwt_introspect; }
        location = /refresh { if (\$arg_if) { set \$met 1; } jwt_required refresh; jwt_refresh rotate; }
        location = /logout { if (\$arg_if) { set \$met 1; } jwt_required any_type; jwt_logout; }
        location = /by-method { limit_except GET { jwt_required; } jwt_handler who; }
        location = /another { limit_except GET { proxy_pass %%BACKEND%%; } jwt_handler who; }
    }
EOF_HTTP

my $t = JWTTest->new(
    http => $http,
    files => {
        'http.lua' => $marked->('http'), 'server.lua' => $marked->('server'), 'own.lua' => $marked->('own'),
        'path-http/where.lua' => 'return "http"', 'path-server/where.lua' => 'return "server"', 'path-own/where.lua' => 'return "own"',
        'es.pub' => $pair->{public},
        'key.lua' => "return { decode_key = function() return '$secret{location}' end }\n",
        'es.lua' => "return { decode_key = function() return [[$pair->{public}]] end }\n",
    },
    config => <<"EOF_CONFIG",
    jwt_secret_key "$secret{server}";
    jwt_realm "of server";
    jwt_lua_file off;
    jwt_required;

    location / { $show }
    location = /key { jwt_secret_key "$secret{location}"; $show }
    location = /two-keys { jwt_secret_key "$secret{location}"; jwt_secret_key "$secret{server}"; $show }
    location = /es { jwt_public_key %%DIR%%/es.pub; jwt_algorithm ES256; $show }
    location = /both { jwt_public_key %%DIR%%/es.pub; jwt_secret_key "$secret{server}"; jwt_decode_algorithms ES256 HS256; $show }
    location = /384 { jwt_algorithm HS384; $show }
    location = /list { jwt_decode_algorithms HS384 HS512; $show }
    location /list-outside {
        jwt_decode_algorithms HS256 HS512;
        location = /list-outside/same { $show }
        location = /list-outside/signs { jwt_algorithm HS384; $show }
    }

    location = /lists {
        jwt_decode_issuer i-1 i-2; jwt_decode_audience off; jwt_exempt_methods off; jwt_error_message_key msg; jwt_decode_leeway 0; $show
    }
    location = /places { jwt_token_location cookies; $show }
    location = /lua { jwt_lua_file %%DIR%%/server.lua; jwt_lua_path %%DIR%%/path-server/?.lua; $show }
    location = /path-outside { jwt_lua_file %%DIR%%/server.lua; $show }
    location = /header { jwt_header_name X-Token; $show }

    location /hook {
        jwt_lua_file %%DIR%%/key.lua;
        location = /hook/key { $show }
        location = /hook/off { jwt_lua_file off; $show }
        location = /hook/es { jwt_lua_file %%DIR%%/es.lua; jwt_algorithm ES256; $show }
    }

    location /outer {
        jwt_required fresh;
        location = /outer/same { $show }
        location = /outer/other { jwt_required refresh; $show }
        location = /outer/off { jwt_required off; $show }
        location /outer/deep {
            jwt_secret_key "$secret{location}";
            location = /outer/deep/er { $show }
        }
    }

    location = /limited {
        jwt_required off;
        limit_except GET { jwt_required; }
        $show
    }
    location = /limited-fresh {
        limit_except GET { jwt_required fresh; }
        $show
    }
    location = /limited-open {
        limit_except POST { jwt_required off; }
        $show
    }
    location = /limited-key {
        jwt_secret_key "$secret{location}";
        limit_except GET { jwt_required fresh; }
        $show
    }
    location /limited-inside {
        limit_except GET { jwt_required fresh; }
        location = /limited-inside/it { jwt_required refresh; $show }
    }
EOF_CONFIG
);

# Good at this server unless changed.
sub good {
    my ($changes, %options) = @_;
    return token(claims(iss => 'i-http', aud => 'a-http', %{ $changes || {} }), key => $secret{server}, %options);
}

sub ask {
    my ($path, $token, %options) = @_;
    return $t->request($options{method} || 'GET', $path, defined $token ? [Authorization => "Bearer $token"] : [], undef, port => $options{port});
}

sub passes {
    my ($path, $token, $name, %options) = @_;
    my $response = ask($path, $token, %options);
    my ($line) = grep { $_->[0] eq 'X-Identity' } @{ $response->{json}{headers} || [] };
    ok($response->{status} == 200 && $line && $line->[1] eq 'alice', $name) or diag("$response->{status} $response->{body}");
    return;
}

sub open_to_all {
    my ($path, $name, %options) = @_;
    my $response = ask($path, undef, %options);
    is("$response->{status} " . ($response->{json}{uri} // ''), "200 $path", $name);
    return;
}

sub fails {
    my ($path, $token, $answer, $name, %options) = @_;
    my $response = ask($path, $token, %options);
    my ($key) = sort keys %{ $response->{json} || {} };
    is("$response->{status} " . ($key ? "$key: $response->{json}{$key}" : $response->{body}), $answer, $name);
    return $response;
}

my $forged = 'error: Signature verification failed';
my %other = (port => '2');
my $http_token = good({}, key => $secret{http});

# ---- keys: a level's own replace all of those outside

passes('/', good(), 'the key of the server');
fails('/', $http_token, "422 $forged", 'not that of http, too');
passes('/', $http_token, 'which serves a server without one', %other);
fails('/', good(), '422 error: Signature verification failed', 'and nothing else does there', %other);
passes('/key', good({}, key => $secret{location}), 'the key of a location');
fails('/key', good(), "422 $forged", 'not that of its server, too');
passes('/two-keys', good({}, key => $secret{$_}), "two keys: $_") for qw(location server);
fails('/two-keys', $http_token, "422 $forged", 'two keys: no third');
passes('/es', good({}, key => $pair->{private}, alg => 'ES256'), 'a key of another kind');
fails('/es', good(), '422 error: The specified alg value is not allowed', 'ends the use of the secret outside');
passes('/both', good({}, key => $pair->{private}, alg => 'ES256'), 'both kinds at once: ES256');
passes('/both', good(), 'both kinds at once: HS256');
passes('/outer/deep/er', good({ fresh => JSON::PP::true }, key => $secret{location}), 'keys go two levels down');
fails('/outer/deep/er', good({ fresh => JSON::PP::true }), "422 $forged", 'those of the server do not');

passes('/hook/key', good({}, key => $secret{location}), 'a hook decode_key');
fails('/hook/key', good(), "422 $forged", 'replaces the keys around it');
passes('/hook/off', good(), 'which serve again where there is no hook');
fails('/hook/off', good({}, key => $secret{location}), "422 $forged", 'and nothing else does there');
passes('/hook/es', good({}, key => $pair->{private}, alg => 'ES256'), 'beside a hook the secret outside may be unfit for the algorithm');
fails('/hook/es', good(), '422 error: The specified alg value is not allowed', 'and is not used');

# ---- algorithms

my $not_allowed = '422 error: The specified alg value is not allowed';
passes('/384', good({}, alg => 'HS384'), 'jwt_algorithm of a location');
fails('/384', good(), $not_allowed, 'is what it decodes');
passes('/list', good({}, alg => $_), "jwt_decode_algorithms: $_") for qw(HS384 HS512);
fails('/list', good(), $not_allowed, 'jwt_decode_algorithms: no other, not even that for signing');
passes('/list-outside/same', good({}, alg => $_), "the list is inherited: $_") for qw(HS256 HS512);
fails('/list-outside/same', good({}, alg => 'HS384'), $not_allowed, 'and nothing else');
passes('/list-outside/signs', good({}, alg => 'HS384'), 'jwt_algorithm of its own begins anew');
fails('/list-outside/signs', good({}, alg => 'HS512'), $not_allowed, 'without the list outside');

# ---- lists and texts

passes('/', good({ exp => time - 50 }), 'the leeway of http');
fails('/lists', good({ iss => 'i-1', exp => time - 50 }), '401 msg: Token has expired', 'leeway 0 of a location');
fails('/', good({ iss => 'i-1' }), '422 error: Invalid issuer', 'the issuers of http');
fails('/', good({ aud => 'x' }), "422 error: Audience doesn't match", 'its audiences');
passes('/lists', good({ iss => $_, aud => undef }), "issuers of a location: $_") for qw(i-1 i-2);
fails('/lists', good({ aud => undef }), '422 msg: Invalid issuer', 'replace those of http');
fails('/lists', undef, '401 msg: Missing JWT in headers or query_string (Missing Authorization Header; Missing \'jwt\' query paramater)', 'the places of http');
fails('/places', good(), '401 error: Missing cookie "access_token_cookie"', 'the places of a location');
fails('/header', good(), "401 error: Missing JWT in headers or query_string (Missing X-Token Header; Missing 'jwt' query paramater)", 'a header name of a location');
open_to_all('/', 'the exempt methods of http', method => 'PURGE');
fails('/lists', undef, '401 msg: Missing JWT in headers or query_string (Missing Authorization Header; Missing \'jwt\' query paramater)',
    'none in a location with off', method => 'OPTIONS');
is(ask('/', undef)->{headers}{'www-authenticate'}, 'Bearer realm="of server"', 'the realm of the server');
is(ask('/lua-off', undef, %other)->{headers}{'www-authenticate'}, 'Bearer realm="of http"', 'the realm of http');

# ---- jwt_required

passes('/', good(), 'jwt_required of the server');
open_to_all('/off', 'off in a location', %other);
fails('/outer/same', good(), '401 error: Fresh token required', 'fresh, from the location around it');
passes('/outer/same', good({ fresh => JSON::PP::true }), 'which a fresh token passes');
fails('/outer/other', good({ fresh => JSON::PP::true }), '422 error: Only refresh tokens are allowed', 'replaced as a whole');
passes('/outer/other', good({ type => 'refresh' }), 'by refresh, without fresh');
open_to_all('/outer/off', 'and by off');

# ---- limit_except

my $missing = "401 error: Missing JWT in headers or query_string (Missing Authorization Header; Missing 'jwt' query paramater)";
open_to_all('/limited', 'limit_except: GET needs none');
fails('/limited', undef, $missing, 'POST needs one', method => 'POST');
passes('/limited', good(), 'and has one', method => 'POST');
passes('/limited-fresh', good(), 'limit_except: GET as outside');
fails('/limited-fresh', good(), '401 error: Fresh token required', 'other methods need a fresh one', method => 'PUT');
passes('/limited-fresh', good({ fresh => JSON::PP::true }), 'and have one', method => 'PUT');
fails('/limited-open', undef, $missing, 'limit_except: POST as outside', method => 'POST');
open_to_all('/limited-open', 'all others off');
passes('/limited-key', good({ fresh => JSON::PP::true }, key => $secret{location}), 'limit_except: the key of its location', method => 'POST');
fails('/limited-key', good({ fresh => JSON::PP::true }), "422 $forged", 'and no other', method => 'POST');
fails('/limited-inside/it', good({ fresh => JSON::PP::true }), '422 error: Only refresh tokens are allowed', 'limit_except is not inherited', method => 'POST');

# ---- what makes the content: within `if` and limit_except the same

my %third = (port => '3');
for my $if ('?if=', '?if=1') {
    is(ask("/handler$if", undef, %third)->{body}, 'http', "$if: jwt_handler");
    ok(ask("/status$if", undef, %third)->{json}, "$if: jwt_status, in its format");
    is(scalar @{ ask("/jwks$if", undef, %third)->{json}{keys} || [] }, 1, "$if: jwt_jwks");
    my $form = $t->post("/introspect$if", ['Content-Type' => 'application/x-www-form-urlencoded'], 'token=' . good(), %third);
    ok($form->{json}{active}, "$if: jwt_introspect") or diag($form->{status});
    my $refresh = good({ type => 'refresh', jti => "refresh $if" });
    my $refreshed = ask("/refresh$if", $refresh, %third, method => 'POST');
    ok($refreshed->{json}{refresh_token}, "$if: jwt_refresh rotates") or diag($refreshed->{status});
    fails("/refresh$if", $refresh, '401 error: Token has been revoked', "$if: and the token before has ended", %third, method => 'POST');
    my $access = good({ jti => "access $if" });
    is(ask("/logout$if", $access, %third, method => 'POST')->{status}, 200, "$if: jwt_logout");
    fails("/logout$if", $access, '401 error: Token has been revoked', "$if: has ended the token", %third, method => 'POST');
}
is(ask('/by-method', undef, %third)->{body}, 'http', 'limit_except beside jwt_handler: GET');
fails('/by-method', undef, '401 msg: http at http', 'POST needs a token', %third, method => 'POST');
is(ask('/by-method', good(), %third, method => 'POST')->{body}, 'http', 'and is answered by the handler with one');
is(ask('/another', undef, %third)->{body}, 'http', 'limit_except with a content of its own: GET is not of it');
is(ask('/another', undef, %third, method => 'POST')->{json}{method}, 'POST', 'and POST is');

# ---- the Lua file

my $plain = "401 error: Missing JWT in headers or query_string (Missing Authorization Header; Missing 'jwt' query paramater)";
fails('/', undef, '401 msg: http at http', 'the hooks of http', %other);
fails('/lua-off', undef, $plain, 'jwt_lua_file off', %other);
fails('/own-lua', undef, '401 msg: own at http', 'a file of its own, the path from outside', %other);
fails('/own-path', undef, '401 msg: http at own', 'the file from outside, a path of its own', %other);
is(ask('/handler', undef, %other)->{body}, 'http', 'a handler of the file of http');
fails('/', undef, $plain, 'jwt_lua_file off of a server');
fails('/lua', undef, '401 msg: server at server', 'and a file again within it');
fails('/path-outside', undef, '401 msg: server at http', 'with the path of http');

done_testing;
