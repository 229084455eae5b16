/* SPDX-License-Identifier: BSD-3-Clause */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "../recovery.h"
#include "text.h"
#include "words.h"

#define NS_PER_MS UINT64_C(1000000)

/** Room for the command that starts the forwarder, with a name or prefix in it. */
#define COMMAND_MAX (KA_SHM_NAME_MAX + 80)

/* ---- Words ---- */

static double
ms_of(uint64_t ns)
{
	return (double)ns / (double)NS_PER_MS;
}

static const char *
plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* What the C library says of a signal, or that it knows nothing. */
static const char *
signal_words(int number)
{
	const char *words = sigdescr_np(number);

	return words != NULL ? words : "not known";
}

/* Whether the worker was in its loop, so that it is of use to know where. */
static bool
is_hang(uint32_t cause)
{
	return cause == KA_CAUSE_HUNG || cause == KA_CAUSE_SPINNING || cause == KA_CAUSE_BLOCKED ||
	       cause == KA_CAUSE_STOPPED;
}

static const char *
stall_words(uint32_t stall)
{
	switch (stall) {
	case KA_STALL_NONE:
		return "moves frames again";
	case KA_STALL_RX:
		return "stalled, it receives nothing of what the port counts";
	case KA_STALL_POOL:
		return "stalled, no mbufs are left";
	case KA_STALL_TX:
		return "stalled, the TX queue takes nothing";
	default:
		return "stalled";
	}
}

/* ---- Lines ---- */

/* The cores of a list: a comma behind each but the last, which has the end that is wanted. */
static void
put_list(FILE *out, const struct report_list *list, const char *end)
{
	for (unsigned int i = 0; i < list->nb_entries; i++) {
		fprintf(out, " %u", list->entry[i].lcore);
		if (list->entry[i].times != 1)
			fprintf(out, " (%" PRIu64 " times)", list->entry[i].times);
		fputs(i + 1 < list->nb_entries ? "," : end, out);
	}
	fputc('\n', out);
}

static void
put_attached(FILE *out, const struct report *report)
{
	char program[WORDS_MAX], period[WORDS_MAX], cores[WORDS_MAX] = "no core yet";

	if (report->count != 0)
		snprintf(cores, sizeof(cores), "%" PRIu64 " core%s", report->count,
			 plural(report->count));
	if (report->identity == NULL) {
		fprintf(out,
			"Watching %s: the original l2fwd-keepalive of DPDK, %s, which counts "
			"no deaths.\n",
			report->name, cores);
		return;
	}
	words_program(program, report->identity, true);
	words_exact_ms(period, report->identity->period_ns);
	fprintf(out, "Watching %s: %s, pid %" PRId64 ", %s, ping every %s ms.\n", report->name,
		program, report->identity->pid, cores, period);
}

static void
put_earlier(FILE *out, const struct report *report)
{
	fprintf(out, "%" PRIu64 " death%s before this agent came:", report->list->total,
		plural(report->list->total));
	put_list(out, report->list, ".");
}

/* The format of the original, which scripts look for: a comma behind the last core, too. */
static void
put_deaths(FILE *out, const struct report *report)
{
	fprintf(out, "%" PRIu64 " dead cores:", report->list->total);
	put_list(out, report->list, ",");
}

