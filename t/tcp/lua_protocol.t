# Protocols written in Lua: messages are made of bytes in the worker, by a module's input, decode and encode.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use POSIX ();

# A message is "<digits>:" and as many bytes; its value is a table.
my $module = <<'LUA';
local M = {}
function M.input(buffer)
	if buffer:find("^boom") then error("input went wrong") end
	if buffer:find("^word") then return "word" end
	if buffer:find("^minus") then return -1 end
	if buffer:find("^x") then return nil, "x is not\na digit" end
	local digits = buffer:match("^(%d+):")
	if digits then return #digits + 1 + tonumber(digits) end
	return 0
end
function M.decode(bytes)
	local body = bytes:match("^%d+:(.*)$")
	if body == "explode" then error("decode went wrong") end
	if body == "bad" then return nil, "the body is bad" end
	if body == "nothing" then return nil end
	return { body = body, whole = bytes }
end
function M.encode(value)
	if type(value) == "table" and value.explode then error("encode went wrong") end
	if value == false then return false end
	local text = type(value) == "table" and value.text or tostring(value)
	return #text .. ":" .. text
end
return M
LUA

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = require "lib.counted" }
$NOTE
server:on("receive", function(server, fd, reactor_id, message)
	if message == nil then return server:send(fd, "nil") end
	if message.body == "slow" then luaserv.sleep(0.05) end
	if message.body == "fail" then
		local fine, text = pcall(server.send, server, fd, { explode = true })
		return server:sendwait(fd, { text = tostring(fine) .. " " .. text:match("encode went wrong") })
	end
	if message.body == "false" then
		local fine, text = pcall(server.send, server, fd, false)
		return server:send(fd, text:match("encode of protocol .*"))
	end
	if message.body == "queued" then return server:send(fd, server:get_client_info(fd).recv_queued_bytes) end
	server:send(fd, { text = message.body:upper() })
end)
server:on("close", function(server, fd, reactor_id, info) note("close", info.by, info.reason) end)
server:start()
LUA

my %files = ('lib/counted.lua' => $module);

sub serve (%settings) { return start_server(app => $app, files => \%files, settings => \%settings) }

matrix 'split, joined, byte by byte: the handler gets values, and send takes them' => sub ($mode) {
	my $server = serve();
	my $client = $server->client;

	$client->send('3:abc');
	is($client->recv(5), '3:ABC', 'one message');
	$client->send('1:a2:bc0:3:def4:ha');
	is($client->recv(14), '1:A2:BC0:3:DEF', 'several in one piece are several events, in order');
	$client->send('lf');
	is($client->recv(6), '4:HALF', 'and a half one waits for its end');
	for my $byte (split //, '12:byte by byte') {
		$client->send($byte);
		$client->quiet(0.005);
	}
	is($client->recv(15), '12:BYTE BY BYTE', 'byte by byte');
	$client->send('4:slow1:b1:c');
	is($client->recv(12), '4:SLOW1:B1:C', 'one handler at a time');
	$client->send('7:nothing');
	is($client->recv(5), '3:nil', 'a value may be nil');
	my $long = 'long ' x 60_000;
	$client->send(length($long) . ":${long}1:z");
	ok($client->recv(length("300000:$long")) eq '300000:' . uc $long, 'a long one');
	is($client->recv(3), '1:Z', 'and what follows it');
	$client->send('1:y')->shutdown;
	is($client->recv_all, '1:Y', 'the last one, then the end');
	is(($server->wait_notes(1))[0], 'close peer normal', 'closed by the peer');
};

matrix 'thousands of small messages in one piece' => sub ($mode) {
	my $server = serve();
	my $client = $server->client(timeout => 20);
	my $n = 20_000;

	$client->send(join '', map { length($_) . ":$_" } 1 .. $n);
	is_string($client->recv(length join '', map { length($_) . ":$_" } 1 .. $n),
		join('', map { length($_) . ":$_" } 1 .. $n), 'all are answered in order');
};

