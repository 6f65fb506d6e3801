# Rows 31 to 36 and 40 of the attack catalogue: tokens whose spelling, framing, JSON or size is not what the RFCs allow.
# Every signature is good over the very bytes that are sent: what is refused is refused for its form alone.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256 hmac_sha512);
use FindBin;
use JSON::PP ();
use lib "$FindBin::Bin/lib";
use JWTTest;

my $t = JWTTest->new(
    config => <<"EOF_CONFIG",
    root %%DIR%%/html;
    large_client_header_buffers 4 64k;
    jwt_secret_key "$JWTTest::Token::secret";
    jwt_decode_algorithms HS256 HS512;
    location /header/ { jwt_required; }
    location /query/ { jwt_required locations=query_string; }
    location /cookie/ { jwt_required locations=cookies; }
    location /json/ { jwt_required locations=json; jwt_lua_file %%DIR%%/hooks.lua; jwt_handler inside; }
EOF_CONFIG
    files => {
        (map { ("html/$_/index.html" => 'inside') } qw(header query cookie)),
        'hooks.lua' => 'return { handlers = { inside = function() return "inside" end } }',
    },
);

my $now = time;
my $good_payload = JSON::PP->new->canonical->encode(claims());
my $good_header = '{"alg":"HS256","typ":"JWT"}';
my $malformed = qr/\A(?:Not enough segments|Invalid (?:header|payload|crypto) padding|Invalid (?:header|payload) string: .+)\z/;

sub signed {
    my ($header, $payload, $algorithm) = @_;
    my $hash = ($algorithm || 'HS256') eq 'HS256' ? \&hmac_sha256 : \&hmac_sha512;
    return "$header.$payload." . base64url($hash->("$header.$payload", $JWTTest::Token::secret));
}

sub by_header { return $t->get_with('/header/', $_[0]) }
sub by_cookie { return $t->get('/cookie/', [Cookie => "access_token_cookie=$_[0]"]) }

# Every byte arrives as it is, also those that no header line can hold.
sub by_query {
    my ($token) = @_;
    $token =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ge;
    return $t->get("/query/?jwt=$token");
}