static void
put_event(FILE *out, const struct report *report)
{
	const struct ka_shm_event *event = report->event;

	fprintf(out, "  core %" PRIu32 " ", event->lcore);
	switch (event->kind) {
	case KA_EVENT_DEATH:
		fprintf(out, "died: %s, silent for %.1f ms",
			recovery_cause_name((enum ka_cause)event->cause), ms_of(event->silent_ns));
		if (is_hang(event->cause))
			fprintf(out, ", phase %s, port %" PRIu32 ", %" PRIu32 " frame%s in hand",
				recovery_phase_name((enum recovery_phase)event->phase), event->port,
				event->in_hand, plural(event->in_hand));
		fputc('\n', out);
		return;
	case KA_EVENT_RESTART:
		fprintf(out, "restarted");
		break;
	case KA_EVENT_BACK:
		fprintf(out, "back after %.1f ms", ms_of(event->outage_ns));
		break;
	case KA_EVENT_RECOVERY:
		fprintf(out, "back after %.1f ms without a restart", ms_of(event->outage_ns));
		break;
	case KA_EVENT_STARVED:
		fprintf(out, "had no CPU for %.1f ms, starved by the host",
			ms_of(event->outage_ns));
		break;
	case KA_EVENT_STARVING:
		fprintf(out, "has had no CPU for %.1f ms so far, starved by the host",
			ms_of(event->outage_ns));
		break;
	case KA_EVENT_STALLED:
	case KA_EVENT_MOVES:
		fprintf(out, "port %" PRIu32 ": %s\n", event->port, stall_words(event->stall));
		return;
	case KA_EVENT_GIVEN_UP:
		fprintf(out, "given up, not to be restarted any more");
		break;
	case KA_EVENT_TAKEN_OVER:
		fprintf(out, "port %" PRIu32 " goes to core %" PRIu32 "\n", event->port,
			event->other_lcore);
		return;
	default:
		fprintf(out, "event of a kind not known: %" PRIu32, event->kind);
		break;
	}
	fprintf(out, " (restarts %" PRIu64 ", recoveries %" PRIu64 ")\n", report->restarts,
		report->recoveries);
}

/* What befell the one who is watched. */
static void
put_fate(FILE *out, const struct report *report)
{
	char owner[2 * WORDS_MAX];

	words_owner(owner, report->identity);
	if (report->kind == REPORT_NAME_GONE)
		fprintf(out, "Segment %s was removed or replaced, but %s lives: watching on.\n",
			report->name, owner);
	else
		fprintf(out, "%s has %s.\n", owner,
			report->kind == REPORT_STOPPED ? "stopped" :
			report->kind == REPORT_ABORTED ? "aborted because a worker hung" :
							 "died");
}

static void
put_line(FILE *out, const struct report *report)
{
	switch (report->kind) {
	case REPORT_ATTACHED:
		put_attached(out, report);
		break;
	case REPORT_EARLIER:
		put_earlier(out, report);
		break;
	case REPORT_DOWN:
		fprintf(out, "Down already:");
		put_list(out, report->list, ",");
		break;
	case REPORT_DEATHS:
		put_deaths(out, report);
		break;
	case REPORT_EMPTY:
		fprintf(out, "Warning: Empty dead core report\n");
		break;
	case REPORT_EVENT:
		put_event(out, report);
		break;
	case REPORT_CRASHED:
		fprintf(out, "Core %u crashed: signal %d, %s.\n", report->crash->lcore,
			report->crash->signal, signal_words(report->crash->signal));
		break;
	case REPORT_LOST:
		fprintf(out, "  died, how is not known:");
		put_list(out, report->list, ".");
		break;
	case REPORT_UNTOLD:
		fprintf(out, "  %" PRIu64 " event%s not told: only the last %d are kept\n",
			report->count, plural(report->count), KA_SHM_EVENTS);
		break;
	case REPORT_CORRUPT:
		fprintf(out,
			"Segment %s is corrupt: a counter went backwards or leapt. Counting "
			"anew.\n",
			report->name);
		break;
	case REPORT_STALLED:
		fprintf(out, "Monitor stalled: no tick for %" PRIu64 " ms.\n",
			report->duration_ns / NS_PER_MS);
		break;
	case REPORT_BACK:
		fprintf(out, "Monitor is back after %" PRIu64 " ms.\n",
			report->duration_ns / NS_PER_MS);
		break;
	case REPORT_NAME_GONE:
	case REPORT_STOPPED:
	case REPORT_DIED:
	case REPORT_ABORTED:
		put_fate(out, report);
		break;
	case REPORT_NO_UPDATES:
		fprintf(out, "No updates. Exiting..\n");
		break;
	case REPORT_WAITING:
		fprintf(out, "Waiting for the next l2fwd-keepalive at %s.\n", report->name);
		break;
	}
}