matrix 'what a module refuses or fails at closes the connection, and the log says why' => sub ($mode) {
	my @cases = (
		[ 'x', 'close error malformed', qr/ warn .*port \d+, fd \d+: protocol lib\.counted refuses .*: x is not\\x0aa digit/ ],
		[ '3:bad', 'close error malformed', qr/ warn .*port \d+, fd \d+: .*: the body is bad/ ],
		[ 'boom', 'close error malformed',
			qr/ error .*port \d+, fd \d+: input of protocol lib\.counted failed.*counted\.lua:3: input went wrong\n\s*stack traceback:/ ],
		[ '7:explode', 'close error malformed',
			qr/ error .*port \d+, fd \d+: decode of protocol lib\.counted failed.*decode went wrong\n\s*stack traceback:/ ],
		[ 'word', 'close error malformed', qr/ error .*input .*it returned a string, not a length or nil and a reason/ ],
		[ 'minus', 'close error malformed', qr/ error .*input .*it returned -1, which is no length/ ],
		[ '101:', 'close limit too_large', qr/ warn .*port \d+, fd \d+: .*longer than package_max_length \(100\)/ ],
		[ '1' x 100, 'close limit too_large', qr/ warn .*longer than package_max_length \(100\)/ ],
	);

	for my $case (@cases) {
		my ($sent, $note, $logged) = @$case;
		my $server = serve(package_max_length => 100);
		my ($good, $bad) = map { $server->client } 1 .. 2;

		$bad->send("1:a$sent");
		is($bad->recv_all, '1:A', "'$sent' after a good message");
		ok(!$bad->was_reset, 'closed in order');
		is_deeply([ $server->wait_notes(1) ], [$note], 'the close event');
		ok($server->wait_log($logged), 'logged') or diag($server->log);
		is($good->send('2:ok')->recv(4), '2:OK', 'others are served on');
		$server->wait_notes(1);
	}
};

matrix 'a message of just package_max_length fits' => sub ($mode) {
	my $server = serve(package_max_length => 100);
	my $client = $server->client;

	$client->send('97:' . 'a' x 97);
	is($client->recv(100), '97:' . 'A' x 97, 'answered');
};

matrix 'an error in encode is the sender\'s' => sub ($mode) {
	my $server = serve();
	my $client = $server->client;

	$client->send('4:fail');
	like($client->recv_until('wrong'), qr/\A\d+:false encode went wrong\z/, 'raised, and sendwait sends');
	$client->send('5:false');
	like($client->recv_until('string'), qr/encode of protocol lib\.counted returned a boolean, not a string/, 'no string');
};

matrix 'input that does not end is stopped, and one that waits is told that it cannot' => sub ($mode) {
	my $server = start_server(app => <<'LUA', settings => { max_execution_time => '200ms' });
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = {
	input = function(buffer)
		while buffer:find("^l") do end
		if buffer:find("^w") then luaserv.sleep(1) end
		return #buffer
	end,
} }
server:on("receive", function(server, fd, reactor_id, data) server:send(fd, data) end)
server:start()
LUA
	my ($loop, $wait, $good) = map { $server->client } 1 .. 3;

	$wait->send('wait');
	is($wait->recv_all, '', 'the one that waits');
	ok($server->wait_log(qr/input of protocol \(table 1\) failed.*luaserv\.sleep cannot wait here/), 'is closed');
	$loop->send('loop');
	is($loop->recv_all, '', 'the one that does not end');
	ok($server->wait_log(qr/input of protocol \(table 1\) failed.*max_execution_time/), 'is closed');
	is($good->send('fine')->recv(4), 'fine', 'others are served on');
};

matrix 'without coroutines' => sub ($mode) {
	my $server = start_server(app => $app =~ s/luaserv\.sleep\(0\.05\)//r, files => \%files,
		settings => { enable_coroutine => 'false' });
	my $client = $server->client;

	$client->send('1:a1:b7:nothing4:fail2:c');
	is($client->recv(13), '1:A1:B3:nil23', 'values and order are the same');
	is($client->recv_until('wrong'), ':false encode went wrong', 'and errors');
	$client->send('c')->send('x');
	like($client->recv_all, qr/\A2:CC\z/, 'and the end');
};

my $crowd = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "lib.counted" }
server:on("receive", function(server, fd, reactor_id, message)
	local to = tonumber(message.body)
	if not to then return server:send(fd, fd) end
	local fine, text, code = server:send(to, { text = "from another" })
	server:send(fd, tostring(fine) .. " " .. tostring(code))
end)
$MORE
server:start()
LUA

