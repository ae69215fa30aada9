# Forms with files: fields, files on disk as long as their request, limits, and what is malformed.
use v5.36;
use lib 't/lib';
use Test::Luaserv;
use Test::Luaserv::Util qw(run_command);

my $app = <<'LUA';
local luaserv = require "luaserv"
local server = luaserv.http("127.0.0.1", $PORT)
$NOTE
server:set { upload_tmp_dir = "$ROOT/uploads" }
local function sorted(t)
	local keys = {}
	for key in pairs(t) do keys[#keys + 1] = key end
	table.sort(keys)
	return keys
end
local function show(value)
	return type(value) == "table" and "[" .. table.concat(value, "|") .. "]" or value
end
local function file_text(file)
	local text = ""
	if file.tmp_name then
		local f = assert(io.open(file.tmp_name, "rb"))
		text = f:read("*a")
		f:close()
	end
	return ("%s (%s, %d, %d): %s"):format(file.name, file.type, file.size, file.error, #text > 100 and #text .. " bytes" or text)
end
server:on("request", function(req, res)
	local out = {}
	for _, key in ipairs(sorted(req.form)) do out[#out + 1] = key .. " = " .. show(req.form[key]) end
	for _, key in ipairs(sorted(req.files)) do
		local file = req.files[key]
		for _, one in ipairs(file[1] and file or { file }) do out[#out + 1] = key .. ": " .. file_text(one) end
	end
	if req.path == "/keep" then assert(os.rename(req.files.f.tmp_name, "$ROOT/kept")) end
	if req.path == "/body" then out = { req:body() } end
	if req.path == "/fail" then error("broken on purpose") end
	note("files", tostring(#sorted(req.files)), req.files == req.files and "same" or "other")
	res:finish(table.concat(out, "\n") .. "\n")
end)
EXTRA
server:start()
LUA

sub app_with ($extra = '') { return $app =~ s/^EXTRA$/$extra/mr }

sub serve ($extra = '', %settings) {
	my $server = new_server();

	mkdir $server->root . '/uploads';
	$server->start(app => app_with($extra), settings => \%settings) or die 'It did not start: ' . $server->complaint . "\n";
	return $server;
}

sub part ($head, $data) { return "--XX\r\n$head\r\n\r\n$data\r\n" }
sub field ($name, $value) { return part(qq{Content-Disposition: form-data; name="$name"}, $value) }
sub file ($name, $filename, $data, $type = 'text/plain') { return part(qq{Content-Disposition: form-data; name="$name"; filename="$filename"\r\nContent-Type: $type}, $data) }
sub form (@parts) { return join('', @parts) . "--XX--\r\n" }

sub post ($server, $body, %o) {
	my $type = $o{type} // 'multipart/form-data; boundary=XX';
	return ($o{client} // $server->client)->request('POST', $o{path} // '/', headers => [ 'Content-Type' => $type, ($o{fields} // [])->@* ], body => $body);
}
sub left ($server) { return scalar(my @files = glob $server->root . '/uploads/*') }

matrix 'fields and files' => sub ($mode) {
	my $server = serve();
	my %forms = (
		"a = 1\n" => form(field(a => 1)), "a = [1|2|3]\nb = \n" => form(field(a => 1), field(b => ''), field(a => 2), field(a => 3)),
		"f: x.txt (text/plain, 5, 0): hello\n" => form(file(f => 'x.txt', 'hello')),
		"f: one (text/plain, 1, 0): 1\nf: two (image/png, 1, 0): 2\nf: three (text/plain, 1, 0): 3\n" => form(file(f => 'one', 1), file(f => 'two', 2, 'image/png'), file(f => 'three', 3)),
		"f:  (application/octet-stream, 0, 4): \n" => form(file(f => '', '', 'application/octet-stream')),
		"t = \r\n--X\r\n--Y\r\n\n" => form(field(t => "\r\n--X\r\n--Y\r\n")), "" => form(),
		"a\"b\\c = 1\n" => form(field('a\"b\\\\c' => 1)), "f: x (text/plain, 0, 0): \n" => form(file(f => '/etc/../x', '')), "g: boot.ini (text/plain, 1, 0): 1\n" => form(file(g => 'C:\\dos\\boot.ini', 1)),
		"p = padded\n" => "preamble\r\n--XX \t\r\ncontent-disposition:form-data;name=p\r\n\r\npadded\r\n--XX--  \r\nepilogue --XX",
	);

	for my $wanted (sort keys %forms) {
		is_string(post($server, $forms{$wanted})->body, $wanted || "\n", $wanted =~ s/\s+/ /gr || 'nothing');
	}
	my $client = $server->client;
	my $body = form(field(a => 'piece by piece'), file(f => 'x', "\r\n--X" . 'y' x 50 . "\r\n-"));
	$client->send("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=\"XX\"\r\nTransfer-Encoding: chunked\r\n\r\n");
	$client->send("1\r\n$_\r\n") for split //, $body;
	$client->send("0\r\n\r\n");
	is_string($client->response->body, "a = piece by piece\nf: x (text/plain, 58, 0): \r\n--X" . 'y' x 50 . "\r\n-\n", 'byte by byte, in chunks');
	ok(wait_for(sub { left($server) == 0 }), 'no file is left');
	my $both = $server->client;
	is(post($server, form(field(n => $_)), client => $both)->body, "n = $_\n", 'one after the other') for 1 .. 3;
	my $big = join '', map { chr $_ * 7 % 256 } 0 .. 999_999;
	is(post($server, form(file(f => 'big', $big)))->body, "f: big (text/plain, 1000000, 0): 1000000 bytes\n", 'a megabyte');
};

matrix 'curl' => sub ($mode) {
	my $server = serve();
	my $path = $server->root . '/to send.txt';

	spew($path, "from a file\n");
	my ($code, $out) = run_command(argv => [ 'curl', '-s', '-F', 'a=1', '-F', qq{f=\@$path;type=text/x-mine}, '-F', 'empty=@/dev/null;filename=none', 'http://127.0.0.1:' . $server->port . '/' ]);
	is_string($out, "a = 1\nempty: none (application/octet-stream, 0, 0): \nf: to send.txt (text/x-mine, 12, 0): from a file\n\n", 'its form is read');
};

matrix 'files live as long as their request' => sub ($mode) {
	my $server = serve();

	is(post($server, form(file(f => 'x', 'keep me')), path => '/keep')->status, 200, 'one that the app moves');
	is(slurp($server->root . '/kept'), 'keep me', 'stays');
	is(post($server, form(file(f => 'x', 1)), path => '/fail')->status, 500, 'a handler that fails');
	ok($server->wait_log(qr/broken on purpose/), 'which the log tells');
	$server->forget_log;
	ok(wait_for(sub { left($server) == 0 }), 'leaves none');
	my $client = $server->client;
	$client->send("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=XX\r\nContent-Length: 1000000\r\n\r\n" . file(f => 'x', 'y' x 100_000));
	ok(wait_for(sub { left($server) == 1 }), 'half a form has its file on disk');
	$client->close;
	ok(wait_for(sub { left($server) == 0 }), 'which goes with its client');
};

matrix 'limits' => sub ($mode) {
	my $server = serve('server:set { package_max_length = "64k", upload_max_size = "1m", upload_max_filesize = "500k", upload_max_parts = 10 }');

	is(post($server, form(file(f => 'x', 'y' x 500_000)))->status, 200, 'a form longer than package_max_length');
	is(post($server, form(file(f => 'x', 'y' x 600_000)))->status, 413, 'a file over upload_max_filesize');
	is(post($server, form(map { file("f$_" => 'x', 'y' x 300_000) } 1 .. 4))->status, 413, 'a form over upload_max_size');
	is(post($server, form(field(a => 'y' x 70_000)))->status, 413, 'a field over package_max_length');
	is(post($server, form(map { field(a => 'y' x 20_000) } 1 .. 4))->status, 413, 'fields over it together');
	is(post($server, form(map { field(a => 1) } 1 .. 10))->status, 200, 'ten parts');
	is(post($server, form(map { field(a => 1) } 1 .. 11))->status, 413, 'eleven');
	is(post($server, 'x' x 70_000, type => 'text/plain')->status, 413, 'other bodies are bounded as before');
	is(post($server, form(part('X: ' . 'y' x 9000, 1)))->status, 431, 'a head of a part that is too long');
	ok(wait_for(sub { left($server) == 0 }), 'no file is left');
};

matrix 'what is malformed is 400' => sub ($mode) {
	my $server = serve();
	my %bad = ('no end' => field(a => 1), 'nothing' => 'x', 'no name' => form(part('Content-Disposition: form-data', 1)), 'no disposition' => form(part('X-Other: 1', 1)),
		'a head that is none' => form(part('nonsense', 1)), 'a NUL in a head' => form(part("Content-Disposition: form-data; name=\"a\0\"", 1)), 'no line end behind a boundary' => "--XXy\r\n\r\n",
		'a quote that does not end' => form(part('Content-Disposition: form-data; name="a', 1)));

	is(post($server, $bad{$_})->status, 400, $_) for sort keys %bad;
	is(post($server, form(field(a => 1)), type => $_)->status, 400, "\"$_\"") for 'multipart/form-data', 'multipart/form-data; boundary=', 'multipart/form-data; boundary="' . 'b' x 71 . '"',
		"multipart/form-data; boundary=\"a\tb\"";
	is(post($server, form(field(a => 1)), type => 'Multipart/Form-Data; charset=utf-8; BOUNDARY=XX')->body, "a = 1\n", 'case and other parameters do not matter');
};

matrix 'the body as it is, and a folder that is not there' => sub ($mode) {
	my $server = serve('server:set { http_parse_files = false }');
	is(post($server, form(field(a => 1)), path => '/body')->body, form(field(a => 1)) . "\n", 'http_parse_files off');
	$server = serve();
	rmdir $server->root . '/uploads';
	is(post($server, form(file(f => 'x', 1)))->status, 507, 'a file that cannot be written');
	ok($server->wait_log(qr{a file of a form cannot be made: \S+/uploads/luaserv-upload-\w+: No such file or directory; the request is answered 507}), 'the log says why');
	$server->forget_log;
};

done_testing();
