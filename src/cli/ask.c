#include "cli/ask.h"

#include "base/mem.h"
#include "role/pidfile.h"
#include "super/jsonline.h"
#include "sys/fd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 << 20, READ_STEP = 65536 };

int ask_find(const struct cli_args *args, struct rundir_entry *out)
{
	struct rundir_query q = { 0 };
	struct err err;
	int r;

	if (args->pidfile) {
		q.pid = pidfile_read(args->pidfile, &err);
		if (q.pid < 0)
			return cli_complain(CLI_NO_SERVER, "%s", err.text);
	} else if (args->script) {
		q.script = args->launch.script;
	} else {
		q.directory = args->launch.directory;
	}
	r = rundir_find(&q, out, &err);
	if (r == 0)
		return CLI_DONE;
	if (r != -ESRCH)
		return cli_complain(r == -EEXIST ? CLI_USAGE : CLI_FAILED, "%s", err.text);
	if (q.pid)
		return cli_complain(CLI_NO_SERVER,
		                    "the server with pid %d left no admin socket in our runtime directory", q.pid);
	if (q.script)
		return cli_complain(CLI_NO_SERVER, "no server runs %s", q.script);
	return cli_complain(CLI_NO_SERVER, "no server was started in %s; name one with -s or -p", q.directory);
}

/* Until the end of file or the end of the line; malloc'ed. */
static char *read_line(int fd, size_t *len)
{
	char *text = NULL;
	size_t used = 0;

	for (;;) {
		text = xrealloc(text, used + READ_STEP);

		ssize_t n = fd_read(fd, text + used, READ_STEP);

		if (n <= 0 || used + (size_t)n > ANSWER_MAX)
			break;
		used += (size_t)n;
		if (memchr(text + used - n, '\n', (size_t)n))
			break;
	}
	*len = used;
	return text;
}

static int send_command(const struct rundir_entry *server, const char *command, const char *members, int *out)
{
	char line[256];
	int fd = rundir_connect(server);

	if (fd < 0)
		return cli_complain(CLI_NO_SERVER, "the server with pid %d does not answer: %s", server->pid,
		                    strerror(-fd));
	snprintf(line, sizeof line, "{\"command\":\"%s\"%s}\n", command, members);
	if (fd_write_all(fd, str_from(line)) < 0) {
		fd_close(&fd);
		return cli_complain(CLI_FAILED, "the server with pid %d does not listen", server->pid);
	}
	*out = fd;
	return CLI_DONE;
}

/* The value behind "result", or the sentence behind "error". */
static int take_result(struct str line, char **result)
{
	char *value = xalloc(line.len + 1);
	char done[8];

	if (jsonline_get(line, "ok", done, sizeof done) < 0) {
		free(value);
		return cli_complain(CLI_FAILED, "the server closed the connection without an answer");
	}
	if (strcmp(done, "true") != 0) {
		ssize_t len = jsonline_get(line, "error", value, line.len + 1);

		cli_complain(CLI_FAILED, "%s", len > 0 ? value : "the server refused");
		free(value);
		return CLI_FAILED;
	}
	if (jsonline_get(line, "result", value, line.len + 1) < 0)
		value[0] = '\0';
	*result = value;
	return CLI_DONE;
}

int ask_server(const struct rundir_entry *server, const char *command, const char *members, char **result)
{
	int fd, code = send_command(server, command, members, &fd);
	size_t len;
	char *line;

	if (code != CLI_DONE)
		return code;
	line = read_line(fd, &len);
	fd_close(&fd);
	code = take_result(str_make(line, len), result);
	free(line);
	return code;
}

int ask(const struct cli_args *args, const char *command, const char *members, char **result)
{
	struct rundir_entry *server = xalloc(sizeof *server);
	int code = ask_find(args, server);

	if (code == CLI_DONE)
		code = ask_server(server, command, members, result);
	free(server);
	return code;
}

int ask_stop(const struct rundir_entry *server)
{
	int pidfd = (int)syscall(SYS_pidfd_open, server->pid, 0);
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	int fd, code = send_command(server, "stop", "", &fd);
	size_t len;

	if (code != CLI_DONE) {
		fd_close(&pidfd);
		return code;
	}
	/* The server answers by closing the connection, at its very end. */
	free(read_line(fd, &len));
	fd_close(&fd);
	if (pidfd >= 0)
		while (poll(&ended, 1, -1) < 0 && errno == EINTR)
			;
	fd_close(&pidfd);
	return CLI_DONE;
}