matrix 'other workers\' connections speak it too, if there is but one protocol', process => 'base mode has no others', sub ($mode) {
	my %two = (worker_num => 2, reactor_num => 1);
	my $server = start_server(app => $crowd =~ s/\$MORE//r, files => \%files, settings => \%two);
	my ($one, $other) = map { $server->client } 1 .. 2;

	$one->send('2:id');
	my $length = $one->recv_until(':') =~ s/://r;
	my $fd = $one->recv($length);
	$other->send(length($fd) . ":$fd");
	is($other->recv(10), '8:true nil', 'sent');
	is($one->recv(15), '12:from another', 'encoded');

	$server = start_server(app => $crowd =~ s/\$MORE/server:listen("127.0.0.1", \$PORT_2):set { protocol = "tcp" }/r,
		files => \%files, settings => \%two);
	($one, $other) = map { $server->client } 1 .. 2;
	$one->send('2:id');
	$length = $one->recv_until(':') =~ s/://r;
	$fd = $one->recv($length);
	$other->send(length($fd) . ":$fd");
	is($other->recv(10), '8:nil 1005', 'of several it is not known which');
};

matrix 'a client that is faster than its handlers is not read on; nothing is lost' => sub ($mode) {
	my $server = start_server(app => <<'LUA', files => \%files, settings => { max_queued_bytes => '64k' });
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", $PORT)
server:set { protocol = "lib.counted" }
$NOTE
local got, most, first = 0, 0, true
server:on("receive", function(server, fd, reactor_id, message)
	if first then
		first = false
		note("first")
		while server:get_client_info(fd).recv_queued_bytes < 64 * 1024 do luaserv.sleep(0.001) end
		luaserv.sleep(0.2)
		note("queued", tostring(server:get_client_info(fd).recv_queued_bytes < 3 * 1024 * 1024))
	end
	got = got + #message.body
	if message.body == "end" then server:send(fd, got) end
end)
server:start()
LUA
	my $client = $server->client(timeout => 30);
	my $sent = 0;

	$client->send('5:first');
	$server->wait_notes(1);
	my $piece = '1000:' . 'p' x 1000;
	$client->send($piece x 8000);
	$client->send('3:end');
	is($client->recv_until('8000008'), '7:8000008', 'every byte was counted');
	is(($server->wait_notes(2))[1], 'queued true', 'what waits is bounded');
};

matrix 'a message longer than max_queued_bytes still comes in' => sub ($mode) {
	my $server = serve(max_queued_bytes => '64k');
	my $client = $server->client(timeout => 20);
	my $long = 'l' x 1_000_000;

	$client->send("1000000:$long");
	ok($client->recv(8 + length $long) eq '1000000:' . uc $long, 'answered');
};

matrix 'by name, per port; what the server says is inherited' => sub ($mode) {
	my $server = start_server(app => <<'LUA', files => \%files);
local server = require "luaserv".server("127.0.0.1", $PORT)
server:set { protocol = "lib.counted" }
server:listen("127.0.0.1", $PORT_2):set { protocol = "eof", package_eof = "\n" }
server:listen("127.0.0.1", $PORT_3):set { protocol = {
	input = function(buffer) return #buffer >= 4 and 4 or 0 end,
} }
server:on("receive", function(server, fd, reactor_id, message)
	server:send(fd, type(message) == "table" and message.body or message)
end)
server:start()
LUA
	is($server->client->send('2:ab')->recv(4), '2:ab', 'the first port');
	is($server->client(port => $server->port(2))->send("ab\n")->recv(3), "ab\n", 'one of its own');
	is($server->client(port => $server->port(3))->send('abcdefgh')->recv(8), 'abcdefgh', 'decode and encode are optional');
	my ($code, $out) = $server->cli_bare('settings', 'protocol_module', '-s', $server->app_path);
	like($out, qr/lib\.counted.*\(table 1\)/s, 'the settings name them');
};

matrix 'an option names another one than the script' => sub ($mode) {
	my $server = start_server(app => $app =~ s/protocol = require "lib.counted"/protocol = "http"/r, files => \%files,
		settings => { protocol => 'lib.counted' });

	is($server->client->send('2:ab')->recv(4), '2:AB', 'which holds');
};

matrix 'a reload may bring another module, but not another protocol' => sub ($mode) {
	my $server = start_server(app => $app, files => { %files, 'lib/lines.lua' => 'return require "luaserv.protocol.text"' });
	my ($code, $out, $err) = $server->reload(app => $app =~ s/require "lib.counted"/"eof"/r);

	is($code, 1, 'eof is refused');
	like($err, qr/protocol \(lua -> eof\)/, 'by name');
	$server->write_files({ 'lib/counted.lua' => 'return { input = true }' });
	($code, $out, $err) = $server->reload(app => $app);
	is($code, 1, 'so is a module that is none');
	like($err, qr/protocol is a table without a function input/, 'by what is wrong with it');
	is($server->client->send('2:ab')->recv(4), '2:AB', 'the old one serves on');
	is(($server->reload(app => <<'LUA'))[0], 0, 'another module');
local server = require "luaserv".server("127.0.0.1", $PORT)
server:set { protocol = "lib.lines" }
server:on("receive", function(server, fd, reactor_id, line) server:send(fd, line:upper()) end)
server:start()
LUA
	is($server->client->send("abc\n")->recv(4), "ABC\n", 'has come');
};

matrix 'settings that cannot work are refused' => sub ($mode) {
	my %cases = (
		'protocol = "lib.none"' => qr/port \d+: "lib\.none" is neither a protocol of luaserv nor a module.*lib\/none\.lua/s,
		'protocol = "httpp"' => qr/"httpp" is neither a protocol of luaserv nor a module/,
		'protocol = "lib.broken"' => qr/"lib\.broken" is neither .*: its input is a nil, not a function/,
		'protocol = "lib.number"' => qr/the module gave a number instead of a table/,
		'protocol = { "eof" }' => qr/protocol is a table without a function input/,
		'protocol = "lua"' => qr/protocol is lua, but protocol_module names no module/,
	);

	for my $what (sort keys %cases) {
		my $files = { 'lib/broken.lua' => 'return {}', 'lib/number.lua' => 'return 1' };
		my ($server, $code, $out, $err) = check_app(<<"LUA", files => $files);
local server = require "luaserv".server("127.0.0.1", \$PORT)
server:set { $what }
server:on("receive", function() end)
server:start()
LUA
		is($code, 1, "$what is refused");
		like($err, $cases{$what}, 'with a reason');
	}
};

matrix 'dispatch that scatters a connection is refused', process => 'base mode does not dispatch', sub ($mode) {
	my $server = new_server();
	$server->write_app($app =~ s/server:on\("close".*\n//r);
	$server->write_files(\%files);
	my @check = ('check', '-s', $server->app_path, '-o', 'dispatch_mode=round');
	my ($code, $out, $err) = $server->cli_bare(@check, '-o', 'worker_num=2');
	is($code, 1, 'with two workers');
	like($err, qr/protocol lib\.counted is written in Lua.*dispatch_mode round.*worker_num 1/, 'and why');
	is(($server->cli_bare(@check, '-o', 'worker_num=1'))[0], 0, 'not with one');
};

# ---- the end of a worker -------------------------------------------------------------------------

sub version ($n) {
	return <<"LUA";
local luaserv = require "luaserv"
local server = luaserv.server("127.0.0.1", \$PORT)
server:set { protocol = require "lib.counted" }
\$NOTE
server:on("receive", function(server, fd, reactor_id, message)
	if message.body == "hold" then note("hold") luaserv.sleep(0.3) end
	if message.body == "stay" then note("stay") return pcall(luaserv.sleep, 60) end
	server:send(fd, "$n " .. message.body)
end)
server:on("close", function(server, fd, reactor_id, info) note("close", info.by, info.reason) end)
server:start()
LUA
}

my $why = 'in base mode a connection lives in its worker';

matrix 'half a message is completed after the reload', process => $why, sub ($mode) {
	my $server = start_server(app => version(0), files => \%files, settings => { worker_num => 2, reactor_num => 2 });
	my @clients = map { $server->client(timeout => 20) } 1 .. 20;
	my $half = 'h' x 100_000;

	for my $n (1 .. 3) {
		$_->send("1:a200000:$half") for @clients;
		is(join(' ', map { $_->recv(5) } @clients), join(' ', ("3:@{[$n - 1]} a") x 20), 'a whole one before');
		is(($server->reload(app => version($n)))[0], 0, "reload $n");
		$_->send($half . '1:b') for @clients;
		my $answer = "200002:$n $half$half" . "3:$n b";
		is(scalar(grep { $_->recv(length $answer) eq $answer } @clients), 20, 'the new code gets the whole message');
	}
	is(scalar(grep { /close/ } $server->notes), 0, 'nobody was closed');
	ok(wait_for(sub { $server->worker_pids == 2 }), 'the old workers have left');
};

matrix 'messages cut anywhere while the server reloads again and again', process => $why, sub ($mode) {
	my $app = version('v') =~ s/"v "/""/r;
	my $server = start_server(app => $app, files => \%files, settings => { worker_num => 2, reactor_num => 2 });
	my @clients = map { $server->client(timeout => 30) } 1 .. 10;
	my ($rounds, $wrong, $n) = (0, 0, 0);
	my $reloads = fork // die "fork: $!\n";

	if (!$reloads) {
		my $failed = grep { ($server->reload(app => $app))[0] != 0 } 1 .. 8;
		POSIX::_exit($failed);
	}
	while (waitpid($reloads, POSIX::WNOHANG()) == 0) {
		my @texts = map { my $i = $n++; join '', map { my $body = "$i.$_" . 'x' x rand 3000; length($body) . ":$body" } 1 .. 3 } @clients;
		my @rest = @texts;
		while (grep { length } @rest) {
			$clients[$_]->send(substr $rest[$_], 0, 1 + rand 2000, '') for grep { length $rest[$_] } 0 .. $#rest;
		}
		for my $i (0 .. $#clients) {
			$wrong++ if $clients[$i]->recv(length $texts[$i]) ne $texts[$i];
		}
		$rounds++;
	}
	is($?, 0, 'the reloads are committed');
	is($wrong, 0, "$rounds rounds of messages, none lost or torn");
	cmp_ok($rounds, '>', 2, 'during the reloads');
};

matrix 'while its handler runs a connection stays with the old code, in order', process => $why, sub ($mode) {
	my $server = start_server(app => version(0), files => \%files);
	my $client = $server->client(timeout => 20);

	$client->send('4:hold1:b3:c');
	$server->wait_notes(1);
	is(($server->reload(app => version(1)))[0], 0, 'reload');
	$client->send('dd1:e');
	is($client->recv(21), '6:0 hold3:0 b5:1 cdd3', 'messages that were whole, then the new code');
	is($client->recv(4), ':1 e', 'and the next');
};

matrix 'a handler that does not end hands the rest over when its worker must go', process => $why, sub ($mode) {
	my $server = start_server(app => version(0), files => \%files, settings => { max_wait_time => '500ms' });
	my $client = $server->client(timeout => 20);

	$client->send('4:stay1:b3:c');
	$server->wait_notes(1);
	is(($server->reload(app => version(1)))[0], 0, 'reload');
	$client->send('dd1:e');
	is($client->recv(13), '3:1 b5:1 cdd3', 'what was not handled goes to the new code');
	is($client->recv(4), ':1 e', 'and the next');
};

matrix 'a worker that dies takes its connections with it', process => $why, sub ($mode) {
	my $server = start_server(app => version(0), files => \%files)->expect_crash;
	my ($pid) = $server->worker_pids;
	my $client = $server->client;

	$client->send('1:a3:h');
	is($client->recv(5), '3:0 a', 'half a message is there');
	kill KILL => $pid;
	is($client->recv_all, '', 'the connection ends');
	is(($server->wait_notes(1))[0], 'close error worker_lost', 'the successor is told');
	ok($server->wait_respawn($pid), 'which is there');
	is($server->client->send('1:b')->recv(5), '3:0 b', 'and serves');
};

matrix 'connections live through max_request as well', process => $why, sub ($mode) {
	my $server = start_server(app => version(0), files => \%files,
		settings => { max_request => 5, max_request_grace => 0 });
	my $client = $server->client(timeout => 20);
	my ($pid) = $server->worker_pids;
	my $right = 0;

	for my $n (1 .. 100) {
		$client->send('5:ab');
		$client->send('cde3:');
		$right++ if $client->recv(9) eq '7:0 abcde';
		$client->send('fgh');
		$right++ if $client->recv(7) eq '5:0 fgh';
	}
	is($right, 200, 'every message is answered');
	ok($server->wait_respawn($pid), 'by several processes');
};

# ---- the modules that come along -----------------------------------------------------------------

matrix 'luaserv.protocol.text' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
server:set { protocol = "luaserv.protocol.text", package_max_length = 10000 }
server:on("receive", function(server, fd, reactor_id, line) server:send(fd, "<" .. line .. ">") end)
server:start()
LUA
	my $client = $server->client;

	$client->send("one\r\ntwo\n\n\r\na\rb\r\r\nthr");
	is($client->recv_until("b\r>\n"), "<one>\n<two>\n<>\n<>\n<a\rb\r>\n", 'lines');
	$client->send("ee\n" . 'x' x 9999 . "\n");
	is($client->recv(10_010), "<three>\n<" . 'x' x 9999 . ">\n", 'the longest');
	$client->send('y' x 10_000);
	is($client->recv_all, '', 'longer is too long');
};

matrix 'luaserv.protocol.frame' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
server:set { protocol = require "luaserv.protocol.frame" }
server:on("receive", function(server, fd, reactor_id, body) server:send(fd, body:reverse()) end)
server:start()
LUA
	my $client = $server->client;

	$client->send(pack('N/a* N a*', '', 7, 'abc') =~ s/\A....//r . pack('N', 4) . pack('N a*', 5, 'd'));
	is($client->recv(16), pack('N a* N N a*', 7, 'cba', 4, 5, 'd'), 'frames');
	my $long = 'long' x 20_000;
	$client->send(pack('N a*', 4 + length $long, $long));
	is_string($client->recv(4 + length $long), pack('N a*', 4 + length $long, scalar reverse $long), 'a long one');
	$client->send(pack 'N', 3);
	is($client->recv_all, '', 'a length below its own');
	ok($server->wait_log(qr/a frame of 3 bytes has no room for its own length/), 'is named');
};

my ($cjson) = grep { -e } glob '/usr/lib/*/lua/5.1/cjson.so /usr/lib/lua/5.1/cjson.so /usr/local/lib/lua/5.1/cjson.so';

$cjson and matrix 'luaserv.protocol.json_line' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local server = require "luaserv".server("127.0.0.1", $PORT)
server:set { protocol = require "luaserv.protocol.json_line" }
server:on("receive", function(server, fd, reactor_id, value)
	server:send(fd, { got = type(value), name = type(value) == "table" and value.name or nil })
end)
server:start()
LUA
	my $client = $server->client;

	$client->send(qq({"name": "x"}\n[1, 2]\r\nnull\n12\n));
	my @answers = map { JSON::PP::decode_json($client->recv_until("\n")) } 1 .. 4;
	is_deeply(\@answers, [ { got => 'table', name => 'x' }, { got => 'table' }, { got => 'userdata' }, { got => 'number' } ],
		'values');
	$client->send("{\n");
	is($client->recv_all, '', 'what is no JSON');
	ok($server->wait_log(qr/the line is no JSON: /), 'is named');
};

matrix 'they work without a server' => sub ($mode) {
	my $server = start_server(app => <<'LUA');
local text, frame = require "luaserv.protocol.text", require "luaserv.protocol.frame"
assert(text.input("ab") == 0 and text.input("ab\ncd") == 3 and text.decode("ab\r\n") == "ab" and text.encode("x") == "x\n")
assert(frame.input("\0\0\0") == 0 and frame.input("\0\0\1\4") == 260 and frame.input("\0\0\0\1") == nil)
assert(frame.encode(("x"):rep(300)):sub(1, 4) == "\0\0\1\48" and frame.decode(frame.encode("abc")) == "abc")
local server = require "luaserv".server("127.0.0.1", $PORT)
server:on("receive", function(server, fd) server:send(fd, "fine") end)
server:start()
LUA
	is($server->client->send('x')->recv(4), 'fine', 'as plain functions');
};

done_testing();
