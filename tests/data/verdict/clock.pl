#!/usr/bin/perl
# A page that is another one each second, and a module of its own.
use strict; use warnings; use lib '/lib-perl';
use IO::Socket::INET; use Clock;
$SIG{PIPE} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 8000, Listen => 9, ReuseAddr => 1) or die "$!";
while (my $client = $server->accept) {
    while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
    my $page = '<p>' . Clock::now() . '</p>';
    print $client "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: " . length($page) . "\r\n\r\n$page";
    close $client;
}