int
text_write(FILE *out, const struct report *report)
{
	errno = 0;
	put_line(out, report);
	if (fflush(out) != 0 || ferror(out) != 0)
		return errno != 0 ? -errno : -EIO;
	return 0;
}

/* ---- Refusals ---- */

/* The command that starts the forwarder so that this agent finds it. */
static void
start_command(char command[COMMAND_MAX], const struct agent_options *options)
{
	bool prefix = options->file_prefix != NULL;
	bool name = options->shm_name != NULL;

	snprintf(command, COMMAND_MAX, "sudo l2fwd-keepalive -l 0-1%s%s -- -p 3%s%s",
		 prefix ? " --file-prefix " : "", prefix ? options->file_prefix : "",
		 name ? " --shm-name " : "", name ? options->shm_name : "");
}

static void
refusal_of_absence(char line[TEXT_REFUSAL_MAX], const struct text_refusal *refusal,
		   const struct agent_options *options)
{
	char command[COMMAND_MAX];

	start_command(command, options);
	if (refusal->error == -EOWNERDEAD)
		snprintf(line, TEXT_REFUSAL_MAX,
			 "segment %s is a leftover: l2fwd-keepalive (pid %ld) has ended without "
			 "removing it; start it again: %s",
			 options->name, (long)refusal->owner_pid, command);
	else
		snprintf(line, TEXT_REFUSAL_MAX,
			 "no segment %s: l2fwd-keepalive does not run, or it runs with another "
			 "--file-prefix or --shm-name (give ka-agent the same by -f or -n), or "
			 "with -K 0; to start it: %s",
			 options->name, command);
}

void
text_refusal(char line[TEXT_REFUSAL_MAX], const struct text_refusal *refusal,
	     const struct agent_options *options)
{
	const struct ka_shm_complaint *complaint = &refusal->complaint;
	const char *name = options->name;
	char holder[WORDS_MAX] = "";

	if (complaint->agent_pid != 0)
		snprintf(holder, sizeof(holder), " (pid %ld)", (long)complaint->agent_pid);
	switch (refusal->error) {
	case -ENOENT:
	case -EOWNERDEAD:
		refusal_of_absence(line, refusal, options);
		break;
	case -EACCES:
		snprintf(line, TEXT_REFUSAL_MAX,
			 "segment %s: permission denied; run ka-agent as root, or start "
			 "l2fwd-keepalive with --shm-group or --shm-mode (reading and writing)",
			 name);
		break;
	case -EMSGSIZE:
		snprintf(line, TEXT_REFUSAL_MAX,
			 "segment %s is too short: %" PRIu64 " bytes, l2fwd-keepalive's have %zu "
			 "(the original's %d); it is another program's or not complete",
			 name, complaint->size, sizeof(struct ka_shm_segment), KA_SHM_LEGACY_SIZE);
		break;
	case -EBADMSG:
		snprintf(line, TEXT_REFUSAL_MAX,
			 "segment %s (%" PRIu64 " bytes) is not l2fwd-keepalive's: its mark is not "
			 "in it; give the right one by -n or -f",
			 name, complaint->size);
		break;
	case -EPROTONOSUPPORT:
		snprintf(line, TEXT_REFUSAL_MAX,
			 "segment %s is of version %" PRIu32
			 ", this ka-agent reads version %d; use "
			 "the one that came with that l2fwd-keepalive",
			 name, complaint->version_major, KA_SHM_VERSION_MAJOR);
		break;
	case -EBUSY:
		snprintf(line, TEXT_REFUSAL_MAX,
			 "segment %s: another agent%s is attached, and there can be one only; stop "
			 "that one first",
			 name, holder);
		break;
	case -EINVAL:
		snprintf(
			line, TEXT_REFUSAL_MAX,
			"segment %s is not a shared-memory object but something else of that name; "
			"remove it or give another by -n or -f",
			name);
		break;
	default:
		snprintf(line, TEXT_REFUSAL_MAX, "segment %s cannot be opened: %s", name,
			 strerror(-refusal->error));
		break;
	}
}
