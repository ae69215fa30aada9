# Each folder of examples/ is served as it is.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Queue;
use Test::Luaserv::Upstream;
use Test::Luaserv::Util qw(run_command);
use Test::Luaserv::WebSocket;
use IO::Socket::IP;
use JSON::PP ();

# Writes until nothing more is taken for a moment; how many bytes were.
sub fill ($peer) {
	my $block = 'x' x 262_144;
	my $taken = 0;

	while ($peer->wait_ready(1, now() + 0.5)) {
		$taken += syswrite($peer->sock, $block) // 0;
	}
	return $taken;
}

my %proofs = (
	hello => sub ($server) {
		my $response = $server->get('/');

		is($response->status, 200, 'status');
		like($response->body, qr/luaserv/, 'it greets');
	},
	echo => sub ($server) {
		my $client = $server->client;

		is($client->recv_until("\n"), "Say something.\n", 'it asks');
		$client->send("hello\n");
		is($client->recv_until("\n"), "HELLO\n", 'it repeats');
		$client->send("quit\n");
		is($client->recv_all, '', 'and ends when it is told to');
	},
	chat => sub ($server) {
		my ($ann, $bob, $eve) = map { $server->client } 1 .. 3;

		like($_->recv_until("\n"), qr/^Hello, guest \d+\./, 'hello') for $ann, $bob, $eve;
		$ann->send("/name ann\r\n");
		like($ann->recv_until("is now ann\n"), qr/guest \d+ is now ann/, 'a name');
		$_->recv_until("is now ann\n") for $bob, $eve;
		$ann->send("hi\n");
		is($_->recv_until("\n"), "ann: hi\n", 'the others hear her') for $bob, $eve;
		$eve->send("/join kitchen\n");
		is($eve->recv_until("\n"), "You are in kitchen.\n", 'one goes to another room');
		like($_->recv_until("\n"), qr/^guest \d+ leaves$/, 'which the others hear') for $ann, $bob;
		$bob->send("still here\n");
		like($ann->recv_until("\n"), qr/: still here$/, 'who is there hears');
		$bob->send("/quit\n");
		is($bob->recv_all, "Bye.\n", 'and one leaves');
		like($ann->recv_until("\n"), qr/has gone$/, 'for good');
		ok($eve->quiet, 'the kitchen heard nothing of it');
	},
	watch => sub ($server) {
		my $client = $server->client;

		is($client->recv_until("\n"), 'watching ' . $server->root . "/watched\n", 'it says what it watches');
		spew($server->root . '/watched/new.txt', "x\n");
		is($client->recv_until("\n"), "new.txt\n", 'and tells what changes there');
		$client->send("\n");
		like($client->recv_all, qr/\A(?:new\.txt\n)*\z/, 'and ends when it is told to');
	},
	counter => sub ($server) {
		is($server->get('/a')->body, "welcome to /a, visit $_\n", "visit $_") for 1, 2;
		is($server->get('/b')->body, "welcome to /b, visit 1\n", 'another page');
		is($server->get('/')->body, "/a 2\n/b 1\n4 requests\n", 'all of them');
	},
	pool => sub ($server) {
		for my $word (qw(hello stressed)) {
			my $client = $server->client->send(pack('N/a*', $word));
			is($client->recv_all, pack('N/a*', scalar reverse $word), 'turned around');
		}
	},
	proxy => sub ($server) {
		my $orphan = $server->client;

		is($orphan->recv_all, '', 'without an upstream the connection is closed');
		ok($server->wait_log(qr/cannot connect to 127\.0\.0\.1:\d+: Connection refused/), 'and the log says why');

		my $upstream = Test::Luaserv::Upstream->listen(port => $server->port(2));
		my @clients = map { $server->client(timeout => 20) } 1 .. 3;
		my @peers = map { $upstream->accept } @clients;
		$_->send('question') for @clients;
		is($_->recv(8), 'question', 'what is asked arrives') for @peers;
		$_->send('answer') for @peers;
		is($_->recv(6), 'answer', 'as does what is answered') for @clients;

		$peers[0]->send('last words');
		$peers[0]->close;
		my @ended = grep { ($_->recv_all eq 'last words') && !$_->was_reset } grep { !$_->open || $_->unread } wait_ended(@clients);
		is(scalar @ended, 1, 'what the upstream ends ends, after its last words');
		my ($one, $other) = grep { $_ != $ended[0] } @clients;
		$one->close;
		my ($left) = wait_ended(@peers[ 1, 2 ]);
		is($left->recv_all, '', 'and what the client ends');

		my ($peer) = grep { $_ != $left } @peers[ 1, 2 ];
		my $taken = fill($peer);
		cmp_ok($taken, '<', 40_000_000, 'a client that does not read holds its upstream back');
		is(length $other->recv($taken), $taken, 'nothing is lost of it');
		$taken = fill($other);
		cmp_ok($taken, '<', 40_000_000, 'and the other way round');
		is(length $peer->recv($taken), $taken, 'as little');
		$_->close for $peer, $other;
		ok($server->wait_idle, 'no connection and no coroutine is left');
	},
	'chat-web' => sub ($server) {
		my ($ann, $bob) = map { Test::Luaserv::WebSocket->open($server, path => "/?name=$_&room=kitchen", deflate => 'permessage-deflate') } qw(Ann Bob);

		like($server->get('/')->body, qr/new WebSocket/, 'the page');
		is($server->get('/favicon.ico')->status, 404, 'nothing else');
		is(($ann->read_message)[1], "comes\tAnn\t", 'Ann comes');
		is(($_->read_message)[1], "comes\tBob\t", 'Bob comes') for $ann, $bob;
		$bob->send(1, "what's\tup");
		is(($_->read_message)[1], "says\tBob\twhat's up", 'Bob speaks') for $ann, $bob;
		$bob->send(8, pack 'n', 1001);
		is($bob->close_code, 1001, 'Bob leaves');
		is(($ann->read_message)[1], "leaves\tBob\t", 'which Ann hears');
	},
	sse => sub ($server) {
		my $client = $server->client->send("GET /events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 41\r\n\r\n");

		like($client->recv_until("\r\n\r\n"), qr{^content-type: text/event-stream; charset=utf-8\r$}mi, 'a stream');
		like($client->recv_until("last seen: 41\n\n"), qr/retry: 2000\n\n.*event: hello\ndata: last seen: 41\n\n\z/s, 'that goes on where it was');
		is($server->client->post('/', "two\r\nlines")->body, "told\n", 'something is said');
		like($client->recv_until("data: lines\n\n"), qr/event: said\nid: \d+\ndata: two\ndata: lines\n\n\z/, 'and heard');
		like($server->get('/')->body, qr/new EventSource/, 'the page');
		$client->abort;
	},
	web => sub ($server) {
		my $form = sub (@fields) {
			return $server->client->request('POST', shift @fields, headers => 'Content-Type: multipart/form-data; boundary=B',
				body => join '', map({ "--B\r\nContent-Disposition: form-data; $_->[0]\r\n\r\n$_->[1]\r\n" } @fields), "--B--\r\n");
		};
		my $home = $server->get('/');

		like($home->body, qr/It works/, 'a file');
		is($home->header('cache-control'), 'max-age=60', 'may be kept');
		is($server->get('/style.css')->header('content-type'), 'text/css', 'has its type');
		is($server->get('/hello/%3Cyou%3E')->body, "<p>Hello, &lt;you&gt;!\n", 'a route');
		is($server->get('/hello/x')->header('x-content-type-options'), 'nosniff', 'with its middleware');
		my $note = $form->('/api/notes/', [ 'name="text"', 'remember' ]);
		is($note->status . ' ' . $note->header('location'), '201 /api/notes/1', 'a note');
		is(JSON::PP::decode_json($server->get('/api/notes/1')->body)->{text}, 'remember', 'is kept');
		is($server->get('/api/notes/2')->status, 404, 'another is not there');
		is($form->('/api/notes/')->status, 400, 'nothing is no note');
		is($form->('/upload', [ 'name="picture"; filename="a<b.png"', 'PNG' ])->body, "<p>a&lt;b.png is 3 bytes of .\n", 'an upload');
		is($form->('/upload')->status, 400, 'none');
		is($server->client->request('DELETE', '/upload')->header('allow'), 'OPTIONS, POST', 'what may be done');
	},
	tasks => sub ($server) {
		my $client = $server->client;
		my $words = $client->post('/', 'one two two');

		is($words->status, 200, 'a task');
		is_deeply(JSON::PP::decode_json($words->body), { one => 1, two => 2 }, 'is done');
		is_deeply(JSON::PP::decode_json($client->post('/all', "a b\n\nc")->body)->{counts}, [ { a => 1, b => 1 }, { c => 1 } ], 'several');
		my $none = $client->post('/', ' ');
		is($none->status . ' ' . $none->body, "500 there are no words\n", 'a failure is told');
	},
	queue => sub ($server) {
		my $queue = Test::Luaserv::Queue->new($server);
		my $done = sub ($n, $last) {
			ok(wait_for(sub { $server->get('/')->body eq qq({"done":$n,"last":"$last"}) || $server->get('/')->body eq qq({"last":"$last","done":$n}) }), $last);
		};
		my @push = ('python3', repo_root() . '/examples/queue/push.py');

		is($server->client->post('/', 'from a request')->status, 202, 'a request');
		$done->(1, 'from a request');
		is_deeply([ run_command(argv => [ @push, $queue->hex, 'from Python' ]) ], [ 0, '', '' ], 'push.py');
		$done->(2, 'from Python');
		is_deeply([ run_command(argv => [ @push, '1', 'x' ]) ], [ 1, '', "push.py: [Errno 2] there is no such queue: No such file or directory\n" ], 'to no queue');
		is_deeply([ $server->cli_bare('task', 'push', '-k', $queue->hex, 'from the shell') ], [ 0, '', '' ], 'luaserv task push');
		$done->(3, 'from the shell');
		is($server->stop, 0, 'it stops');
		is_deeply([ run_command(argv => [ @push, $queue->hex, 'while nobody was there' ]) ], [ 0, '', '' ], 'push.py, while there is no server');
		ok($server->start(env => { HOST => '127.0.0.1', PORT => $server->port, QUEUE_KEY => $queue->key }), 'it starts again');
		$done->(1, 'while nobody was there');
		$queue->remove if $server->stop == 0;
	},
	udp => sub ($server) {
		my $sock = IO::Socket::IP->new(Proto => 'udp', PeerHost => '127.0.0.1', PeerPort => $server->port) or die "udp: $!\n";

		send $sock, 'hello', 0;
		alarm seconds(10);
		recv $sock, my $answer, 1000, 0;
		alarm 0;
		like($answer, qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ hello\z/, 'it tells the time');
	},
);

