/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "look.h"
#include "top.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

/* Between two refreshes. The owner is looked at more often, and its end is shown at once. */
#define REFRESH_NS NS_PER_S

/* How long a terminal that takes nothing is waited for at the end. */
#define FAREWELL_MS 200

/* What all terminals in use today understand: xterm's, and those that follow ECMA-48. */
#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_BELOW "\033[J"

/* Room for a screen: every line, what clears behind it, and the end of the line. */
#define FRAME_MAX ((STATUS_LINES_MAX + 8) * (STATUS_LINE_MAX + 8))

struct top {
	const struct agent_options *options;
	int terminal; /* The terminal, by a file description of our own that never blocks. */
	int signals;  /* Signals are read, not handled: nothing is ever interrupted. */
	struct termios before;
	bool quit;
	bool help;	     /* The page of help is shown. */
	bool stale;	     /* What is on the screen is not what it should be. */
	uint64_t refresh_ns; /* When the table is read again. */
	char why[STATUS_LINE_MAX];
	struct look look;
	struct status_text text;
	char frame[FRAME_MAX];
	size_t length; /* Of the frame. */
};

static const char *const help[] = {
	"ka-agent --top: l2fwd-keepalive and its cores, once a second",
	"",
	"  state       as the last ping found it: ALIVE; MISSING, no heartbeat; DEAD, declared dead",
	"              at this ping; GONE, at an earlier one; UNUSED, not yet seen",
	"  last cause  why it died the last time",
	"  deaths      times declared dead; restarts: launched again; recoveries: moved again by",
	"              itself",
	"  outages     from the last heartbeat before to the first one after: the last, the longest",
	"  turns       what the turns of its loop took, since the start; late: those of --late-us",
	"              or more",
	"  busy%       share of the time since the start in turns that received frames",
	"  Mpps        millions of frames received a second, now",
	"",
	"  q  end      ?  this page; any key goes back",
};

bool
top_is_possible(void)
{
	const char *kind = getenv("TERM");

	return isatty(STDOUT_FILENO) == 1 && kind != NULL && kind[0] != '\0' &&
	       strcmp(kind, "dumb") != 0;
}

/* ---- The terminal ---- */

/* Wait until there is something to do. Keys and signals end it, and room to write if wanted. */
static short
wait_for(struct top *top, short events, int timeout_ms, bool *signalled)
{
	struct pollfd fds[] = {
		{ .fd = top->terminal, .events = events },
		{ .fd = top->signals, .events = POLLIN },
	};

	*signalled = false;
	if (poll(fds, 2, timeout_ms) <= 0)
		return 0;
	*signalled = fds[1].revents != 0;
	return fds[0].revents;
}

/*
 * Write, as long as nobody wants anything else. What is then cut off is drawn again: a frame is
 * always a whole screen.
 */
