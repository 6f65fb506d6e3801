# Rows 38 and 41 to 46 of the attack catalogue: types of token, and claims of odd numbers, types and shapes, in tokens whose
# signature is good.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;

my $t = JWTTest->new(
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    jwt_secret_key "$JWTTest::Token::secret";
    location /plain/ { jwt_required; }
    location /leeway/ { jwt_required; jwt_decode_leeway 60s; }
    location /audience/ { jwt_required; jwt_decode_audience api other-api; }
    location /issuer/ { jwt_required; jwt_decode_issuer https://idp https://second; }
    location /name/ { jwt_required; jwt_identity_claim name; }
    location /anybody/ { jwt_required; jwt_verify_sub off; }
    location /admin/ { jwt_required; jwt_lua_file %%DIR%%/scope.lua; }
    location /role/ { jwt_required; jwt_lua_file %%DIR%%/role.lua; }
    location /has-scope/ { jwt_required; jwt_require_claim scope contains admin; }
    location /lacks-scope/ { jwt_required; jwt_require_claim scope !contains admin; }
    location /has-role/ { jwt_required; jwt_require_claim realm_access.roles contains admin; }
    location /matching/ { jwt_required; jwt_require_claim scope ~ ^admin\$; }
    location /required/ {
        jwt_required;
        jwt_require_claim exp; jwt_require_claim iat error=401; jwt_require_claim iss; jwt_require_claim aud; jwt_require_claim jti;
    }
    location /profile/ { jwt_required; jwt_profile rfc9068; jwt_decode_issuer https://idp; jwt_decode_audience api; }
    location /jwt/ { jwt_required; jwt_require_header typ = JWT; }
    location /at/ { jwt_required; jwt_require_header typ in at+jwt logout+jwt; }
EOF_CONFIG
    files => {
        (map { ("html/$_/index.html" => 'inside') } qw(plain leeway audience issuer name anybody admin role
            has-scope lacks-scope has-role matching required profile jwt at)),
        'scope.lua' => <<'EOF_LUA',
return {
  token_verification = function(header, payload)
    if type(payload.scope) ~= "string" then return false end
    for word in payload.scope:gmatch("[^ ]+") do
      if word == "admin" then return true end
    end
    return false
  end,
}
EOF_LUA
        'role.lua' => <<'EOF_LUA',
return {
  token_verification = function(header, payload)
    local access = payload.realm_access
    if type(access) ~= "table" or type(access.roles) ~= "table" then return false end
    for _, role in ipairs(access.roles) do
      if role == "admin" then return true end
    end
    return false
  end,
}
EOF_LUA
    },
);

my $now = time;

# With the claims as JSON text, which says numbers as no encoder would.
sub answer {
    my ($location, $members) = @_;
    return $t->get_with("/$location/", raw_token('{"alg":"HS256","typ":"JWT"}', '{' . join(',', @$members) . '}'));
}

sub accepted {
    my ($location, $members, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $response = answer($location, $members);
    return is_deeply([@$response{qw(status body)}], [200, 'inside'], $name);
}

sub refused {
    my ($location, $members, $message, $name, $status) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $response = answer($location, $members);
    my $said = $response->{json} && $response->{json}{msg};
    my $right = $response->{status} == ($status || 422) && defined $said && (ref $message ? $said =~ $message : $said eq $message);
    return ok($right && $response->{body} !~ /inside/, $name) || diag("$response->{status} $response->{body}");
}

my $sub = '"sub":"alice"';

# ---- row 41: numbers and what poses as one

my %type_message = (
    exp => 'Expiration Time claim (exp) must be an integer.',
    nbf => 'Not Before claim (nbf) must be an integer.',
    iat => 'Issued At claim (iat) must be an integer.',
);
my $unreadable = qr/\AInvalid payload string: /;
my @future = qw(1e308 1e10 9999999999.5 9223372036854775807 9223372036854775808 18446744073709551615);
my @past = qw(-1 -0 0 0.0 1.5 1e0 1E-400 -1e308 -9223372036854775808);
my @wrong = ('"9999999999"', '"1"', '""', 'null', 'true', 'false', '[]', '[9999999999]', '{}', '{"$date":9999999999}');
my @no_json = qw(1e400 -1e400 18446744073709551616 NaN Infinity -Infinity 017 0x10 +1 1. .5 1e);

for my $claim (qw(exp nbf iat)) {
    for my $number (@future) {
        if ($claim eq 'exp') {
            accepted('plain', [$sub, qq("exp":$number)], "row 41: exp $number lies ahead");
            accepted('leeway', [$sub, qq("exp":$number)], "row 41: exp $number and a leeway too");
        } else {
            refused($_, [$sub, qq("$claim":$number)], "The token is not yet valid ($claim)", "row 41: $claim $number lies ahead: $_")
                for qw(plain leeway);
        }
    }
    for my $number (@past) {
        if ($claim eq 'exp') {
            refused($_, [$sub, qq("exp":$number)], 'Token has expired', "row 41: exp $number is over: $_", 401) for qw(plain leeway);
        } else {
            accepted($_, [$sub, qq("$claim":$number)], "row 41: $claim $number is over: $_") for qw(plain leeway);
        }
    }
    refused('plain', [$sub, qq("$claim":$_)], $type_message{$claim}, "row 41: $claim $_ is no number") for @wrong;
    refused('plain', [$sub, qq("$claim":$_)], $unreadable, "row 41: $claim $_ is no number of JSON") for @no_json;
}

# ---- row 42: the edge of time, far enough from it that a slow machine does not matter

my %times = (
    exp => [[plain => 30, -30], [leeway => -30, -90]],
    nbf => [[plain => -30, 30], [leeway => 30, 90]],
    iat => [[plain => -30, 30], [leeway => 30, 90]],
);
for my $claim (sort keys %times) {
    my ($message, $status) = $claim eq 'exp' ? ('Token has expired', 401) : "The token is not yet valid ($claim)";
    for my $case (@{ $times{$claim} }) {
        my ($location, $good, $bad) = @$case;
        accepted($location, [$sub, sprintf '"%s":%d', $claim, $now + $good], "row 42: $location, $claim $good s from now");
        refused($location, [$sub, sprintf '"%s":%d', $claim, $now + $bad], $message, "row 42: $location, $claim $bad s from now", $status);
    }
}
refused('plain', [$sub, sprintf '"exp":%d', time], 'Token has expired', 'row 42: exp is now', 401);
accepted('plain', [$sub, sprintf '"nbf":%d,"iat":%d', (time) x 2], 'row 42: nbf and iat are now');
refused('leeway', [$sub, sprintf('"exp":%d', $now - 90), qq("nbf":@{[$now - 3600]})], 'Token has expired',
    'row 42: a good nbf makes up for no exp', 401);

# ---- row 43: claims that are not there

my %all = (sub => '"alice"', exp => $now + 900, nbf => $now, iat => $now, jti => '"j"', type => '"access"', fresh => 'false',
    iss => '"https://idp"', aud => '"api"', name => '"Alice"');
sub all_but { my ($name) = @_; return [map { qq("$_":$all{$_}) } grep { $_ ne $name } sort keys %all] }

my %needed = (
    (map { ("$_ sub" => 'Missing claim: sub') } qw(plain audience issuer)), 'name name' => 'Missing claim: name',
    'audience aud' => 'Token is missing the "aud" claim', 'issuer iss' => 'Token is missing the "iss" claim',
);
for my $location (qw(plain audience issuer name)) {
    accepted($location, all_but(''), "row 43: $location, all claims");
    for my $claim (sort keys %all) {
        if (my $message = $needed{"$location $claim"}) {
            refused($location, all_but($claim), $message, "row 43: $location, no $claim");
        } else {
            accepted($location, all_but($claim), "row 43: $location, no $claim, which is not asked for");
        }
    }
}
refused('plain', [], 'Missing claim: sub', 'row 43: no claim at all');
refused('plain', ['"SUB":"alice"'], 'Missing claim: sub', 'row 43: a claim by another case');
for my $value (qw(1 null true [] {} ["alice"])) {
    refused('plain', [qq("sub":$value)], 'Subject must be a string', "row 43: sub $value");
    refused('plain', [$sub, qq("jti":$value)], 'JWT ID must be a string', "row 43: jti $value");
    refused('plain', [$sub, qq("type":$value)], 'Token type must be a string', "row 43: type $value");
}
accepted('anybody', ['"sub":1'], 'row 43: sub 1 where jwt_verify_sub is off');

# ---- row 44: aud

accepted('audience', [$sub, qq("aud":$_)], "row 44: aud $_")
    for '"api"', '"other-api"', '["api"]', '["x","api"]', '["other-api","x"]', '["x","y","other-api"]', '"\u0061pi"', '["","api"]';
my $mismatch = "Audience doesn't match";
my %audience = (
    (map { ($_ => $mismatch) } '"apix"', '"ap"', '"API"', '"api/"', '" api"', '"api "', '"api,x"', '"x api"', '"api other-api"', '"*"',
        '"api\u0000"', '"\u0430pi"', '["x"]', '["API"]', '[""]', '["api,other-api"]'),
    (map { ($_ => 'Invalid claim format in token') } '1', 'true', 'false', '{}', '{"api":true}', '{"0":"api"}', '[1]', '["api",1]', '[1,"api"]',
        '["api",null]', '[["api"]]', '[{"api":1}]'),
    (map { ($_ => 'Token is missing the "aud" claim') } '""', '[]', 'null'),
);
refused('audience', [$sub, qq("aud":$_)], $audience{$_}, "row 44: aud $_") for sort keys %audience;
accepted('plain', [$sub, '"aud":"whoever"'], 'row 44: an audience where none is asked for');
refused('plain', [$sub, '"aud":[1]'], 'Invalid claim format in token', 'row 44: aud of a wrong type where none is asked for');

# ---- row 45: iss

accepted('issuer', [$sub, qq("iss":$_)], "row 45: iss $_") for '"https://idp"', '"https://second"', '"https:\/\/idp"';
refused('issuer', [$sub, qq("iss":$_)], 'Invalid issuer', "row 45: iss $_")
    for '"https://idp.evil"', '"https://id"', '"HTTPS://IDP"', '"https://idp/"', '"https://idp "', '" https://idp"', '"https://idp\u0000"',
    '"https://idp https://second"', '"https://idp,https://second"', '"http://idp"', '"idp"', '""', '"https://evil@idp"';
refused('issuer', [$sub, qq("iss":$_)], 'Payload Issuer (iss) must be a string', "row 45: iss $_")
    for '["https://idp"]', '{"https://idp":1}', '1', 'null', 'true';
refused('plain', [$sub, '"iss":["https://idp"]'], 'Payload Issuer (iss) must be a string', 'row 45: a list where no issuer is asked for');

# ---- row 46: scopes and roles, by a hook and by jwt_require_claim

my $no = 'User claims verification failed';
accepted('admin', [$sub, qq("scope":$_)], "row 46: scope $_") for '"admin"', '"read admin"', '"admin write"', '" admin "', '"\u0061dmin"';
refused('admin', [$sub, qq("scope":$_)], $no, "row 46: scope $_", 400)
    for '"notadmin"', '"administrator"', '"admin\n"', '"read\tadmin"', '"read,admin"', '"ADMIN"', '"admin\u0000"', '"admin:read"', '""', '["admin"]',
    '{"admin":true}', 'true', 'null', '1';
refused('admin', [$sub, '"scp":"admin"'], $no, 'row 46: no scope', 400);
accepted('role', [$sub, '"realm_access":{"roles":["user","admin"]}'], 'row 46: a role in a nested claim');
refused('role', [$sub, $_], $no, "row 46: $_", 400)
    for '"realm_access":{"roles":["user"]}', '"realm_access.roles":["admin"]', '"realm_access":{"roles":"admin"}', '"realm_access":{"roles":{"x":"admin"}}',
    '"realm_access":["admin"]', '"realm_access":{"Roles":["admin"]}', '"roles":["admin"]', '"realm_access":{"roles":[["admin"]]}', '"realm_access":null';


sub forbidden {
    my ($location, $claim, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return refused($location, [$sub, @$claim], qr/\A(?:Insufficient scope|Claim \S+ does not allow this|Missing claim: \S+)\z/, $name, 403);
}
accepted('has-scope', [$sub, qq("scope":$_)], "row 46: has scope $_")
    for '"admin"', '"read admin"', '"admin write"', '" admin "', '"\u0061dmin"', '["admin"]', '["read","admin"]';
my @near = ('"notadmin"', '"administrator"', '"admin\n"', '"read\tadmin"', '"read,admin"', '"ADMIN"', '"admin\u0000"', '"admin:read"', '""',
    '["read admin"]', '["admin "]', '["ADMIN"]', '[]');
my @odd = ('{"admin":true}', 'true', 'null', '1', '[["admin"]]', '[{"admin":1}]', '{}');
forbidden('has-scope', [qq("scope":$_)], "row 46: has scope $_") for @near, @odd;
forbidden('has-scope', [], 'row 46: has no scope');
accepted('lacks-scope', [$sub, qq("scope":$_)], "row 46: lacks scope $_") for @near;
forbidden('lacks-scope', [qq("scope":$_)], "row 46: a scope that nobody can read lacks nothing: $_") for '"read admin"', '["admin"]', @odd;
forbidden('lacks-scope', [], 'row 46: no scope lacks nothing');
accepted('has-role', [$sub, '"realm_access":{"roles":["user","admin"]}'], 'row 46: has a role in a nested claim');
forbidden('has-role', [$_], "row 46: has $_")
    for '"realm_access":{"roles":["user"]}', '"realm_access.roles":["admin"]', '"realm_access":{"roles":"notadmin"}', '"realm_access":{"roles":{"x":"admin"}}',
    '"realm_access":["admin"]', '"realm_access":{"Roles":["admin"]}', '"roles":["admin"]', '"realm_access":{"roles":[["admin"]]}', '"realm_access":null';
accepted('matching', [$sub, '"scope":"admin"'], 'row 46: a pattern');
forbidden('matching', [qq("scope":$_)], "row 46: a pattern, and $_") for '"admin\n"', '"admin\u0000"', '"\nadmin"', '"read\nadmin"', '["admin"]', '"admins"';

# ---- row 43: claims that a location asks for

accepted('required', all_but(''), 'row 43: all claims that are asked for');
refused('required', all_but($_), "Missing claim: $_", "row 43: asked for, no $_", $_ eq 'iat' ? 401 : 403) for qw(exp iat iss aud jti);
accepted('required', all_but('nbf'), 'row 43: no nbf, which is not asked for');
refused('required', [@{ all_but('aud') }, '"aud":null'], qr/\AInvalid claim format/, 'row 43: null is no audience');

# ---- row 38: the type of a token, 8 × 4

my %type = (
    'at+jwt' => [qw(plain profile at)], 'AT+JWT' => [qw(plain profile at)], 'application/at+jwt' => [qw(plain profile at)],
    'dpop+jwt' => [qw(plain)], 'logout+jwt' => [qw(plain at)], 'JWT' => [qw(plain jwt)], 'application/jwt' => [qw(plain jwt)], '' => [qw(plain)],
);
my $access = join ',', $sub, '"client_id":"app"', '"iss":"https://idp"', '"aud":"api"', qq("exp":@{[$now + 900]}), qq("iat":$now), '"jti":"j"';
for my $type (sort keys %type) {
    my $token = raw_token(sprintf('{"alg":"HS256"%s}', $type ? qq(,"typ":"$type") : ''), "{$access}");
    for my $location (qw(plain profile jwt at)) {
        my $right = grep { $_ eq $location } @{ $type{$type} };
        is($t->get_with("/$location/", $token)->{status}, $right ? 200 : $location eq 'profile' ? 401 : 403, "row 38: $location, typ '$type'");
    }
}
for my $odd ('"at+jwt\u0000"', '"at+jwt "', '["at+jwt"]', '{}', '1', 'null', '"application/application/at+jwt"', '"at/jwt"') {
    isnt($t->get_with("/$_/", raw_token(qq({"alg":"HS256","typ":$odd}), "{$access}"))->{status}, 200, "row 38: $_, typ $odd") for qw(profile at);
}

done_testing;
