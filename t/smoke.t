use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JWTTest;

my $t = JWTTest->new(config => <<"EOF_CONFIG", files => { 'html/index.html' => 'open', 'html/api/index.html' => 'inside' });
    root %%DIR%%/html;
    jwt_secret_key "$JWTTest::Token::secret";
    location / { }
    location /api/ { jwt_required; }
EOF_CONFIG

is($t->get('/')->{body}, 'open', 'an unprotected location answers as ever');

my $missing = $t->get('/api/');
is($missing->{status}, 401, 'a protected one refuses a request without a token');
unlike($missing->{body}, qr/inside/, 'and gives nothing away');

my $token = token(claims());
my $accepted = $t->get_with('/api/', $token);
is($accepted->{status}, 200, 'a good token is let through');
is($accepted->{body}, 'inside', 'to what the location holds');

my ($head, $payload, $signature) = split /\./, $token;
my $other = substr($signature, 0, 1) eq 'A' ? 'B' : 'A';
isnt($t->get_with('/api/', "$head.$payload.$other" . substr($signature, 1))->{status}, 200, 'a changed signature is not');

done_testing;