static int
put(struct top *top, const char *bytes, size_t length)
{
	bool signalled;

	while (length != 0) {
		ssize_t written = write(top->terminal, bytes, length);

		if (written >= 0) {
			bytes += written;
			length -= (size_t)written;
		} else if (errno == EAGAIN) {
			if ((wait_for(top, POLLIN | POLLOUT, -1, &signalled) & POLLIN) != 0 ||
			    signalled) {
				top->stale = true;
				return 0;
			}
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

static int
set_mode(const struct top *top, const struct termios *mode)
{
	/* Interrupted when a process in the background was stopped for it and is continued. */
	while (tcsetattr(top->terminal, TCSANOW, mode) != 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/*
 * Take the screen: keys as they come and without echo, no Ctrl-S. The mode first, since it stops a
 * process in the background before it writes on the screen of another.
 */
static int
enter(struct top *top)
{
	struct termios mode = top->before;
	int rc;

	mode.c_iflag &= ~(tcflag_t)IXON;
	mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	mode.c_cc[VMIN] = 1;
	mode.c_cc[VTIME] = 0;
	rc = set_mode(top, &mode);
	if (rc == 0)
		rc = put(top, ENTER, strlen(ENTER));
	top->stale = true;
	return rc;
}

/* Give the screen back. A terminal that takes nothing is not waited for long. */
static void
leave(struct top *top)
{
	struct pollfd room = { .fd = top->terminal, .events = POLLOUT };

	if (poll(&room, 1, FAREWELL_MS) == 1 && (room.revents & POLLOUT) != 0 &&
	    write(top->terminal, LEAVE, strlen(LEAVE)) < 0)
		errno = 0; /* It is gone: nothing is left to be done. */
	(void)set_mode(top, &top->before);
}

/* ---- Drawing ---- */

/* One line of the screen, cut at its width. */
static void
draw_line(struct top *top, const char *line, unsigned int row, const struct winsize *size)
{
	size_t length = strlen(line);

	if (row >= size->ws_row)
		return;
	if (row != 0)
		top->length += (size_t)snprintf(top->frame + top->length, 3, "\r\n");
	if (length > size->ws_col)
		length = size->ws_col;
	memcpy(top->frame + top->length, line, length);
	top->length += length;
	/* Behind a full line the cursor still stands on its last character. */
	if (length < size->ws_col) {
		memcpy(top->frame + top->length, CLEAR_LINE, strlen(CLEAR_LINE));
		top->length += strlen(CLEAR_LINE);
	}
}

/* In one piece, from the top, each line over the one before: nothing flickers. */
static int
draw(struct top *top)
{
	struct winsize size = { .ws_row = 0 };
	unsigned int row = 0;

	if (ioctl(top->terminal, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	top->length = (size_t)snprintf(top->frame, FRAME_MAX, HOME);
	if (top->help) {
		for (; row < sizeof(help) / sizeof(help[0]); row++)
			draw_line(top, help[row], row, &size);
	} else {
		status_write(&top->text, &top->look.status);
		for (; row < top->text.nb_lines; row++)
			draw_line(top, top->text.line[row], row, &size);
		draw_line(top, "", row++, &size);
		draw_line(top, "q end, ? help", row++, &size);
	}
	if (row < size.ws_row) {
		memcpy(top->frame + top->length, "\r\n" CLEAR_BELOW, strlen("\r\n" CLEAR_BELOW));
		top->length += strlen("\r\n" CLEAR_BELOW);
	}
	top->stale = false;
	return put(top, top->frame, top->length);
}

/* ---- What it shows ---- */

/* Nobody is there. Of one who was, the last table stays, until something else is wrong. */
static void
look_for_next(struct top *top)
{
	struct status *status = &top->look.status;
	struct text_refusal refusal;
	char line[TEXT_REFUSAL_MAX];

	if (look_begin(&top->look, top->options->name, &refusal)) {
		top->why[0] = '\0';
		top->refresh_ns = 0;
		return;
	}
	if (refusal.error == -ENOENT || refusal.error == -EOWNERDEAD)
		line[0] = '\0';
	else
		text_refusal(line, &refusal, top->options);
	if (strncmp(top->why, line, sizeof(top->why) - 1) == 0)
		return;
	snprintf(top->why, sizeof(top->why), "%.*s", (int)sizeof(top->why) - 1, line);
	status->owner = STATUS_NONE;
	status->why = top->why;
	top->stale = true;
}

static void
look_again(struct top *top)
{
	if (top->look.reader == NULL)
		look_for_next(top);
	if (top->look.reader == NULL)
		return;
	if (look_judge(&top->look))
		top->stale = true;
	else if (ka_shm_now_ns() < top->refresh_ns)
		return;
	look_take(&top->look);
	top->refresh_ns = ka_shm_now_ns() + REFRESH_NS;
	top->stale = true;
	if (top->look.status.owner != STATUS_RUNS && top->look.status.owner != STATUS_STALLED)
		look_end(&top->look);
}

/* ---- What it is told ---- */

/* Stop as SIGTSTP wants it, with the terminal as it was. */
static int
suspend(struct top *top)
{
	sigset_t stop;

	leave(top);
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, NULL); /* Stops here, and goes on here. */
	sigprocmask(SIG_BLOCK, &stop, NULL);
	return enter(top);
}

static int
obey(struct top *top)
{
	struct signalfd_siginfo info;

	if (read(top->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	switch (info.ssi_signo) {
	case SIGTSTP:
		return suspend(top);
	case SIGCONT: /* After a SIGSTOP somebody else may have used the terminal. */
		return enter(top);
	case SIGWINCH:
		top->stale = true;
		return 0;
	default:
		top->quit = true;
		return 0;
	}
}

static void
read_keys(struct top *top)
{
	char keys[64];
	const ssize_t nb = read(top->terminal, keys, sizeof(keys));

	if (nb == 0 || (nb < 0 && errno != EAGAIN && errno != EINTR)) {
		top->quit = true; /* The terminal is gone. */
		return;
	}
	for (ssize_t i = 0; i < nb; i++) {
		top->stale = true;
		if (top->help) {
			/* Some keys are several characters: they are one key. */
			top->help = false;
			return;
		}
		if (keys[i] == 'q')
			top->quit = true;
		top->help = keys[i] == '?';
	}
}

/* ---- The whole ---- */

/* An open of our own, so that our O_NONBLOCK is not that of the shell, too. */
static int
open_terminal(struct top *top)
{
	const char *path = ttyname(STDOUT_FILENO);

	top->terminal = path == NULL ? -1 : open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (top->terminal < 0) /* As in a container that does not have its /dev/pts. */
		top->terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (top->terminal < 0 || tcgetattr(top->terminal, &top->before) != 0)
		return -errno;
	return 0;
}

/* Take the signals that matter to the screen. Of those that are ignored, SIGHUP stays so. */
static int
open_signals(struct top *top, sigset_t *before)
{
	static const int numbers[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH
	};
	struct sigaction action;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, before);
	top->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return top->signals < 0 ? -errno : 0;
}

static int
turn(struct top *top)
{
	bool signalled;
	int rc = 0;

	look_again(top);
	if (top->stale)
		rc = draw(top);
	if (rc != 0)
		return rc;
	if (wait_for(top, POLLIN, (int)(REPORT_SLICE_NS / NS_PER_MS), &signalled) != 0)
		read_keys(top);
	return signalled ? obey(top) : 0;
}

int
top_run(const struct agent_options *options)
{
	struct top *top = calloc(1, sizeof(*top));
	sigset_t before;
	int rc;

	if (top == NULL)
		return -ENOMEM;
	top->options = options;
	top->look.status.name = options->name;
	top->signals = -1;
	sigprocmask(SIG_BLOCK, NULL, &before);
	rc = open_terminal(top);
	if (rc == 0)
		rc = open_signals(top, &before);
	if (rc == 0) {
		rc = enter(top);
		while (rc == 0 && !top->quit)
			rc = turn(top);
		leave(top);
	}
	look_end(&top->look);
	if (top->signals >= 0)
		close(top->signals);
	if (top->terminal >= 0)
		close(top->terminal);
	sigprocmask(SIG_SETMASK, &before, NULL);
	free(top);
	return rc;
}
