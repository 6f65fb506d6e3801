package JWTTest::Token;

# Tokens by an issuer that is not ours (Crypt::JWT), and, by its parts alone, tokens that no issuer should make.

use strict;
use warnings;

use Crypt::JWT qw(encode_jwt);
use Crypt::PK::ECC;
use Crypt::PK::Ed25519;
use Crypt::PK::RSA;
use Digest::SHA ();
use Exporter qw(import);
use File::Temp ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64url);

our @EXPORT = qw(token raw_token claims keypair base64url);
our @EXPORT_OK = qw(certificate der openssl temporary_file);

# As long as its hash (RFC 7518 section 3.2), whichever of the three that is.
our $secret = 'a secret of sixty-four bytes, which is as long as HS512 asks for';

my %curve = (ES256 => 'P-256', ES384 => 'P-384', ES512 => 'P-521', ES256K => 'secp256k1');

sub base64url { return encode_base64url($_[0]) }

# The claims of an access token that is good now; undef takes one away.
sub claims {
    my (%changes) = @_;
    my $now = time;
    my %claims = (
        sub => 'alice', type => 'access', fresh => JSON::PP::false, jti => sprintf('%08x-%d', rand 2**32, $$),
        iat => $now, nbf => $now, exp => $now + 900, %changes,
    );
    delete $claims{$_} for grep { !defined $claims{$_} } keys %claims;
    return \%claims;
}

# Options: key (secret text, PEM text, JWK hash, key object), alg (HS256), header {more members}.
sub token {
    my ($claims, %options) = @_;
    my $algorithm = $options{alg} || 'HS256';
    my $key = defined $options{key} ? $options{key} : $secret;
    $key = \"$key" if !ref $key && $algorithm !~ /\AHS/;
    return encode_jwt(
        payload => $claims || claims(), alg => $algorithm, key => $key,
        extra_headers => { typ => 'JWT', %{ $options{header} || {} } },
    );
}

# Header and payload as the very bytes given, signed all the same. alg `none` signs with nothing.
sub raw_token {
    my ($header, $payload, $key, $algorithm) = @_;
    my $input = base64url($header) . '.' . base64url($payload);
    return "$input." . base64url(_signature($input, defined $key ? $key : $secret, $algorithm || 'HS256'));
}

sub _signature {
    my ($input, $key, $algorithm) = @_;
    return '' if $algorithm eq 'none';
    my ($family, $bits) = $algorithm =~ /\A([A-Z]+)(\d*)/i;
    if ($family eq 'HS') {
        no strict 'refs';
        return &{"Digest::SHA::hmac_sha$bits"}($input, $key);
    }
    my $pem = ref $key ? $key : \"$key";
    return Crypt::PK::RSA->new($pem)->sign_message($input, "SHA$bits", 'v1.5') if $family eq 'RS';
    return Crypt::PK::RSA->new($pem)->sign_message($input, "SHA$bits", 'pss', $bits / 8) if $family eq 'PS';
    return Crypt::PK::ECC->new($pem)->sign_message_rfc7518($input, "SHA$bits") if $family eq 'ES';
    return Crypt::PK::Ed25519->new($pem)->sign_message($input) if $algorithm =~ /\AEd(?:DSA|25519)\z/;
    return openssl('pkeyutl', '-sign', '-rawin', '-inkey', temporary_file($key), '-in', temporary_file($input)) if $algorithm eq 'Ed448';
    die "raw_token: no algorithm $algorithm";
}

sub temporary_file {
    my ($content) = @_;
    my $file = File::Temp->new;
    binmode $file;
    print {$file} $content;
    close $file or die "$file: $!";
    return $file;
}

sub openssl {
    my (@arguments) = @_;
    open my $command, '-|:raw', 'openssl', @arguments or die "openssl: $!";
    my $output = do { local $/; <$command> };
    close $command or die "openssl @arguments: failed";
    return $output;
}

# A new key for an algorithm: {private, public} PEM, {private_jwk, public_jwk} hashes.
sub keypair {
    my ($algorithm) = @_;
    my @kind = $curve{$algorithm} ? ('EC', '-pkeyopt', "ec_paramgen_curve:$curve{$algorithm}")
        : $algorithm =~ /\A[RP]S/ ? 'RSA' : $algorithm eq 'Ed448' ? 'ED448' : 'ED25519';
    my $private = openssl('genpkey', '-quiet', '-algorithm', @kind);
    my $public = openssl('pkey', '-pubout', '-in', temporary_file($private));
    return { private => $private, public => $public, _jwks($kind[0], $private, $public) };
}

sub _jwks {
    my ($kind, $private, $public) = @_;
    if ($kind eq 'ED448') {  # which CryptX has not
        my %jwk = (kty => 'OKP', crv => 'Ed448', x => base64url(substr der($public), -57));
        return (private_jwk => { %jwk, d => base64url(substr der($private), -57) }, public_jwk => \%jwk);
    }
    my $class = { EC => 'Crypt::PK::ECC', RSA => 'Crypt::PK::RSA', ED25519 => 'Crypt::PK::Ed25519' }->{$kind};
    my $key = $class->new(\$private);
    my %jwk = map { ("${_}_jwk" => $key->export_key_jwk($_, 1)) } qw(private public);
    # CryptX has the name of a draft for what RFC 8812 section 3.1 calls secp256k1.
    for (values %jwk) {
        $_->{crv} = 'secp256k1' if ($_->{crv} // '') eq 'P-256K';
    }
    return %jwk;
}

# A self-signed certificate for a private key, as PEM.
sub certificate {
    my ($private) = @_;
    return openssl(qw(req -x509 -batch -days 2 -subj /CN=test -key), temporary_file($private));
}

# The bytes of a PEM text.
sub der {
    my ($pem) = @_;
    return decode_base64($pem =~ s/-----[^-]+-----//gr);
}

1;
