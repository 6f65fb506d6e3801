# Signature and encryption vectors, judged by the `jwt` command: the module's own core, and no nginx before it.

use strict;
use warnings;

use FindBin;
use JSON::PP qw(decode_json);
use Test::More;

my $folder = $ENV{JWT_VECTORS} || "$FindBin::Bin/../../shared/vectors";
my $command = $ENV{JWT_COMMAND} || "$FindBin::Bin/../build/gcc/jwt";
my @files = glob "$folder/*.jsonl";
plan skip_all => 'no vectors beside this repository' unless @files;

for my $file (@files) {
    my ($name) = $file =~ m{([^/]+)\.jsonl$};
    my %wanted = map { my $vector = decode_json($_); ($vector->{id} => $vector) } lines('<', $file);
    my %judged = map { my $verdict = decode_json($_); ($verdict->{id} => $verdict) }
        lines('-|', 'sh', '-c', 'exec "$0" "$1" --batch < "$2"', $command, $name eq 'jwe' ? 'decrypt' : 'verify', $file);
    my @wrong = grep { ($judged{$_}{result} // 'no answer') ne $wanted{$_}{result} } sort keys %wanted;
    is_deeply([map { "$_ ($wanted{$_}{comment}): " . ($judged{$_}{result} // 'no answer') } @wrong], [],
        "$name: all " . keys(%wanted) . ' judged as labelled');
    my @opened = grep { defined $wanted{$_}{plaintext} && $wanted{$_}{result} eq 'valid' } sort keys %wanted;
    is_deeply([grep { $judged{$_}{plaintext} ne $wanted{$_}{plaintext} } @opened], [], "$name: and decrypted to what was encrypted");
    my %kinds = map { $_->{result} => 1 } values %wanted;
    is(join(' ', sort keys %kinds), 'invalid valid', "$name has both kinds");
}

sub lines {
    my ($mode, @source) = @_;
    open my $handle, $mode, @source or die "$source[0]: $!";
    return <$handle>;
}

done_testing;