# Those among the clients that have something to read or have ended.
sub wait_ended (@clients) {
	return @{ wait_for(sub { my @ready = grep { !$_->quiet(0.01) } @clients; @ready ? \@ready : undef }) };
}

my @examples = map { m{/([\w-]+)/app\.lua\z} } glob repo_root() . '/examples/*/app.lua';
is_deeply([ sort keys %proofs ], [ sort @examples ], 'every example has its proof');

for my $example (sort keys %proofs) {
	matrix "examples/$example" => sub ($mode) {
		my $server = new_server();
		my $app = slurp(repo_root() . "/examples/$example/app.lua");
		my %files = map { m{/(public/.+)\z} ? ($1 => slurp($_)) : () } glob repo_root() . "/examples/$example/public/*";
		%files = (%files, map { m{([^/]+\.lua)\z} && $1 ne 'app.lua' ? ($1 => slurp($_)) : () } glob repo_root() . "/examples/$example/*.lua");

		mkdir $server->root . '/watched';
		my $key = Test::Luaserv::Queue->new($server)->key;
		ok($server->start(app => $app, files => \%files, env => { HOST => '127.0.0.1', PORT => $server->port, QUEUE_KEY => $key,
			WATCH => $server->root . '/watched', UPSTREAM => '127.0.0.1:' . $server->port(2) }), 'it starts');
		$proofs{$example}->($server);
	};
}

done_testing();