sub accepted {
    my ($response, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply([@$response{qw(status body)}], [200, 'inside'], $name);
}

sub refused {
    my ($response, $message, $name, $status) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $said = $response->{json} && $response->{json}{msg};
    my $right = $response->{status} == ($status || 422) && defined $said && (ref $message ? $said =~ $message : $said eq $message);
    return ok($right && $response->{body} !~ /inside/, $name) || diag("$response->{status} $response->{body}");
}

# ---- row 31: base64url to the letter

# A JSON object whose text has both characters in which base64url differs, and whose length leaves that remainder of 4.
sub segment {
    my ($members, $remainder) = @_;
    my $padding = '';
    while (1) {
        my $text = base64url(qq({$members,"x":"$padding?????>>>>>"}));
        return $text if length($text) % 4 == $remainder && $text =~ /-/ && $text =~ /_/;
        $padding .= 'a';
    }
}

# The twin of the last character that differs in bits which no byte uses.
sub with_spare_bits {
    my ($text) = @_;
    my $alphabet = join '', 'A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_';
    my $last = substr $text, -1, 1, '';
    return $text . substr($alphabet, index($alphabet, $last) | 1, 1);
}

my %misspelling = (
    "'+' for '-'" => [3, sub { $_[0] =~ s/-/+/r }],
    "'/' for '_'" => [3, sub { $_[0] =~ s{_}{/}r }],
    "padding '='" => [3, sub { "$_[0]=" }],
    "padding '=='" => [2, sub { "$_[0]==" }],
    "'=' where none is due" => [0, sub { "$_[0]=" }],
    '2 spare bits' => [3, \&with_spare_bits],
    '4 spare bits' => [2, \&with_spare_bits],
    'one character too many' => [0, sub { "$_[0]A" }],
    'a foreign character' => [0, sub { substr($_[0], 0, 8) . '~' . substr $_[0], 9 }],
    'a byte above 127' => [0, sub { substr($_[0], 0, 8) . "\xc3" . substr $_[0], 9 }],
    'a space' => [0, sub { substr($_[0], 0, 8) . ' ' . substr $_[0], 8 }],
    'a space before' => [0, sub { " $_[0]" }],
    'a tab' => [0, sub { "$_[0]\t" }],
    'a line feed' => [0, sub { substr($_[0], 0, 8) . "\n" . substr $_[0], 8 }],
    'a line end' => [0, sub { "$_[0]\r\n" }],
    'a NUL' => [0, sub { "$_[0]\0" }],
);
my $members = sprintf '"sub":"alice","exp":%d', $now + 900;

for my $remainder (0, 2, 3) {
    my $header = segment('"alg":"HS256"', $remainder);
    my $payload = segment($members, $remainder);
    my $token = signed($header, $payload);
    accepted(by_header($token), "row 31: a header and payload of 4n+$remainder characters, spelt right, in a header");
    accepted(by_query($token), "row 31: the same in a query string");
}

for my $name (sort keys %misspelling) {
    my ($remainder, $change) = @{ $misspelling{$name} };
    my $header = segment('"alg":"HS256"', $remainder);
    my $payload = segment($members, $remainder);
    my %token = (
        header => [signed($change->($header), $payload), 'Invalid header padding'],
        payload => [signed($header, $change->($payload)), 'Invalid payload padding'],
    );
    for my $part (sort keys %token) {
        my ($token, $message) = @{ $token{$part} };
        refused(by_query($token), $message, "row 31: $part with $name, in a query string");
        refused(by_header($token), $message, "row 31: $part with $name, in a header") unless $token =~ /[\x00-\x20]/;
    }
}

# A signature of 32 bytes leaves 3 of its characters over, one of 64 bytes 2.
sub token_with_signature {
    my ($algorithm, $pattern) = @_;
    for my $try (1 .. 1000) {
        my $token = signed(base64url(qq({"alg":"$algorithm"})), base64url("{$members,\"try\":$try}"), $algorithm);
        return $token if (split /\./, $token)[2] =~ $pattern;
    }
    die 'no such signature';
}

for my $name (sort keys %misspelling) {
    my ($remainder, $change) = @{ $misspelling{$name} };
    my $token = token_with_signature($remainder == 2 ? 'HS512' : 'HS256', $name =~ /^'/ ? qr/-.*_|_.*-/ : qr/./);
    my ($header, $payload, $signature) = split /\./, $token;
    my $changed = "$header.$payload." . $change->($signature);
    accepted(by_query($token), "row 31: a signature without $name");
    my $message = qr/\A(?:Invalid crypto padding|Signature verification failed)\z/;
    refused(by_query($changed), $message, "row 31: signature with $name, in a query string");
    refused(by_header($changed), $message, "row 31: signature with $name, in a header") unless $changed =~ /[\x00-\x20]/;
}

# ---- row 32: the header around the token

my $token = token();
my %framing = (
    'Bearer TOKEN' => 200, 'bearer TOKEN' => 200, 'BEARER TOKEN' => 200, 'Bearer  TOKEN' => 200, '  Bearer TOKEN  ' => 200,
    "Bearer\tTOKEN" => 200,  # not RFC 9110's space, yet Flask-JWT-Extended takes it, and it means nothing else
    '' => 401, 'B' => 401, 'BearerTOKEN' => 401, 'Bearer=TOKEN' => 401, 'Bearer:TOKEN' => 401, 'BearerX TOKEN' => 401, 'TOKEN' => 401,
    'Token TOKEN' => 401, 'Basic TOKEN' => 401, '"Bearer" TOKEN' => 401, "\xa0Bearer TOKEN" => 401, ',' => 401, ' ' => 401,
    'Bearer' => 422, 'Bearer ' => 422, 'Bearer TOKEN junk' => 422, 'Bearer TOKEN TOKEN' => 422, 'Bearer Bearer TOKEN' => 422,
    'Bearer "TOKEN"' => 422, 'Bearer <TOKEN>' => 422, 'Bearer TOKEN;' => 422, 'Bearer jwt=TOKEN' => 422, "Bearer\xa0TOKEN" => 401,
    'Bearer TOKEN, Bearer TOKEN' => 401, 'Bearer TOKEN,Bearer x' => 401, 'bearer x, Bearer TOKEN' => 401, 'Bearer ,TOKEN' => 422,
    'Bearer TOKEN,' => 200, ',Bearer TOKEN' => 200, 'Bearer TOKEN, Basic x' => 200, 'Basic x, Bearer TOKEN' => 200, "Bearer TOKEN\t" => 200,
    "Bearer \t TOKEN" => 200, "Bearer TOKEN\tx" => 422, 'Bearer TOKEN x' => 422, 'Bearer ' . 'a' x 15 . ' x' => 422, "Bearer ${\('a' x 16)}\tx" => 422,
    'Bearer TOKEN,Bearer' => 401, 'BearerTOKEN ' => 401,
);
for my $shape (sort keys %framing) {
    my $response = $t->raw("GET /header/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: "
        . ($shape =~ s/TOKEN/$token/gr) . "\r\nConnection: close\r\n\r\n");
    my $name = 'row 32: Authorization: ' . ($shape =~ s/\xa0/<A0>/r =~ s/\t/<TAB>/r =~ s/^ *\z/($&)/r);
    if ($framing{$shape} == 200) {
        accepted($response, $name);
    } else {
        refused($response, qr/\A(?:Missing|Bad|Invalid|Not enough)/, $name, $framing{$shape});
    }
}
my $twice = $t->get('/header/', [Authorization => "Bearer $token", Authorization => "Bearer $token"]);
ok($twice->{status} =~ /\A4/ && $twice->{body} !~ /inside/, 'row 32: two Authorization lines');
my $nul = $t->raw("GET /header/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer\0 $token\r\nConnection: close\r\n\r\n");
is($nul->{status}, 400, 'row 32: a NUL in the line');

# ---- row 33: two members of one name

my $two = qr/an object has two members of one name/;
my %duplicate = (
    'alg twice, the same' => ['{"alg":"HS256","alg":"HS256"}', $good_payload],
    'alg twice, none first' => ['{"alg":"none","alg":"HS256"}', $good_payload],
    'alg twice, once escaped' => ['{"alg":"HS256","\u0061lg":"none"}', $good_payload],
    'kid twice' => ['{"alg":"HS256","kid":"a","kid":"b"}', $good_payload],
    'twice within a header member' => ['{"alg":"HS256","x":{"y":1,"y":1}}', $good_payload],
    'exp twice' => [$good_header, qq({"sub":"a","exp":1,"exp":@{[$now + 900]}})],
    'exp twice, good one first' => [$good_header, qq({"sub":"a","exp":@{[$now + 900]},"exp":1})],
    'exp twice, once escaped' => [$good_header, qq({"sub":"a","exp":@{[$now + 900]},"\\u0065xp":9e9})],
    'sub twice' => [$good_header, '{"sub":"alice","sub":"bob"}'],
    'twice within cnf' => [$good_header, '{"sub":"a","cnf":{"jkt":"x","jkt":"y"}}'],
    'twice within realm_access' => [$good_header, '{"sub":"a","realm_access":{"roles":["user"],"roles":["admin"]}}'],
    'twice within an object in an array' => [$good_header, '{"sub":"a","list":[1,{"a":1},{"b":1,"b":2}]}'],
    'twice ten levels down' => [$good_header, '{"sub":"a","x":' . '{"d":' x 10 . '{"e":1,"e":1}' . '}' x 10 . '}'],
    'twice among thirty names' => [$good_header, '{"sub":"a",' . join(',', map { qq("n$_":1) } 1 .. 30, 7) . '}'],
    'the empty name twice' => [$good_header, '{"sub":"a","":1,"":2}'],
);
for my $name (sort keys %duplicate) {
    refused(by_header(raw_token(@{ $duplicate{$name} })), $two, "row 33: $name");
}
accepted(by_header(raw_token('{"alg":"HS256","x":{"y":1,"z":1}}', $good_payload)), 'row 33: a header whose names differ');
accepted(by_header(raw_token($good_header, '{"sub":"a","Sub":"b","\u0073ub2":1,"cnf":{"sub":"c"},"l":[{"a":1},{"a":2}]}')),
    'row 33: the same name in different objects, and in another case');
accepted(by_header(raw_token($good_header, '{"sub":"a",' . join(',', map { qq("n$_":1) } 1 .. 30) . '}')), 'row 33: thirty names');

# ---- rows 34 and 35: crit, b64, detached payloads

for my $crit ('["exp"]', '["http://example.com/x"]', '["x"]', '["x","x"]', '["alg"]', '["absent"]', '["b64"]', '[""]', '[1]', '[["x"]]',
    '[]', '"exp"', 'null', '1', 'false', '{}') {
    my $header = qq({"alg":"HS256","x":1,"exp":1,"http://example.com/x":true,"crit":$crit});
    refused(by_header(raw_token($header, $good_payload)), qr/crit/, "row 34: crit $crit");
}
accepted(by_header(raw_token('{"alg":"HS256","x":1,"exp":1,"http://example.com/x":true}', $good_payload)),
    'row 34: the same header parameters without crit');

my $encoded_payload = base64url($good_payload);
my %unencoded;
for my $b64 ('"b64":false', '"b64":false,"crit":["b64"]', '"b64":true', '"b64":true,"crit":["b64"]', '"b64":null') {
    my $header = base64url(qq({"alg":"HS256",$b64}));
    $unencoded{"$b64, payload encoded all the same"} = signed($header, $encoded_payload);
    $unencoded{"$b64, payload as it is"} = signed($header, $good_payload);
    $unencoded{"$b64, signed as it is, sent encoded"}
        = "$header.$encoded_payload." . base64url(hmac_sha256("$header.$good_payload", $JWTTest::Token::secret));
}
my $plain_header = base64url($good_header);
my ($plain_signature) = signed($plain_header, $encoded_payload) =~ /([^.]+)\z/;
$unencoded{'a detached payload'} = "$plain_header..$plain_signature";
$unencoded{'an empty payload, signed'} = signed($plain_header, '');
for my $name (sort keys %unencoded) {
    refused(by_query($unencoded{$name}), qr/b64|padding|Invalid payload string|Not enough segments/, "row 35: $name");
}
accepted(by_query(signed($plain_header, $encoded_payload)), 'row 35: an encoded payload, and no b64');

# ---- row 36: the compact serialization alone

my $compact = signed($plain_header, $encoded_payload);
my ($h, $p, $s) = split /\./, $compact;
my $flattened = qq({"protected":"$h","payload":"$p","signature":"$s"});
my %serialization = (
    'flattened JSON' => $flattened,
    'general JSON' => qq({"payload":"$p","signatures":[{"protected":"$h","signature":"$s"}]}),
    'a polyglot' => qq({"$h.$p.":"","protected":"$h","payload":"$p","signature":"$s"}),
    'a polyglot with spaces' => qq({"  $h.$p.":"","protected":"$h","payload":"$p","signature":"$s"}),
    'a polyglot around a whole token' => qq({"x":"$compact"}),
);
for my $name (sort keys %serialization) {
    my $text = $serialization{$name};
    refused(by_query($text), $malformed, "row 36: $name in a query string");
    refused(by_header($text), qr/\A(?:Bad|Missing|Not enough|Invalid)/, "row 36: $name in a header");
    refused(by_cookie($text), $malformed, "row 36: $name in a cookie");
    refused($t->post('/json/', ['Content-Type' => 'application/json'], qq({"access_token":$text})),
        'Invalid token type. Token must be a string', "row 36: $name in place of a token in a JSON body");
}
accepted(by_query($compact), 'row 36: the compact form in a query string');
accepted(by_header($compact), 'row 36: the compact form in a header');
accepted(by_cookie($compact), 'row 36: the compact form in a cookie');
accepted($t->post('/json/', ['Content-Type' => 'application/json'], qq({"access_token":"$compact"})),
    'row 36: the compact form in a JSON body');

# ---- row 40: dots, size, depth

my %dots = (
    'no dot' => 'abc', 'one dot' => "$h.$p", 'three dots' => "$compact.", 'four dots' => "$compact.x.y", 'a dot before' => ".$compact",
    'dots alone' => '.' x 3, '8,000 dots' => '.' x 8000, 'a token and 8,000 dots' => $compact . '.' x 8000,
    'an empty header' => ".$p.$s", 'an empty signature' => "$h.$p.",
);
for my $name (sort keys %dots) {
    my $message = $name eq 'an empty signature' ? 'Signature verification failed' : $malformed;
    refused(by_header($dots{$name}), $message, "row 40: $name");
}

# The header and the signature of these take 36 and 43 characters.
sub token_of_length {
    my ($length) = @_;
    my $wanted = int(($length - 36 - 43 - 2) * 3 / 4);
    my $payload = qq({"sub":"alice","x":""});
    $payload = qq({"sub":"alice","x":") . 'y' x ($wanted - length $payload) . '"}';
    my $token = raw_token($good_header, $payload);
    die length $token if length $token != $length;
    return $token;
}
accepted(by_header(token_of_length($_)), "row 40: a token of $_ bytes") for 7900, 16384;
refused(by_header(token_of_length($_)), 'Token is longer than 16384 bytes', "row 40: a token of $_ bytes") for 16385, 30000;

# Levels count the payload's own object.
my %nest = (arrays => ['[', ']'], objects => ['{"d":', '}']);
for my $kind (sort keys %nest) {
    my ($open, $close) = @{ $nest{$kind} };
    my $nested = sub {
        my ($levels) = @_;
        my $core = $kind eq 'arrays' ? '' : '1';
        return '{"sub":"alice","x":' . $open x ($levels - 1) . $core . $close x ($levels - 1) . '}';
    };
    accepted(by_header(raw_token($good_header, $nested->(64))), "row 40: $kind 64 levels deep");
    refused(by_header(raw_token($good_header, $nested->($_))), qr/\AInvalid payload string: /, "row 40: $kind $_ levels deep")
        for 65, 66, 1000, $kind eq 'arrays' ? 4000 : 1500;
    my $deep_header = sprintf '{"alg":"HS256","x":%s%s}', $open x 1000 . ($kind eq 'arrays' ? '' : '1'), $close x 1000;
    refused(by_header(raw_token($deep_header, $good_payload)), qr/\AInvalid header string: /, "row 40: $kind 1,000 levels deep in a header");
}
refused(by_header(raw_token($good_header, '[' x 8000)), qr/\AInvalid payload string: /, 'row 40: a payload of 8,000 brackets');
refused(by_header(raw_token('[' x 8000, $good_payload)), qr/\AInvalid header string: /, 'row 40: a header of 8,000 brackets');

accepted(by_header($compact), 'a good token is accepted after all that');

done_testing;
